"""Tokens that are signed with published keys: believed as those of our own secret are, and for no other reason."""

import base64
import hmac
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from frontdoor.jwks import KeyRing, read_keys
from frontdoor.problems import UNAVAILABLE
from frontdoor.tokens import Identity, TokenVerifier, issue
from tests.unit.frontdoor.bad_claims import BAD_CLAIMS, LATER, NOW, claims
from tests.unit.frontdoor.keys import FAMILIES, base64url, jwk, jwks, private_key, signed
from tests.unit.frontdoor.test_tokens import SECRET, Clock, reason

KEYS = [jwk(family, f"the-{family}") for family in FAMILIES]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ring() -> KeyRing:
    return KeyRing(read_keys(jwks(*KEYS)))


@pytest.fixture
def verifier(ring: KeyRing, clock: Clock) -> TokenVerifier:
    return TokenVerifier(None, clock, ring=ring)


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


def bearer(family: str, payload: bytes = claims(), **header: Any) -> str:
    return f"Bearer {signed(payload, family, **{'kid': f'the-{family}', **header})}"


def test_a_token_of_a_published_key_is_believed(verifier: TokenVerifier, family: str) -> None:
    identity = verifier.identify(bearer(family, claims(scope="service admin", attrs={"age": 30})))
    assert identity == Identity("usr_1", frozenset({"service", "admin"}), LATER, {"age": 30})  # type: ignore[arg-type]


def test_a_token_need_not_name_the_only_key_of_its_algorithm(ring: KeyRing, verifier: TokenVerifier, family: str) -> None:
    unnamed = f"Bearer {signed(claims(), family)}"
    assert isinstance(verifier.identify(unnamed), Identity)
    ring.replace(read_keys(jwks(*KEYS, jwk(family, "second", 1))))
    assert reason(verifier.identify(f"Bearer {signed(claims(attrs={}), family)}")) == "key_name_missing"
    ring.replace(read_keys(jwks(jwk(family))))
    assert isinstance(verifier.identify(unnamed), Identity)


@pytest.mark.parametrize(("payload", "why"), BAD_CLAIMS.values(), ids=BAD_CLAIMS)
def test_who_signed_makes_bad_claims_no_better(verifier: TokenVerifier, family: str, payload: bytes, why: str) -> None:
    assert reason(verifier.identify(bearer(family, payload))) == why


HEADERS: dict[str, tuple[dict[str, Any], str]] = {
    "alg none": ({"alg": "none"}, "algorithm_not_accepted"),
    "alg none, capitals": ({"alg": "NONE"}, "algorithm_not_accepted"),
    "alg null": ({"alg": None}, "algorithm_not_accepted"),
    "alg a list": ({"alg": ["RS256", "ES256", "EdDSA"]}, "algorithm_not_accepted"),
    "alg with a larger hash": ({"alg": "RS512"}, "algorithm_not_accepted"),
    "alg of a secret": ({"alg": "HS256"}, "algorithm_not_accepted"),
    "kid unknown": ({"kid": "nobody"}, "key_unknown"),
    "kid traversal": ({"kid": "../../dev/null"}, "key_name_not_accepted"),
    "kid injection": ({"kid": "a' OR 1=1"}, "key_name_not_accepted"),
    "kid with NUL": ({"kid": "k\0"}, "key_name_not_accepted"),
    "kid not ASCII": ({"kid": "schlüssel"}, "key_name_not_accepted"),
    "kid with newline": ({"kid": "k\n"}, "key_name_not_accepted"),
    "kid empty": ({"kid": ""}, "key_name_not_accepted"),
    "kid too long": ({"kid": "k" * 129}, "key_name_not_accepted"),
    "kid a number": ({"kid": 5}, "not_a_token"),
    "kid null": ({"kid": None}, "not_a_token"),
    "key of its own": ({"kid": "own", "jwk": jwk("RS256", "own", 1)}, "key_unknown"),
    "key from elsewhere": ({"kid": "own", "jku": "https://evil.example/jwks.json"}, "key_unknown"),
    "crit unknown": ({"crit": ["exp2"], "exp2": 1}, "not_a_token"),
    "detached": ({"b64": False, "crit": ["b64"]}, "not_a_token"),
}


@pytest.mark.parametrize(("header", "why"), HEADERS.values(), ids=HEADERS)
def test_a_header_decides_nothing_of_its_own(verifier: TokenVerifier, family: str, header: dict[str, Any], why: str) -> None:
    assert reason(verifier.identify(bearer(family, **header))) == why


def test_the_algorithm_has_to_be_the_keys(verifier: TokenVerifier, family: str) -> None:
    for other in set(FAMILIES) - {family}:
        assert reason(verifier.identify(bearer(family, alg=other))) == "algorithm_not_accepted"
        assert reason(verifier.identify(bearer(family, kid=f"the-{other}"))) == "algorithm_not_accepted"


@pytest.mark.parametrize("secret", [None, SECRET])
def test_a_public_key_is_no_secret(ring: KeyRing, clock: Clock, family: str, secret: str | None) -> None:
    """The confusion that a token asks for which is sealed by HMAC with what everybody can read."""
    public = private_key(family).public_key()
    published = json.dumps(jwk(family, f"the-{family}")).encode()
    encoded = [public.public_bytes(form, PublicFormat.SubjectPublicKeyInfo) for form in (Encoding.PEM, Encoding.DER)]
    for key in (*encoded, encoded[0].strip(), published):
        for header in ({"alg": "HS256", "typ": "JWT"}, {"alg": "HS256", "kid": f"the-{family}"}):
            text = f"{base64url(json.dumps(header, separators=(',', ':')).encode())}.{base64url(claims())}"
            forged = f"{text}.{base64url(hmac.digest(key, text.encode(), 'sha256'))}"
            wanted = "algorithm_not_accepted" if secret is None else "signature_wrong"
            assert reason(TokenVerifier(secret, clock, ring=ring).identify(f"Bearer {forged}")) == wanted


def test_what_was_signed_cannot_be_changed(verifier: TokenVerifier, family: str) -> None:
    head, payload, signature = bearer(family).split(".")
    others = base64url(claims(sub="mallory"))
    by_another = signed(claims(), family, number=1, kid=f"the-{family}")
    cut = base64url(base64.urlsafe_b64decode(f"{signature}==")[:-1])
    empty, short = f"{head}.{payload}.", f"{head}.{payload}.{cut}"
    for changed in (f"{head}.{others}.{signature}", f"Bearer {by_another}", empty, short):
        assert reason(verifier.identify(changed)) == "signature_wrong"


def test_a_signature_has_one_spelling(verifier: TokenVerifier, family: str) -> None:
    good = bearer(family)
    head, _, last = good.rpartition(".")
    spellings = (f"{good}!", f"{head}.!{last}", f"{good}=", f"{good}{'=' * (-len(last) % 4)}", f"{head}.{last[:9]}*{last[9:]}")
    refused = {reason(verifier.identify(spelt)) for spelt in spellings if spelt != good}
    assert refused <= {"signature_wrong", "not_a_token"}
    assert isinstance(verifier.identify(good), Identity)


def test_a_secret_and_keys_go_together(ring: KeyRing, clock: Clock, family: str) -> None:
    verifier = TokenVerifier(SECRET, clock, ring=ring)
    for authorization in (bearer(family), f"Bearer {issue(SECRET, 'usr_1', now=NOW)}"):
        assert isinstance(verifier.identify(authorization), Identity)
    assert reason(TokenVerifier(SECRET, clock).identify(bearer(family))) == "algorithm_not_accepted"
    assert reason(TokenVerifier(None, clock, ring=ring).identify(f"Bearer {issue(SECRET, 'usr_1', now=NOW)}"))


def test_a_remembered_token_is_forgotten_with_its_key_and_no_other_is(
    ring: KeyRing, verifier: TokenVerifier, family: str
) -> None:
    ring.replace(read_keys(jwks(*KEYS, jwk(family, "next", 1))))
    old, new = bearer(family), f"Bearer {signed(claims(), family, number=1, kid='next')}"
    before = [verifier.identify(each) for each in (old, new)]
    assert [verifier.identify(each) for each in (old, new)] == before
    ring.replace(read_keys(jwks(jwk(family, "next", 1))))
    assert verifier.identify(new) is before[1]
    assert reason(verifier.identify(old)) == "key_unknown"
    ring.replace(read_keys(jwks(jwk(family, "next", 1), jwk(family, f"the-{family}", 2))))
    assert reason(verifier.identify(old)) == "signature_wrong"
    ring.replace(read_keys(jwks(*KEYS)))
    assert isinstance(verifier.identify(old), Identity)


def test_before_any_set_was_read_nothing_is_known_of_a_token(clock: Clock, family: str) -> None:
    verifier = TokenVerifier(SECRET, clock, ring=KeyRing())
    assert verifier.identify(bearer(family)) is UNAVAILABLE
    assert isinstance(verifier.identify(f"Bearer {issue(SECRET, 'usr_1', now=NOW)}"), Identity)


def test_only_of_an_unknown_key_it_is_said_so(verifier: TokenVerifier, family: str) -> None:
    assert verifier.key_unknown(bearer(family, kid="new"))
    known = (None, "Basic dXNyOnB3", "Bearer x", bearer(family), bearer(family, b"[]"), bearer(family, alg="none", kid="new"))
    assert not any(map(verifier.key_unknown, known))

"""Who a token speaks for, and every reason for not believing it."""

import hmac
import json
from typing import Any

import jwt
import pytest

from frontdoor.problems import SCOPE_REQUIRED, TOKEN_MISSING, Problem, body
from frontdoor.tokens import ADMIN, SERVICE, Expected, Identity, TokenVerifier, issue, with_scope
from tests.unit.frontdoor.bad_claims import BAD_CLAIMS, LATER, NOW, claims
from tests.unit.frontdoor.keys import base64url

SECRET = "a secret of at least thirty-two characters"
OTHER_HEADER = b'{"typ":"JWT","alg":"HS256"}'


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def verifier(clock: Clock) -> TokenVerifier:
    return TokenVerifier(SECRET, clock, cache_max=3)


def sealed(signing_input: str, secret: str = SECRET) -> str:
    return f"{signing_input}.{base64url(hmac.digest(secret.encode(), signing_input.encode(), 'sha256'))}"


def signed(payload: bytes, header: bytes = b'{"alg":"HS256","typ":"JWT"}', secret: str = SECRET) -> str:
    return sealed(f"{base64url(header)}.{base64url(payload)}", secret)


def token(**said: Any) -> str:
    return signed(claims(**said))


def reason(answer: Identity | Problem) -> str:
    assert isinstance(answer, Problem)
    assert (answer.status, answer.code) == (401, "token_invalid")
    json.loads(body(answer))
    found = dict(answer.extra)["reason"]
    assert isinstance(found, str)
    return found


def test_an_issued_token_is_believed(verifier: TokenVerifier) -> None:
    identity = verifier.identify("Bearer " + issue(SECRET, "usr_1", ttl_s=60, now=NOW))
    assert identity == Identity("usr_1", frozenset(), NOW + 60, {})  # type: ignore[arg-type]


def test_an_issued_token_is_a_jwt_to_the_library() -> None:
    said = jwt.decode(issue(SECRET, "usr_ü", (SERVICE, ADMIN)), SECRET, algorithms=["HS256"])
    assert (said["sub"], said["scope"]) == ("usr_ü", "service admin")


@pytest.mark.parametrize("secret", ["s" * 32, "s" * 64, "s" * 65, "ü" * 100])
def test_a_token_is_believed_whatever_the_length_of_the_secret(secret: str, clock: Clock) -> None:
    theirs = jwt.encode({"sub": "usr_1", "exp": LATER}, secret)
    assert isinstance(TokenVerifier(secret, clock).identify(f"Bearer {theirs}"), Identity)
    assert reason(TokenVerifier(secret + "x", clock).identify(f"Bearer {theirs}")) == "signature_wrong"


def test_a_token_of_the_library_is_believed(verifier: TokenVerifier) -> None:
    theirs = jwt.encode({"sub": "usr_1", "exp": LATER, "scope": "admin"}, SECRET)
    assert theirs.split(".")[0] == issue(SECRET, "x").split(".")[0]  # the header that takes the short way
    for accepted in (theirs, jwt.encode({"sub": "usr_1", "exp": LATER, "scope": "admin"}, SECRET, headers={"kid": "k-1"})):
        identity = verifier.identify(f"Bearer {accepted}")
        assert identity == Identity("usr_1", frozenset({"admin"}), LATER, {})  # type: ignore[arg-type]


def test_no_token_is_not_a_bad_token(verifier: TokenVerifier) -> None:
    for authorization in (None, "", "Basic dXNyOnB3", "usr_1", f"Token {token()}"):
        assert verifier.identify(authorization) is TOKEN_MISSING


def test_the_scheme_is_not_case_sensitive(verifier: TokenVerifier) -> None:
    assert isinstance(verifier.identify(f"bearer {token()}"), Identity)


UNTRUSTED: dict[str, tuple[str, str]] = {
    "nothing": ("", "not_a_token"),
    "one part": ("abc", "not_a_token"),
    "no json": ("a.b.c", "not_a_token"),
    "not ASCII": ("tökén", "not_a_token"),
    "undecodable bytes": ("\udcff", "not_a_token"),
    "100 KiB": ("a" * 102_400, "too_long"),
    "100 KiB and ours": (token(padding="x" * 102_400), "too_long"),
    "alg none": (jwt.encode({"sub": "usr_1", "exp": LATER}, "", algorithm="none"), "algorithm_not_accepted"),
    "alg none, capitals": (signed(b"{}", b'{"alg":"NONE"}'), "algorithm_not_accepted"),
    "alg missing": (signed(b"{}", b'{"typ":"JWT"}'), "algorithm_not_accepted"),
    "alg of the wrong family": (signed(b"{}", b'{"alg":"RS256","typ":"JWT"}'), "algorithm_not_accepted"),
    "alg odd": (signed(b"{}", b'{"alg":["HS256"],"typ":"JWT"}'), "algorithm_not_accepted"),
    "signature of another": (signed(b'{"sub":"usr_1","exp":9e9}', secret="x" * 40), "signature_wrong"),
    "signature of another, other header": (signed(b"{}", b'{"alg":"HS256"}', secret="x" * 40), "signature_wrong"),
    "signature missing": (token().rpartition(".")[0] + ".", "signature_wrong"),
    "signature padded": (token() + "=", "signature_wrong"),
    "signature not canonical": (token() + "A", "signature_wrong"),
    "payload changed": (token().replace(".", ".A", 1), "signature_wrong"),
    "kid traversal": (signed(b'{"sub":"u","exp":9e9}', b'{"alg":"HS256","kid":"../../dev/null"}'), "key_name_not_accepted"),
    "kid injection": (signed(b'{"sub":"u","exp":9e9}', b'{"alg":"HS256","kid":"a\' OR 1=1"}'), "key_name_not_accepted"),
    "kid odd": (signed(b'{"sub":"u","exp":9e9}', b'{"alg":"HS256","kid":5}'), "not_a_token"),
    "crit unknown": (signed(b'{"sub":"u","exp":9e9}', b'{"alg":"HS256","crit":["exp2"],"exp2":1}'), "not_a_token"),
    "crit with surrogate": (signed(b"{}", b'{"alg":"HS256","crit":["\\ud800"],"x":1}'), "not_a_token"),
    "detached": (signed(b"{}", b'{"alg":"HS256","b64":false,"crit":["b64"]}'), "not_a_token"),
    "header deep": (signed(b"{}", b"[" * 2_000), "not_a_token"),
    "payload no base64": (sealed(base64url(b'{"alg":"HS256","typ":"JWT"}') + ".A"), "claims_invalid"),
    **{name: (signed(payload), why) for name, (payload, why) in BAD_CLAIMS.items()},
}


@pytest.mark.parametrize(("text", "why"), UNTRUSTED.values(), ids=UNTRUSTED)
def test_what_cannot_be_trusted_is_refused_for_its_reason(verifier: TokenVerifier, text: str, why: str) -> None:
    assert reason(verifier.identify(f"Bearer {text}")) == why


def test_nbf_is_honoured_to_the_moment(verifier: TokenVerifier) -> None:
    assert isinstance(verifier.identify(f"Bearer {token(nbf=NOW)}"), Identity)


def test_a_user_may_be_called_almost_anything(verifier: TokenVerifier) -> None:
    for user in ("u" * 256, "{}", "a:b", "a\nb", "🎉", " "):
        identity = verifier.identify("Bearer " + issue(SECRET, user, now=NOW))
        assert isinstance(identity, Identity)
        assert identity.user_id == user


def test_a_token_as_we_issue_it_is_verified_each_time_and_takes_no_room(verifier: TokenVerifier, clock: Clock) -> None:
    authorization = "Bearer " + issue(SECRET, "usr_1", ttl_s=10, now=NOW)
    first = verifier.identify(authorization)
    assert verifier.identify(authorization) == first
    assert not verifier._verified
    clock.now += 10
    assert reason(verifier.identify(authorization)) == "expired"


def test_a_remembered_token_still_expires(verifier: TokenVerifier, clock: Clock) -> None:
    authorization = "Bearer " + signed(claims(exp=NOW + 10), OTHER_HEADER)
    first = verifier.identify(authorization)
    assert verifier.identify(authorization) is first
    clock.now += 10
    assert reason(verifier.identify(authorization)) == "expired"


def test_no_more_tokens_are_remembered_than_allowed(verifier: TokenVerifier) -> None:
    authorizations = ["Bearer " + signed(claims(sub=f"usr_{n}"), OTHER_HEADER) for n in range(4)]
    identities = [verifier.identify(authorization) for authorization in authorizations]
    remembered = [verifier.identify(a) is i for a, i in zip(reversed(authorizations), reversed(identities), strict=True)]
    assert remembered == [True, True, True, False]


def test_a_refused_token_is_not_remembered(verifier: TokenVerifier, clock: Clock) -> None:
    authorization = f"Bearer {token(nbf=NOW + 1)}"
    assert reason(verifier.identify(authorization)) == "not_yet_valid"
    clock.now += 1
    assert isinstance(verifier.identify(authorization), Identity)


def test_a_scope_is_needed_by_name(verifier: TokenVerifier) -> None:
    admin = verifier.identify("Bearer " + issue(SECRET, "usr_1", ("service", "admin"), now=NOW))
    user = verifier.identify("Bearer " + issue(SECRET, "usr_1", now=NOW))
    assert isinstance(admin, Identity)
    assert isinstance(user, Identity)
    assert with_scope(admin, ADMIN) is admin
    refused = with_scope(user, ADMIN)
    assert refused == SCOPE_REQUIRED.carrying(scope="admin")


def test_what_a_token_says_of_its_user_is_read_and_has_to_be_an_object(verifier: TokenVerifier) -> None:
    def said(attrs: object) -> Identity | Problem:
        return verifier.identify(f"Bearer {jwt.encode({'sub': 'usr_1', 'exp': LATER, 'attrs': attrs}, SECRET)}")

    for attrs in ({"age": 30, "first_order": True}, {}, None):
        identity = said(attrs)
        assert isinstance(identity, Identity)
        assert identity.attrs == (attrs or {})
    for text in ("[]", '"adult"', "1", "true"):
        problem = said(json.loads(text))
        assert isinstance(problem, Problem)
        assert reason(problem) == "claims_invalid"


NAMED = Expected("coupons", "https://issuer.example")


@pytest.mark.parametrize("aud", ["coupons", ["coupons"], ["billing", "coupons"]])
def test_a_token_for_the_audience_by_the_issuer_is_believed(clock: Clock, aud: object) -> None:
    verifier = TokenVerifier(SECRET, clock, expected=NAMED)
    assert isinstance(verifier.identify(f"Bearer {token(aud=aud, iss=NAMED.issuer)}"), Identity)


@pytest.mark.parametrize("aud", [None, "", "Coupons", "billing", [], ["billing"], [None], [["coupons"]], {"coupons": 1}, 5])
def test_a_token_for_others_is_refused(clock: Clock, aud: object) -> None:
    verifier = TokenVerifier(SECRET, clock, expected=NAMED)
    assert reason(verifier.identify(f"Bearer {token(aud=aud, iss=NAMED.issuer)}")) == "audience"
    assert reason(verifier.identify(f"Bearer {token(iss=NAMED.issuer)}")) == "audience"


@pytest.mark.parametrize("iss", [None, "", "https://issuer.example/", ["https://issuer.example"], 5])
def test_a_token_by_others_is_refused(clock: Clock, iss: object) -> None:
    verifier = TokenVerifier(SECRET, clock, expected=NAMED)
    assert reason(verifier.identify(f"Bearer {token(aud=NAMED.audience, iss=iss)}")) == "issuer"
    assert reason(verifier.identify(f"Bearer {token(aud=NAMED.audience)}")) == "issuer"


@pytest.mark.parametrize("aud", ["", [], [None], "coupons"])
def test_without_an_audience_of_our_own_a_token_may_name_none(verifier: TokenVerifier, aud: object) -> None:
    assert reason(verifier.identify(f"Bearer {token(aud=aud)}")) == "audience"
    assert isinstance(verifier.identify(f"Bearer {token(iss='anybody')}"), Identity)


def test_what_is_issued_names_audience_and_issuer(clock: Clock) -> None:
    issued = issue(SECRET, "usr_1", now=NOW, audience=NAMED.audience, issuer=NAMED.issuer)
    assert isinstance(TokenVerifier(SECRET, clock, expected=NAMED).identify(f"Bearer {issued}"), Identity)


def test_the_clock_of_the_issuer_may_be_off_by_the_leeway_and_no_more(clock: Clock) -> None:
    verifier = TokenVerifier(SECRET, clock, expected=Expected(leeway_s=10))
    assert reason(verifier.identify(f"Bearer {token(nbf=NOW + 10.5)}")) == "not_yet_valid"
    assert isinstance(verifier.identify(f"Bearer {token(nbf=NOW + 10)}"), Identity)
    ending = f"Bearer {token(exp=NOW - 9)}"
    assert isinstance(verifier.identify(ending), Identity)
    clock.now += 1
    assert reason(verifier.identify(ending)) == "expired"

"""Who a token speaks for, and every reason for not believing it."""

import base64
import hmac
import json
from typing import Any

import jwt
import pytest

from frontdoor.problems import SCOPE_REQUIRED, TOKEN_MISSING, Problem, body
from frontdoor.tokens import ADMIN, SERVICE, Identity, TokenVerifier, issue, with_scope

SECRET = "a secret of at least thirty-two characters"
NOW = 1_800_000_000.0
LATER = int(NOW) + 3600


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


def base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def sealed(signing_input: str, secret: str = SECRET) -> str:
    return f"{signing_input}.{base64url(hmac.digest(secret.encode(), signing_input.encode(), 'sha256'))}"


def signed(payload: bytes, header: bytes = b'{"alg":"HS256","typ":"JWT"}', secret: str = SECRET) -> str:
    return sealed(f"{base64url(header)}.{base64url(payload)}", secret)


def token(**claims: Any) -> str:
    return signed(json.dumps({"sub": "usr_1", "exp": LATER} | claims).encode())


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
    claims = jwt.decode(issue(SECRET, "usr_ü", (SERVICE, ADMIN)), SECRET, algorithms=["HS256"])
    assert (claims["sub"], claims["scope"]) == ("usr_ü", "service admin")


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
    "payload no json": (signed(b"\xff"), "claims_invalid"),
    "payload no object": (signed(b"5"), "claims_invalid"),
    "payload deep": (signed(b'{"a":' * 500), "claims_invalid"),
    "payload no base64": (sealed(base64url(b'{"alg":"HS256","typ":"JWT"}') + ".A"), "claims_invalid"),
    "sub missing": (signed(b'{"exp":9e9}'), "claims_invalid"),
    "sub a number": (token(sub=5), "claims_invalid"),
    "sub null": (token(sub=None), "claims_invalid"),
    "sub with lone surrogate": (signed(b'{"sub":"\\ud800","exp":9e9}'), "claims_invalid"),
    "sub empty": (token(sub=""), "user_invalid"),
    "sub too long": (token(sub="u" * 257), "user_invalid"),
    "sub with NUL": (token(sub="u\0"), "user_invalid"),
    "exp missing": (signed(b'{"sub":"usr_1"}'), "claims_invalid"),
    "exp null": (token(exp=None), "claims_invalid"),
    "exp text": (token(exp=str(LATER)), "claims_invalid"),
    "exp bool": (token(exp=True), "claims_invalid"),
    "exp NaN": (token(exp=float("nan")), "claims_invalid"),
    "exp Infinity": (token(exp=float("inf")), "claims_invalid"),
    "exp 1e400": (signed(b'{"sub":"usr_1","exp":1e400}'), "claims_invalid"),
    "exp 500 digits": (signed(b'{"sub":"usr_1","exp":' + b"9" * 500 + b"}"), "claims_invalid"),
    "exp negative": (token(exp=-1), "expired"),
    "exp now": (token(exp=int(NOW)), "expired"),
    "exp past": (token(exp=NOW - 0.001), "expired"),
    "nbf in the future": (token(nbf=NOW + 1), "not_yet_valid"),
    "nbf text": (token(nbf="0"), "claims_invalid"),
    "for an audience": (token(aud="billing"), "audience"),
    "scope a list": (token(scope=["admin"]), "claims_invalid"),
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


def test_a_remembered_token_still_expires(verifier: TokenVerifier, clock: Clock) -> None:
    authorization = "Bearer " + issue(SECRET, "usr_1", ttl_s=10, now=NOW)
    first = verifier.identify(authorization)
    assert verifier.identify(authorization) is first
    clock.now += 10
    assert reason(verifier.identify(authorization)) == "expired"


def test_no_more_tokens_are_remembered_than_allowed(verifier: TokenVerifier) -> None:
    authorizations = ["Bearer " + issue(SECRET, f"usr_{n}", now=NOW) for n in range(4)]
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

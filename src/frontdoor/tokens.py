"""Who is asking: bearer tokens (RFC 6750) that are JWTs signed with HMAC-SHA-256.

The library costs more than the rest of a request, so a token whose header is byte for byte the one we issue is checked
with `hmac` here; any other header is for the library to judge. Both ways end in the same look at the claims. A token that
was verified is remembered until it expires, for people who press redeem come back.
"""

import re
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections import OrderedDict
from collections.abc import Callable, Iterable
from hmac import compare_digest, digest
from typing import Any

import msgspec
from jwt import PyJWS
from jwt.exceptions import InvalidAlgorithmError, InvalidSignatureError, InvalidTokenError

from frontdoor.problems import SCOPE_REQUIRED, TOKEN_INVALID, TOKEN_MISSING, Problem
from shared.clock import unix_now
from shared.domain.ids import MAX_USER_LENGTH, UserId, user_of

SERVICE = "service"
ADMIN = "admin"

MAX_TOKEN_LENGTH = 4096

_NO_SCOPES: frozenset[str] = frozenset()
_NO_ATTRS: dict[str, Any] = {}
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_PLAIN = bytes.maketrans(b"-_", b"+/")
_KEY_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Identity(msgspec.Struct, frozen=True, gc=False):
    """The user a token speaks for, and what it may do beyond claiming: `service`, `admin`.

    `attrs`: what it says of the user, for campaigns' audiences.
    """

    user_id: UserId
    scopes: frozenset[str]
    expires_at: float
    attrs: dict[str, Any]


class _Claims(msgspec.Struct, gc=False):
    sub: str
    exp: float
    nbf: float | None = None
    scope: str = ""
    aud: object = None
    attrs: dict[str, Any] | None = None


_decode_claims = msgspec.json.Decoder(_Claims).decode


def issue(secret: str, user: str, scopes: Iterable[str] = (), ttl_s: float = 86_400, now: float | None = None) -> str:
    """A token for `user`, good for `ttl_s` seconds from `now` (by default, from now)."""
    issued_at = int(unix_now() if now is None else now)
    claims: dict[str, str | int] = {"sub": user, "iat": issued_at, "exp": issued_at + int(ttl_s)}
    if scope := " ".join(scopes):
        claims["scope"] = scope
    signed = _HEADER + _to_base64(msgspec.json.encode(claims))
    return (signed + b"." + _signature(secret.encode(), signed)).decode()


def with_scope(identity: Identity, scope: str) -> Identity | Problem:
    """The same identity, if it may do what needs `scope`."""
    return identity if scope in identity.scopes else SCOPE_REQUIRED.carrying(scope=scope)


class TokenVerifier:
    """Tells who a token speaks for. `clock` gives seconds since the epoch; at most `cache_max` tokens are remembered."""

    def __init__(self, secret: str, clock: Callable[[], float] = unix_now, cache_max: int = 50_000) -> None:
        self._secret = secret.encode()
        self._clock = clock
        self._cache_max = cache_max
        self._verified: OrderedDict[str, Identity] = OrderedDict()
        self._library = PyJWS(algorithms=["HS256"])

    def identify(self, authorization: str | None) -> Identity | Problem:
        """The identity that an Authorization header proves, or why it proves none."""
        if authorization is None:
            return TOKEN_MISSING
        scheme, _, token = authorization.partition(" ")
        if scheme != "Bearer" and scheme.lower() != "bearer":
            return TOKEN_MISSING
        known = self._verified.get(token)
        if known is not None and known.expires_at > self._clock():
            return known
        return self._verify(token)

    def _verify(self, token: str) -> Identity | Problem:
        if len(token) > MAX_TOKEN_LENGTH:
            return _invalid("too_long", f"The token is longer than {MAX_TOKEN_LENGTH} characters.")
        if not token.isascii():
            return _invalid("not_a_token", "The token holds characters outside of ASCII.")
        payload = self._payload(token.encode())
        if isinstance(payload, Problem):
            return payload
        identity = _identity(payload, self._clock())
        if isinstance(identity, Identity):
            self._remember(token, identity)
        return identity

    def _payload(self, token: bytes) -> bytes | Problem:
        signed, _, signature = token.rpartition(b".")
        if not signed.startswith(_HEADER):
            return self._payload_by_library(token)
        if not compare_digest(_signature(self._secret, signed), signature):
            return _invalid("signature_wrong", "The signature is not ours.")
        try:
            return a2b_base64(signed[len(_HEADER) :].translate(_PLAIN) + b"==")
        except Base64Error:
            return _invalid("claims_invalid", "The claims are not base64url.")

    def _payload_by_library(self, token: bytes) -> bytes | Problem:
        try:
            verified = self._library.decode_complete(token, self._secret, algorithms=["HS256"])
        except InvalidSignatureError:
            return _invalid("signature_wrong", "The signature is not ours.")
        except InvalidAlgorithmError:
            return _invalid("algorithm_not_accepted", "Only HS256 is accepted.")
        except InvalidTokenError as error:
            said = str(error)
            return _invalid("not_a_token", said if said.isprintable() else "The token's header cannot be read.")
        # There is one key, so its name chooses nothing; one that looks like a path or a query means harm all the same.
        if not _KEY_NAME.fullmatch(verified["header"].get("kid", "none")):
            return _invalid("key_name_not_accepted", "The header's kid is not a plain name.")
        payload: bytes = verified["payload"]
        return payload

    def _remember(self, token: str, identity: Identity) -> None:
        self._verified[token] = identity
        if len(self._verified) > self._cache_max:
            self._verified.popitem(last=False)


def _identity(payload: bytes, now: float) -> Identity | Problem:
    try:
        claims = _decode_claims(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return _invalid("claims_invalid", f"The claims cannot be read: {error}.")
    if claims.exp <= now:
        return _invalid("expired", "The token has expired.")
    if claims.nbf is not None and claims.nbf > now:
        return _invalid("not_yet_valid", "The token is not valid yet.")
    if claims.aud is not None:
        return _invalid("audience", "The token names an audience, and we are none (RFC 7519, section 4.1.3).")
    user = user_of(claims.sub)
    if user is None:
        return _invalid("user_invalid", f"sub must be of 1 to {MAX_USER_LENGTH} characters, without NUL.")
    scopes = frozenset(claims.scope.split()) if claims.scope else _NO_SCOPES
    return Identity(user, scopes, claims.exp, claims.attrs or _NO_ATTRS)


def _invalid(reason: str, detail: str) -> Problem:
    return TOKEN_INVALID.saying(detail).carrying(reason=reason)


def _signature(secret: bytes, signed: bytes) -> bytes:
    return _to_base64(digest(secret, signed, "sha256"))


def _to_base64(raw: bytes) -> bytes:
    return b2a_base64(raw, newline=False).translate(_URL_SAFE).rstrip(b"=")


#: What our tokens begin with: the header that says HS256, and the dot.
_HEADER = _to_base64(b'{"alg":"HS256","typ":"JWT"}') + b"."

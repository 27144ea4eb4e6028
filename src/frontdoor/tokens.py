"""Who is asking: bearer tokens (RFC 6750) that are JWTs (RFC 7519).

Whoever may have signed them (see `signatures`), all claims are looked at in the same way. A token that was verified is
remembered until it expires, or until its key is no longer good, for people who press redeem come back; not one as we issue
them: in a burst everybody has another, and to keep them all costs more, in time and memory, than to verify a few again.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from frontdoor.jwks import KeyRing, SigningKey
from frontdoor.problems import SCOPE_REQUIRED, TOKEN_MISSING, Problem
from frontdoor.signatures import HEADER, Signatures, invalid, seal, to_base64
from shared.clock import unix_now
from shared.domain.ids import MAX_USER_LENGTH, UserId, user_of

SERVICE = "service"
ADMIN = "admin"

MAX_TOKEN_LENGTH = 4096

_NO_SCOPES: frozenset[str] = frozenset()
_NO_ATTRS: dict[str, Any] = {}


class Identity(msgspec.Struct, frozen=True, gc=False):
    """The user a token speaks for, and what it may do beyond claiming: `service`, `admin`.

    `attrs`: what it says of the user, for campaigns' audiences.
    """

    user_id: UserId
    scopes: frozenset[str]
    expires_at: float
    attrs: dict[str, Any]


class Expected(msgspec.Struct, frozen=True):
    """What tokens have to say besides their user: for whom they are, and who issued them (None: nobody in particular).

    `leeway_s`: how far the issuer's clock may be from ours.
    """

    audience: str | None = None
    issuer: str | None = None
    leeway_s: float = 0.0


_NOBODY = Expected()


class _Claims(msgspec.Struct, gc=False):
    sub: str
    exp: float
    nbf: float | None = None
    scope: str = ""
    aud: object = None
    iss: object = None
    attrs: dict[str, Any] | None = None


class _Verified(msgspec.Struct, frozen=True, gc=False):
    identity: Identity
    key: SigningKey | None


_decode_claims = msgspec.json.Decoder(_Claims).decode


def issue(
    secret: str,
    user: str,
    scopes: Iterable[str] = (),
    ttl_s: float = 86_400,
    now: float | None = None,
    audience: str | None = None,
    issuer: str | None = None,
) -> str:
    """A token for `user`, good for `ttl_s` seconds from `now` (by default, from now)."""
    issued_at = int(unix_now() if now is None else now)
    claims: dict[str, str | int] = {"sub": user, "iat": issued_at, "exp": issued_at + int(ttl_s)}
    told = {"scope": " ".join(scopes), "aud": audience, "iss": issuer}
    claims |= {name: value for name, value in told.items() if value}
    signed = HEADER + to_base64(msgspec.json.encode(claims))
    return (signed + b"." + seal(secret.encode(), signed)).decode()


def with_scope(identity: Identity, scope: str) -> Identity | Problem:
    """The same identity, if it may do what needs `scope`."""
    return identity if scope in identity.scopes else SCOPE_REQUIRED.carrying(scope=scope)


class TokenVerifier:
    """Tells who a token speaks for. `clock` gives seconds since the epoch; at most `cache_max` tokens are remembered."""

    def __init__(
        self,
        secret: str | None,
        clock: Callable[[], float] = unix_now,
        cache_max: int = 50_000,
        ring: KeyRing | None = None,
        expected: Expected = _NOBODY,
    ) -> None:
        self._signatures = Signatures(secret, ring)
        self._ring = ring or KeyRing()
        self._expected = expected
        self._clock = clock
        self._cache_max = cache_max
        self._verified: OrderedDict[str, _Verified] = OrderedDict()

    def identify(self, authorization: str | None) -> Identity | Problem:
        """The identity that an Authorization header proves, or why it proves none."""
        token = _bearer(authorization)
        if token is None:
            return TOKEN_MISSING
        known = self._verified.get(token)
        if known is not None and known.identity.expires_at > self._clock() and self._stands(known.key):
            return known.identity
        return self._verify(token)

    def key_unknown(self, authorization: str | None) -> bool:
        """Whether it is for its key alone that nothing can be said of the token yet."""
        token = _bearer(authorization)
        if token is None or token in self._verified or _unfit(token):
            return False
        return self._signatures.key_unknown(token.encode())

    def _stands(self, key: SigningKey | None) -> bool:
        return key is None or self._ring.holds(key)

    def _verify(self, token: str) -> Identity | Problem:
        proven = _unfit(token) or self._signatures.proven(token.encode())
        if isinstance(proven, Problem):
            return proven
        identity = _identity(proven.payload, self._clock(), self._expected)
        if isinstance(identity, Identity) and proven.dear:
            self._remember(token, _Verified(identity, proven.key))
        return identity

    def _remember(self, token: str, verified: _Verified) -> None:
        self._verified[token] = verified
        if len(self._verified) > self._cache_max:
            self._verified.popitem(last=False)


def _bearer(authorization: str | None) -> str | None:
    if authorization is None:
        return None
    if authorization.startswith("Bearer "):
        return authorization[7:]
    scheme, _, token = authorization.partition(" ")
    return token if scheme.lower() == "bearer" else None


def _unfit(token: str) -> Problem | None:
    """Why it is not even looked at."""
    if len(token) > MAX_TOKEN_LENGTH:
        return invalid("too_long", f"The token is longer than {MAX_TOKEN_LENGTH} characters.")
    if not token.isascii():
        return invalid("not_a_token", "The token holds characters outside of ASCII.")
    return None


def _identity(payload: bytes, now: float, expected: Expected) -> Identity | Problem:
    try:
        claims = _decode_claims(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return invalid("claims_invalid", f"The claims cannot be read: {error}.")
    if unexpected := _unexpected(claims, now, expected):
        return unexpected
    user = user_of(claims.sub)
    if user is None:
        return invalid("user_invalid", f"sub must be of 1 to {MAX_USER_LENGTH} characters, without NUL.")
    scopes = frozenset(claims.scope.split()) if claims.scope else _NO_SCOPES
    return Identity(user, scopes, claims.exp + expected.leeway_s, claims.attrs or _NO_ATTRS)


def _unexpected(claims: _Claims, now: float, expected: Expected) -> Problem | None:
    """Why the claims are not for us, or not for now."""
    if claims.exp + expected.leeway_s <= now:
        return invalid("expired", "The token has expired.")
    if claims.nbf is not None and claims.nbf - expected.leeway_s > now:
        return invalid("not_yet_valid", "The token is not valid yet.")
    if expected.issuer is not None and claims.iss != expected.issuer:
        return invalid("issuer", "The token is not by the issuer (iss) that is accepted here.")
    if not _for_us(claims.aud, expected.audience):
        return invalid("audience", "The token is not for us (aud), and so must be refused (RFC 7519, section 4.1.3).")
    return None


def _for_us(named: object, audience: str | None) -> bool:
    if audience is None:
        return named is None
    return audience in named if isinstance(named, list) else named == audience

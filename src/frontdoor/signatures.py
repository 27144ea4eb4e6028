"""Whether somebody we believe signed a token (RFC 7515): with our secret, or with one of the keys that we are told of.

The library costs more than the rest of a request, so a token whose header is byte for byte the one we issue is checked
with `hmac` here; any other is for the library to take apart. It is never left to a token by what it is to be judged: our
secret is for HS256 alone, and a key for the one algorithm of its kind.
"""

import hmac
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from typing import Any, NamedTuple

from jwt import PyJWS
from jwt.exceptions import InvalidTokenError

from frontdoor.jwks import KEY_ALGORITHMS, KeyRing, SigningKey, plain_name
from frontdoor.problems import TOKEN_INVALID, UNAVAILABLE, Problem

_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_PLAIN = bytes.maketrans(b"-_", b"+/")


def invalid(reason: str, detail: str) -> Problem:
    """The refusal of a token, for a named reason."""
    return TOKEN_INVALID.saying(detail).carrying(reason=reason)


#: Of a key that may have been published a moment ago.
KEY_UNKNOWN = invalid("key_unknown", "No key that is known could have signed the token.")

_SIGNATURE_WRONG = invalid("signature_wrong", "The signature is not ours.")
_NAME_ODD = invalid("key_name_not_accepted", "The header's kid is not a plain name.")
_NAME_MISSING = invalid("key_name_missing", "The header names no key (kid), and there are several.")
_OTHER_KIND = invalid("algorithm_not_accepted", "The key that kid names signs with another algorithm.")


class Proven(NamedTuple):
    """What was signed, and by which key; None is our secret.

    `dear`: whether to prove it again costs more than to remember that it was proven.
    """

    payload: bytes
    key: SigningKey | None
    dear: bool


class Signatures:
    """Those of one secret, if there is one, and of the keys of a ring, if there is one."""

    def __init__(self, secret: str | None, ring: KeyRing | None) -> None:
        self._secret = None if secret is None else secret.encode()
        self._sealing = None if secret is None else hmac.new(secret.encode(), digestmod="sha256")
        self._ring = ring
        self._library = PyJWS()
        by_secret = frozenset() if secret is None else frozenset(("HS256",))
        self._accepted = by_secret if ring is None else by_secret | KEY_ALGORITHMS
        self._others = invalid("algorithm_not_accepted", f"Accepted: {', '.join(sorted(self._accepted))}.")

    def proven(self, token: bytes) -> Proven | Problem:
        """What the token says, if its signature is good."""
        signed, _, signature = token.rpartition(b".")
        if self._sealing is None or not signed.startswith(HEADER):
            return self._proven_by_library(token, signed)
        sealing = self._sealing.copy()
        sealing.update(signed)
        if not hmac.compare_digest(to_base64(sealing.digest()), signature):
            return _SIGNATURE_WRONG
        try:
            return Proven(a2b_base64(signed[len(HEADER) :].translate(_PLAIN) + b"=="), None, dear=False)
        except Base64Error:
            return invalid("claims_invalid", "The claims are not base64url.")

    def key_unknown(self, token: bytes) -> bool:
        """Whether it is for its key alone that nothing can be said of the token yet."""
        if self._secret is not None and token.startswith(HEADER):
            return False
        read = self._read(token)
        return not isinstance(read, Problem) and self._signer(read["header"]) is KEY_UNKNOWN

    def _proven_by_library(self, token: bytes, signed: bytes) -> Proven | Problem:
        read = self._read(token)
        if isinstance(read, Problem):
            return read
        key = self._signer(read["header"])
        if isinstance(key, Problem):
            return key
        if to_base64(read["signature"]) != token[len(signed) + 1 :]:
            # The library reads over what is no base64url: one good token would be any number, each of them to be remembered.
            return _SIGNATURE_WRONG
        if key is None:
            good = self._secret is not None and hmac.compare_digest(
                hmac.digest(self._secret, signed, "sha256"), read["signature"]
            )
        else:
            good = key.signed(signed, read["signature"])
        return Proven(read["payload"], key, dear=True) if good else _SIGNATURE_WRONG

    def _read(self, token: bytes) -> dict[str, Any] | Problem:
        """Header, payload and signature, of which nothing is believed yet."""
        try:
            return self._library.decode_complete(token, options={"verify_signature": False})
        except InvalidTokenError as error:
            said = str(error)
            return invalid("not_a_token", said if said.isprintable() else "The token's header cannot be read.")

    def _signer(self, header: dict[str, Any]) -> SigningKey | Problem | None:
        """By which key the token has to be signed; None is our secret."""
        algorithm, name = header.get("alg"), header.get("kid")
        if not isinstance(algorithm, str) or algorithm not in self._accepted:
            return self._others
        if name is not None and not plain_name(name):
            return _NAME_ODD
        return None if algorithm == "HS256" else self._key(algorithm, name)

    def _key(self, algorithm: str, name: str | None) -> SigningKey | Problem:
        keys = None if self._ring is None else self._ring.keys
        if keys is None:
            return UNAVAILABLE
        if name is not None:
            key = keys.get(name, KEY_UNKNOWN)
            return key if isinstance(key, Problem) or key.algorithm == algorithm else _OTHER_KIND
        fitting = [key for key in keys.values() if key.algorithm == algorithm]
        return fitting[0] if len(fitting) == 1 else _NAME_MISSING if fitting else KEY_UNKNOWN


def seal(secret: bytes, signed: bytes) -> bytes:
    """Our signature of it, in base64url."""
    return to_base64(hmac.digest(secret, signed, "sha256"))


def to_base64(raw: bytes) -> bytes:
    """base64url without padding, as JWTs are made of."""
    return b2a_base64(raw, newline=False).translate(_URL_SAFE).rstrip(b"=")


#: What our tokens begin with: the header that says HS256, and the dot.
HEADER = to_base64(b'{"alg":"HS256","typ":"JWT"}') + b"."

"""The public keys that tokens may be signed with: a JSON Web Key Set (RFC 7517), and which of them are good now."""

import re
from typing import Any

import msgspec
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from shared.errors import LastslotError

#: What a key signs with follows from what it is (kty, crv), whatever else it or a token says.
_ALGORITHMS = {("RSA", None): "RS256", ("EC", "P-256"): "ES256", ("OKP", "Ed25519"): "EdDSA"}
KEY_ALGORITHMS = frozenset(_ALGORITHMS.values())

#: A name only ever chooses a key; one that looks like a way out of a directory, or like a query, means harm all the same.
plain_name = re.compile(r"(?!.*\.\.)[A-Za-z0-9_+/=.:-]{1,128}").fullmatch

_SECRET_MEMBERS = frozenset(("k", "d", "p", "q", "dp", "dq", "qi", "oth"))
_MIN_RSA_BITS = 2048


class JwksInvalid(LastslotError):
    """What was read is no JWK Set, or not one to go by."""


class SigningKey(msgspec.Struct, frozen=True):
    """A public key; tokens choose it by `name` (their `kid`)."""

    name: str | None
    algorithm: str
    public: Any
    verify: Any

    def signed(self, text: bytes, signature: bytes) -> bool:
        """Whether the signature is by this key."""
        good: bool = self.verify(text, self.public, signature)
        return good


class KeyRing:
    """The keys that are good now, by name; None until a set was read."""

    def __init__(self, keys: dict[str | None, SigningKey] | None = None) -> None:
        self.keys = keys

    def holds(self, key: SigningKey) -> bool:
        """Whether this very key is still good."""
        return self.keys is not None and self.keys.get(key.name) is key

    def replace(self, keys: dict[str | None, SigningKey]) -> bool:
        """Go by `keys` from now on; whether that changes anything. A key that stays is the same object as before."""
        before = self.keys
        known = before or {}
        self.keys = {name: known[name] if _same(known.get(name), key) else key for name, key in keys.items()}
        return before is None or before.keys() != keys.keys() or not all(map(self.holds, before.values()))


class _KeySet(msgspec.Struct):
    keys: list[dict[str, Any]]


_decode = msgspec.json.Decoder(_KeySet).decode


def read_keys(document: bytes) -> dict[str | None, SigningKey]:
    """The keys of a set that can sign tokens; others are passed over (RFC 7517, section 5). Raises JwksInvalid."""
    try:
        described = _decode(document).keys
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise JwksInvalid(f"it is no JWK Set: {error}") from None
    keys: dict[str | None, SigningKey] = {}
    for jwk in described:
        if jwk.get("kty") == "oct" or not _SECRET_MEMBERS.isdisjoint(jwk):
            raise JwksInvalid("it holds a private or symmetric key, and only public ones may be published")
        key = _key(jwk)
        if key is None:
            continue
        if key.name in keys:
            raise JwksInvalid(f"two of its keys are called {key.name}")
        keys[key.name] = key
    return keys


def _key(jwk: dict[str, Any]) -> SigningKey | None:
    """The key, unless it is for something else, or of a kind that is not accepted."""
    kind, curve, name = jwk.get("kty"), jwk.get("crv"), jwk.get("kid")
    algorithm = _ALGORITHMS.get((kind, curve)) if isinstance(kind, str) and isinstance(curve, str | None) else None
    if algorithm is None or jwk.get("alg", algorithm) != algorithm or jwk.get("use", "sig") != "sig":
        return None
    if not _verifies(jwk.get("key_ops")) or not (name is None or (isinstance(name, str) and plain_name(name))):
        return None
    try:
        read = PyJWK(jwk, algorithm)
    except (PyJWTError, ValueError, TypeError, AttributeError, KeyError):
        return None
    if kind == "RSA" and read.key.key_size < _MIN_RSA_BITS:
        return None
    return SigningKey(name, algorithm, read.key, read.Algorithm.verify)


def _verifies(operations: Any) -> bool:
    return operations is None or (isinstance(operations, list) and "verify" in operations)


def _same(one: SigningKey | None, other: SigningKey) -> bool:
    return one is not None and (one.algorithm, one.public) == (other.algorithm, other.public)

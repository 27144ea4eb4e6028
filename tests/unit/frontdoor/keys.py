"""Private keys for tests, as an issuer has them, the sets that publish them, and tokens they sign, however odd."""

import base64
import json
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

#: By name: how a token is signed, and what makes a private key.
_FAMILIES: dict[str, tuple[Any, Any]] = {
    "RS256": (RSAAlgorithm(RSAAlgorithm.SHA256), lambda: rsa.generate_private_key(65537, 2048)),
    "ES256": (ECAlgorithm(ECAlgorithm.SHA256, ec.SECP256R1), lambda: ec.generate_private_key(ec.SECP256R1())),
    "EdDSA": (OKPAlgorithm(), ed25519.Ed25519PrivateKey.generate),
}
FAMILIES = tuple(_FAMILIES)


@cache
def private_key(algorithm: str, number: int = 0) -> Any:
    """The same for the same number."""
    _, generate = _FAMILIES[algorithm]
    return generate()


def jwk(algorithm: str, name: str | None = None, number: int = 0, **changed: Any) -> dict[str, Any]:
    """A key as it is published; `changed` replaces members."""
    signer, _ = _FAMILIES[algorithm]
    members = signer.to_jwk(private_key(algorithm, number).public_key(), as_dict=True)
    members.pop("key_ops", None)
    named = {} if name is None else {"kid": name}
    return {**members, "use": "sig", "alg": algorithm, **named, **changed}


def jwks(*keys: Any) -> bytes:
    return json.dumps({"keys": keys}).encode()


def base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def signed(payload: bytes, algorithm: str, number: int = 0, head: bytes | None = None, **header: Any) -> str:
    """A token of this payload. `header` is said beside the algorithm; `head` is the whole of it in bytes."""
    signer, _ = _FAMILIES[algorithm]
    raw = json.dumps({"alg": algorithm, **header}).encode() if head is None else head
    text = f"{base64url(raw)}.{base64url(payload)}"
    return f"{text}.{base64url(signer.sign(text.encode(), private_key(algorithm, number)))}"

"""What CPU it costs a front door to know who is asking: `python -m loadtest.tokens`.

The ratios are what to keep. A token that is remembered costs the same whoever signed it; ours are not.
"""

import json
from collections.abc import Callable
from time import thread_time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from frontdoor.jwks import KeyRing, read_keys
from frontdoor.tokens import Identity, TokenVerifier, issue
from shared.clock import unix_now

_ROUNDS = 5
_TOKENS = 400
_SECRET = "only for measuring: what it costs to verify"


def main() -> None:
    """Print microseconds per token, the best of some rounds, and how many times those of our own short way."""
    families: dict[str, tuple[Any, Any]] = {
        "RS256": (RSAAlgorithm, rsa.generate_private_key(65537, 2048)),
        "ES256": (ECAlgorithm, ec.generate_private_key(ec.SECP256R1())),
        "EdDSA": (OKPAlgorithm, ed25519.Ed25519PrivateKey.generate()),
    }
    published = [
        {**kind.to_jwk(key.public_key(), as_dict=True), "key_ops": ["verify"], "kid": name}
        for name, (kind, key) in families.items()
    ]
    ring = KeyRing(read_keys(json.dumps({"keys": published}).encode()))

    def fresh() -> TokenVerifier:
        return TokenVerifier(_SECRET, ring=ring)

    users = [f"usr_{number}" for number in range(_TOKENS)]
    claims = [{"sub": user, "exp": int(unix_now()) + 3600} for user in users]
    ours = [issue(_SECRET, user) for user in users]
    seen, others = fresh(), [jwt.encode(each, _SECRET, headers={"kid": "k"}) for each in claims]
    costs = {
        "HS256, our header": _cost(fresh, ours),
        "HS256, any other header": _cost(fresh, others),
        **{
            name: _cost(fresh, [jwt.encode(each, key, algorithm=name, headers={"kid": name}) for each in claims])
            for name, (_, key) in families.items()
        },
        "remembered": min(_cost(lambda: seen, others), _cost(lambda: seen, others)),
    }
    for name, cost in costs.items():
        print(f"{name:25} {cost * 1e6:7.1f} us {cost / costs['HS256, our header']:6.2f} x")


def _cost(verifier: Callable[[], TokenVerifier], tokens: list[str]) -> float:
    authorizations = [f"Bearer {token}" for token in tokens]
    best = float("inf")
    for _ in range(_ROUNDS):
        asked = verifier()
        began = thread_time()
        for authorization in authorizations:
            if not isinstance(asked.identify(authorization), Identity):
                raise RuntimeError(f"not believed: {authorization}")
        best = min(best, thread_time() - began)
    return best / len(tokens)


if __name__ == "__main__":
    main()

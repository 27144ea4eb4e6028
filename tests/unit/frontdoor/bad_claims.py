"""What a well signed token may say that nobody can go by, and the reason that is named."""

import json
from typing import Any

NOW = 1_800_000_000.0
LATER = int(NOW) + 3600


def claims(**said: Any) -> bytes:
    """Good claims, but for what is said."""
    return json.dumps({"sub": "usr_1", "exp": LATER} | said).encode()


BAD_CLAIMS: dict[str, tuple[bytes, str]] = {
    "payload no json": (b"\xff", "claims_invalid"),
    "payload no object": (b"5", "claims_invalid"),
    "payload deep": (b'{"a":' * 500, "claims_invalid"),
    "sub missing": (b'{"exp":9e9}', "claims_invalid"),
    "sub a number": (claims(sub=5), "claims_invalid"),
    "sub null": (claims(sub=None), "claims_invalid"),
    "sub with lone surrogate": (b'{"sub":"\\ud800","exp":9e9}', "claims_invalid"),
    "sub empty": (claims(sub=""), "user_invalid"),
    "sub too long": (claims(sub="u" * 257), "user_invalid"),
    "sub with NUL": (claims(sub="u\0"), "user_invalid"),
    "exp missing": (b'{"sub":"usr_1"}', "claims_invalid"),
    "exp null": (claims(exp=None), "claims_invalid"),
    "exp text": (claims(exp=str(LATER)), "claims_invalid"),
    "exp bool": (claims(exp=True), "claims_invalid"),
    "exp NaN": (claims(exp=float("nan")), "claims_invalid"),
    "exp Infinity": (claims(exp=float("inf")), "claims_invalid"),
    "exp 1e400": (b'{"sub":"usr_1","exp":1e400}', "claims_invalid"),
    "exp 500 digits": (b'{"sub":"usr_1","exp":' + b"9" * 500 + b"}", "claims_invalid"),
    "exp negative": (claims(exp=-1), "expired"),
    "exp now": (claims(exp=int(NOW)), "expired"),
    "exp past": (claims(exp=NOW - 0.001), "expired"),
    "nbf in the future": (claims(nbf=NOW + 1), "not_yet_valid"),
    "nbf text": (claims(nbf="0"), "claims_invalid"),
    "for an audience": (claims(aud="billing"), "audience"),
    "scope a list": (claims(scope=["admin"]), "claims_invalid"),
}

"""Bad tokens and keys: never a 5xx, always a named reason, and nothing lost by it."""

import base64
import hmac

import jwt

from lastslot.running import Stack
from tests.acceptance.raw_door import BAD_TOKEN, BODY, FIELD, KEY_INVALID, NOBODY, WON, Door, compared
from tests.acceptance.sockets import wire


async def test_keys(door: Door) -> None:
    plain = door.redeem()
    requests, wanted = compared(
        {
            "missing": (door.redeem(without="Idempotency-Key"), (400, "key_missing")),
            "two": (plain.replace(b"Idempotency-Key: key", b"Idempotency-Key: key\r\nIdempotency-Key: other"), KEY_INVALID),
            "twice the same": (
                plain.replace(b"Idempotency-Key: key", b"Idempotency-Key: k\r\nIdempotency-Key: k"),
                KEY_INVALID,
            ),
            "empty": (door.redeem(Idempotency_Key=""), KEY_INVALID),
            "256 characters": (door.redeem(Idempotency_Key="k" * 256), KEY_INVALID),
            "10 KiB": (door.redeem(Idempotency_Key="k" * 10_240), (431, "headers_too_large")),
            "not ASCII": (door.redeem(Idempotency_Key="schlüssel"), KEY_INVALID),
            "tab": (door.redeem(Idempotency_Key="a\tb"), KEY_INVALID),
            "odd but printable": (door.redeem(Idempotency_Key="{}:'\" ~"), WON),
            "255 characters": (door.redeem(Idempotency_Key="k" * 255), WON),
        }
    )
    assert await door.answers(requests) == wanted


async def test_preferences_that_cannot_be_met_are_ignored(door: Door) -> None:
    waits = ["wait=-1", "wait=1e9", "wait=soon", "wait=", "wait=99999999999999999999", "wait=3, wait=-1", "x" * 4_000, ",;=,"]
    assert await door.answers({wait: door.redeem(Prefer=wait) for wait in waits}) == dict.fromkeys(waits, WON)
    twice = door.redeem(Prefer="wait=3").replace(b"Prefer: wait=3", b"Prefer: wait=3\r\nPrefer: wait=-1")
    assert await door.answer(twice) == WON


def base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def token(secret: str, payload: str, header: str = '{"alg":"HS256","typ":"JWT"}') -> str:
    signed = f"{base64url(header.encode())}.{base64url(payload.encode())}"
    return f"Bearer {signed}.{base64url(hmac.digest(secret.encode(), signed.encode(), 'sha256'))}"


def tokens(secret: str) -> dict[str, str]:
    """Authorizations that must be refused, most of them signed with the right secret."""
    live = '{"sub":"mallory","exp":9999999999}'
    expiries = ["null", '"9999999999"', "true", "NaN", "Infinity", "1e400", "-1", "0", "[]", "9" * 500]
    headers = {
        "wrong family": '{"alg":"RS256","typ":"JWT"}',
        "no alg": '{"typ":"JWT"}',
        "odd alg": '{"alg":5}',
        "kid traversal": '{"alg":"HS256","kid":"../../../dev/null"}',
        "odd kid": '{"alg":"HS256","kid":{}}',
        "unknown crit": '{"alg":"HS256","crit":["b65"],"b65":1}',
        "crit surrogate": '{"alg":"HS256","crit":["\\ud800"],"x":1}',
        "detached": '{"alg":"HS256","b64":false,"crit":["b64"]}',
        "deep header": "[" * 1_000,
        "header no object": "5",
    }
    return {
        "nothing": "Bearer ",
        "no token": "Bearer abc",
        "three parts": "Bearer a.b.c",
        "not ASCII": "Bearer tökén",
        "other secret": token("x" * 40, live),
        "alg none": "Bearer " + jwt.encode({"sub": "mallory", "exp": 9_999_999_999}, "", algorithm="none"),
        "signature cut": token(secret, live)[:-1],
        "no exp": token(secret, '{"sub":"mallory"}'),
        **{f"exp {text[:12]}": token(secret, f'{{"sub":"mallory","exp":{text}}}') for text in expiries},
        "nbf": token(secret, '{"sub":"mallory","exp":9999999999,"nbf":9999999998}'),
        "no sub": token(secret, '{"exp":9999999999}'),
        "sub empty": token(secret, '{"sub":"","exp":9999999999}'),
        "sub a number": token(secret, '{"sub":5,"exp":9999999999}'),
        "sub with NUL": token(secret, '{"sub":"a\\u0000","exp":9999999999}'),
        "sub surrogate": token(secret, '{"sub":"\\ud800","exp":9999999999}'),
        "sub too long": token(secret, f'{{"sub":"{"u" * 257}","exp":9999999999}}'),
        "payload no object": token(secret, "5"),
        "5 KiB": token(secret, f'{{"sub":"mallory","exp":9999999999,"x":"{"x" * 5_000}"}}'),
        **{name: token(secret, live, header) for name, header in headers.items()},
    }


async def test_tokens(door: Door, stack: Stack) -> None:
    refused = tokens(stack.jwt_secret)
    requests = {name: door.redeem(Authorization=authorization) for name, authorization in refused.items()}
    assert await door.answers(requests) == dict.fromkeys(refused, BAD_TOKEN)
    requests, wanted = compared(
        {
            "missing": (door.redeem(without="Authorization"), (401, "token_missing")),
            "other scheme": (door.redeem(Authorization="Basic YTpi"), (401, "token_missing")),
            "100 KiB": (door.redeem(Authorization="Bearer " + "a" * 102_400), (431, "headers_too_large")),
        }
    )
    assert await door.answers(requests) == wanted
    requests, wanted = compared(
        {
            "at another call": (wire("GET", "/api/v1/campaigns", door.headers("a", Authorization="Bearer x"), b""), BAD_TOKEN),
            "without the scope": (door.get("/api/v1/campaigns", "ann"), (403, "scope_required")),
        }
    )
    assert await door.admin.answers(requests) == wanted


async def test_the_form_is_told_before_the_sender_but_to_administrators(door: Door) -> None:
    claims, redemptions, campaigns = "/api/v1/claims", "/api/v1/redemptions", "/api/v1/campaigns"
    unsigned, nobody = (401, "token_missing"), {"Host": "door"}
    json_nobody = {**nobody, "Content-Type": "application/json"}
    requests, wanted = compared(
        {
            "redeem": (door.redeem(b"[", without="Authorization"), BODY),
            "validate": (wire("POST", "/api/v1/coupons/validate", {**json_nobody, "Authorization": "Bearer x"}, b"["), BODY),
            "poll": (wire("GET", f"{claims}/{NOBODY}?wait=soon", nobody, b""), FIELD),
            "order": (wire("GET", "/api/v1/orders/%00/redemptions", nobody, b""), FIELD),
            "release": (wire("POST", f"{redemptions}/{NOBODY}/release", json_nobody, b"["), BODY),
            "release by a user": (door.post(f"{redemptions}/{NOBODY}/release", b"[", "ann"), BODY),
            "a good release": (wire("POST", f"{redemptions}/{NOBODY}/release", json_nobody, b'{"reason":"refund"}'), unsigned),
            "confirm": (wire("POST", f"{redemptions}/1/confirm", nobody, b""), unsigned),
        }
    )
    assert await door.answers(requests) == wanted
    requests, wanted = compared(
        {
            "create": (wire("POST", campaigns, json_nobody, b"["), unsigned),
            "create by a user": (door.post(campaigns, b"[", "ann"), (403, "scope_required")),
            "list": (wire("GET", f"{campaigns}?limit=0", nobody, b""), unsigned),
        }
    )
    assert await door.admin.answers(requests) == wanted

"""Bad input at a front door that is a process of its own: never a 5xx, always a named reason, and nothing lost by it.

Every table is sent to one stack, and after every single line of it a good claim is made and must win.
"""

import asyncio
import base64
import gzip
import hmac
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import Any
from urllib.parse import urlsplit

import jwt
import pytest

from lastslot.running import Stack
from tests.acceptance.client import Client
from tests.acceptance.history import Ask
from tests.acceptance.sockets import wire

Wanted = tuple[int, str | None]

NOBODY = "6f0c9d8e-52a5-5b0c-9a53-0d6d9b8a6a11"
BODY, FIELD = (400, "body_invalid"), (400, "field_invalid")
KEY_INVALID, MALFORMED = (400, "key_invalid"), (400, "request_malformed")
UNKNOWN, NOT_JSON, BAD_TOKEN = (404, "unknown_code"), (415, "media_type_unsupported"), (401, "token_invalid")
CLAIM_UNKNOWN, NOT_FOUND = (404, "claim_unknown"), (404, "not_found")
WON: Wanted = (201, None)

_users = count(1)


class Door:
    """Raw requests to a front door, each on a socket of its own, and a good one after each.

    `admin` is the same door at the port for administrators.
    """

    def __init__(self, client: Client, campaign: Mapping[str, Any], at: str = "base_url") -> None:
        self.client = client
        self.admin = self if at == "admin_url" else Door(client, campaign, "admin_url")
        self.code = str(campaign["code"])
        self.campaign_id = str(campaign["campaign_id"])
        parts = urlsplit(getattr(client.stack, at))
        self._host, self._port = parts.hostname or "", parts.port or 0

    async def answers(self, requests: Mapping[str, bytes]) -> dict[str, Wanted]:
        """What each request is answered. Fails when it hurt the claim of somebody who came after it."""
        answered: dict[str, Wanted] = {}
        for name, request in requests.items():
            answered[name] = await self.answer(request)
            good = await self.client.redeem(Ask(f"good-{next(_users)}", self.code, "key"))
            assert good.status == 201, f"{name} hurt the next claim: {good}"
        return answered

    async def answer(self, request: bytes) -> Wanted:
        async with self.connected() as (reader, writer):
            writer.write(request)
            return await read_answer(reader)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection(self._host, self._port)
        try:
            async with asyncio.timeout(30):
                yield reader, writer
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    def headers(self, user: str, *scopes: str, **changed: str) -> dict[str, str]:
        """Those of a good request of `user`; `changed` replaces some (an underscore for a hyphen)."""
        good = {
            "Host": f"{self._host}:{self._port}",
            "Authorization": self.client.bearer(user, *scopes),
            "Idempotency-Key": "key",
            "Content-Type": "application/json",
        }
        return good | {name.replace("_", "-"): value for name, value in changed.items()}

    def redeem(self, body: bytes | None = None, without: str = "", **changed: str) -> bytes:
        user = f"bad-{next(_users)}"
        good = json.dumps({"code": self.code, "order_id": "order"}).encode()
        headers = {name: value for name, value in self.headers(user, **changed).items() if name != without}
        return wire("POST", "/api/v1/coupons/redeem", headers, good if body is None else body)

    def redeem_with(self, member: str, value: str) -> bytes:
        """A redeem body in which `member` is the JSON text `value`."""
        members = {"code": json.dumps(self.code), "order_id": '"order"'} | {member: value}
        return self.redeem(f"{{{','.join(f'{json.dumps(name)}:{text}' for name, text in members.items())}}}".encode())

    def get(self, target: str, user: str, *scopes: str) -> bytes:
        return wire("GET", target, self.headers(user, *scopes), b"")

    def post(self, path: str, body: bytes, user: str, *scopes: str, method: str = "POST") -> bytes:
        return wire(method, path, self.headers(user, *scopes), body)


async def read_answer(reader: asyncio.StreamReader) -> Wanted:
    status_line, *fields = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
    status = int(status_line.split()[1])
    body = json.loads(await reader.readexactly(int(headers["content-length"])))
    if status < 400:
        return status, None
    assert headers["content-type"] == "application/problem+json"
    assert (body["status"], body["type"]) == (status, f"/problems/{body['code']}")
    assert body["title"]
    assert body["detail"]
    return status, body["code"]


def compared(wanted: Mapping[str, tuple[bytes, Wanted]]) -> tuple[dict[str, bytes], dict[str, Wanted]]:
    return {name: request for name, (request, _) in wanted.items()}, {name: answer for name, (_, answer) in wanted.items()}


@pytest.fixture
async def door(client: Client) -> Door:
    return Door(client, await client.campaign(total_limit=None, per_user_limit=1_000))


NO_OBJECT: dict[str, bytes] = {
    "empty": b"",
    "5": b"5",
    "null": b"null",
    "array": b"[]",
    "byte order mark": b'\xef\xbb\xbf{"code":"A","order_id":"1"}',
    "truncated": b'{"code":"A","ord',
    "deep": b"[" * 16_000,
    "NaN": b'{"code":"A","order_id":"1","subtotal":NaN}',
    "lone surrogate": b'{"code":"\\ud800","order_id":"1"}',
    "lone surrogate, encoded": b'{"code":"\xed\xa0\x80","order_id":"1"}',
    "bad UTF-8": b'{"code":"\xff","order_id":"1"}',
    "raw NUL": b'{"code":"\x00","order_id":"1"}',
}
ODD_FIELDS: dict[str, bytes] = {
    "no field": b"{}",
    "unknown field": b'{"code":"A","order_id":"1","limit":1}',
    "unknown deep field": b'{"code":"A","order_id":"1","x":' + b"[" * 16_000,
    "field twice": b'{"code":"A","order_id":"1","code":"B"}',
    "field twice, in escapes": b'{"code":"A","order_id":"1","\\u0063ode":"B"}',
    "code a number": b'{"code":1,"order_id":"1"}',
    "code null": b'{"code":null,"order_id":"1"}',
    "code empty": b'{"code":"","order_id":"1"}',
    "code of 10 KiB": b'{"code":"' + b"A" * 10_240 + b'","order_id":"1"}',
    "5,000 digits": b'{"code":"A","order_id":"1","subtotal":' + b"9" * 5_000 + b"}",
    "bool for int": b'{"code":"A","order_id":"1","subtotal":true}',
    "-1": b'{"code":"A","order_id":"1","subtotal":-1}',
    "2^63": b'{"code":"A","order_id":"1","subtotal":9223372036854775808}',
    "1e400": b'{"code":"A","order_id":"1","subtotal":1e400}',
    "order with NUL": b'{"code":"A","order_id":"\\u0000"}',
    "order with newline": b'{"code":"A","order_id":"a\\nb"}',
    "order too long": b'{"code":"A","order_id":"' + b"1" * 201 + b'"}',
    "user empty": b'{"code":"A","order_id":"1","user_id":""}',
    "user with NUL": b'{"code":"A","order_id":"1","user_id":"\\u0000"}',
    "user too long": b'{"code":"A","order_id":"1","user_id":"' + b"u" * 257 + b'"}',
    "attrs an array": b'{"code":"A","order_id":"1","attrs":[]}',
    "attrs a text": b'{"code":"A","order_id":"1","attrs":"{}"}',
    "attrs with a field twice": b'{"code":"A","order_id":"1","attrs":{"age":1,"age":20}}',
    "attrs with a deep field twice": b'{"code":"A","order_id":"1","attrs":{"a":[{"b":1,"b":2}]}}',
    "first order a number": b'{"code":"A","order_id":"1","first_order":1}',
    "first order a text": b'{"code":"A","order_id":"1","first_order":"true"}',
}


async def test_bodies_of_redeem(door: Door) -> None:
    bodies = {**dict.fromkeys(NO_OBJECT, BODY), **dict.fromkeys(ODD_FIELDS, FIELD)}
    requests = {name: door.redeem(body) for name, body in (NO_OBJECT | ODD_FIELDS).items()}
    assert await door.answers(requests) == bodies


async def test_bodies_of_validate(door: Door) -> None:
    odd = {name: body for name, body in ODD_FIELDS.items() if name != "no field"}
    requests = {
        name: door.post("/api/v1/coupons/validate", body, "ann") for name, body in (NO_OBJECT | odd | {"{}": b"{}"}).items()
    }
    assert await door.answers(requests) == {**dict.fromkeys(NO_OBJECT, BODY), **dict.fromkeys(odd, FIELD), "{}": FIELD}


async def test_odd_attributes(door: Door) -> None:
    adult = '{">=":[{"var":"attrs.age"},18]}'
    code = json.dumps(f"{door.code}-ADULT")
    made = door.post("/api/v1/campaigns", campaign_body(code=code, audience_filter=adult), "root", "admin")
    assert (await door.admin.answer(made))[0] == 201
    mismatch: Wanted = (403, "audience_mismatch")
    tried: dict[str, Wanted] = {
        "{}": mismatch,
        '{"age":null}': mismatch,
        '{"age":"old"}': mismatch,
        '{"age":[]}': mismatch,
        '{"age":{"var":"attrs.age"}}': mismatch,
        '{"age":-1e308}': mismatch,
        '{"age":17.999}': mismatch,
        '{"\\u0000":"\\u0000"}': mismatch,
        '{"age":NaN}': BODY,
        '{"age":1e999}': FIELD,
        '{"age":"\\ud800"}': BODY,
        '{"age":' + "[" * 400 + "]" * 400 + "}": mismatch,
        '{"age":' + "[" * 7_000 + "]" * 7_000 + "}": BODY,
        '{"age":18}': WON,
    }
    members = f'"code":{code},"order_id":"odd attributes"'
    requests = {
        text: door.post(
            "/api/v1/coupons/redeem", f'{{{members},"user_id":"odd-{n}","attrs":{text}}}'.encode(), "till", "service"
        )
        for n, text in enumerate(tried)
    }
    assert await door.answers(requests) == tried
    of_users: dict[str, Wanted] = {
        '"attrs":{}': (403, "scope_required"),
        '"first_order":false': (403, "scope_required"),
        '"attrs":null': mismatch,
    }
    requests = {text: door.post("/api/v1/coupons/redeem", f"{{{members},{text}}}".encode(), "ann") for text in of_users}
    assert await door.answers(requests) == of_users


async def test_what_a_stranger_says_of_a_user_is_not_read(door: Door) -> None:
    headers = {"Host": "door", "Content-Type": "application/json"}
    said: dict[str, Wanted] = {
        '"user_id":"ann"': (401, "token_missing"),
        '"attrs":{}': (401, "token_missing"),
        '"first_order":true': (200, None),
        '"first_order":false': (200, None),
        '"attrs":null': (200, None),
    }
    requests = {
        text: wire("POST", "/api/v1/coupons/validate", headers, f'{{"code":{json.dumps(door.code)},{text}}}'.encode())
        for text in said
    }
    assert await door.answers(requests) == said


async def test_numbers_at_their_edges(door: Door) -> None:
    good = {"0", "2147483647", "2147483648", "4294967296", "1000000000000", "null", "-0"}
    bad = {
        "-1",
        "-9223372036854775809",
        "1000000000001",
        "9007199254740993",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551616",
        "1.0",
        "1e3",
        '"1"',
        "false",
        "[]",
        "{}",
    }
    requests = {text: door.redeem_with("subtotal", text) for text in good | bad}
    assert await door.answers(requests) == {**dict.fromkeys(good, WON), **dict.fromkeys(bad, FIELD)}


async def test_codes_as_people_and_others_type_them(door: Door) -> None:
    code = door.code
    wide = code.translate({ord(letter): ord(letter) + 0xFEE0 for letter in code})
    typed: dict[str, Wanted] = {
        code.lower(): WON,
        f"  {code}\t": WON,
        wide: WON,
        code + "\u0301": UNKNOWN,
        code.replace("A", "\u0410"): UNKNOWN,  # a Cyrillic look-alike
        code.replace("C", "\u216d"): WON,  # the Roman numeral is the letter, by compatibility
        "\u202e" + code: UNKNOWN,
        code + "\u200b": UNKNOWN,
        f"{code[:3]} {code[3:]}": UNKNOWN,
        code + "\0": UNKNOWN,
        code + "\n" + code: UNKNOWN,
        "🎉": UNKNOWN,
        " ": UNKNOWN,
        "' OR 1=1 --": UNKNOWN,
        "%00": UNKNOWN,
        "*": UNKNOWN,
        "A" * 65: UNKNOWN,
        "\ufdfa" * 64: UNKNOWN,  # one character that becomes eighteen
        "A" * 257: FIELD,
    }
    requests = {text: door.redeem_with("code", json.dumps(text)) for text in typed}
    assert await door.answers(requests) == typed


async def test_users_may_be_called_almost_anything(door: Door) -> None:
    users = ["{}", "a:b", "a\nb", "{p0}", "🎉", "%00", "..", "-", "'", "u" * 256, "\u202e", " "]
    replies = await asyncio.gather(*(door.client.redeem(Ask(user, door.code, "key")) for user in users))
    assert [reply.status for reply in replies] == [201] * len(users)
    again = await asyncio.gather(*(door.client.redeem(Ask(user, door.code, "key")) for user in users))
    assert [reply.body["user_id"] for reply in again] == users


async def test_a_user_in_the_body(door: Door) -> None:
    tried: dict[str, Wanted] = {
        '"somebody"': (403, "user_mismatch"),
        '""': FIELD,
        '"\\u0000"': FIELD,
        "5": FIELD,
        json.dumps("u" * 257): FIELD,
        "null": WON,
    }
    assert await door.answers({text: door.redeem_with("user_id", text) for text in tried}) == tried


async def test_media_types(door: Door) -> None:
    good = json.dumps({"code": door.code, "order_id": "order"}).encode()
    requests, wanted = compared(
        {
            "none": (door.redeem(without="Content-Type"), NOT_JSON),
            "text": (door.redeem(Content_Type="text/plain"), NOT_JSON),
            "form": (door.redeem(Content_Type="application/x-www-form-urlencoded"), NOT_JSON),
            "charset foo": (door.redeem(Content_Type="application/json; charset=foo"), NOT_JSON),
            "charset utf-16": (door.redeem(Content_Type="application/json; charset=utf-16"), NOT_JSON),
            "charset utf-8": (door.redeem(Content_Type='Application/JSON;charset="UTF-8"'), WON),
            "gzip": (door.redeem(gzip.compress(good), Content_Encoding="gzip"), NOT_JSON),
            "gzip bomb": (door.redeem(gzip.compress(bytes(10_000_000)), Content_Encoding="gzip"), NOT_JSON),
            "not gzip": (door.redeem(Content_Encoding="gzip"), NOT_JSON),
            "brotli": (door.redeem(Content_Encoding="br"), NOT_JSON),
            "identity": (door.redeem(Content_Encoding="identity"), WON),
            "too large": (door.redeem(b" " * 16_385), (413, "body_too_large")),
        }
    )
    assert await door.answers(requests) == wanted


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


async def test_paths_and_queries(door: Door) -> None:
    claims, orders, campaigns = "/api/v1/claims", "/api/v1/orders", "/api/v1/campaigns"
    admin, redemptions = ("root", "admin"), "/api/v1/redemptions"
    campaign_unknown, redemption_unknown = (404, "campaign_unknown"), (404, "redemption_unknown")
    gets: dict[str, Wanted] = {
        **{f"{claims}/{odd}": CLAIM_UNKNOWN for odd in ("%2e%2e", "%00", "%ff", "1", NOBODY, NOBODY.upper(), "%0a")},
        f"{claims}/%7B%7D": NOT_FOUND,
        f"{claims}/{NOBODY}?wait=-1": FIELD,
        f"{claims}/{NOBODY}?wait=1e9": FIELD,
        f"{claims}/{NOBODY}?wait=%00": FIELD,
        f"{claims}/{NOBODY}?wait=nan": FIELD,
        f"{claims}/{NOBODY}?wait=0&partition=99999999999999999999": CLAIM_UNKNOWN,
        f"{claims}/{NOBODY}?wait=0&partition=%D9%A3": CLAIM_UNKNOWN,
        f"{claims}/{NOBODY}/x": NOT_FOUND,
        f"{claims}/": NOT_FOUND,
        f"{orders}/%00/redemptions": FIELD,
        f"{orders}/%0a/redemptions": FIELD,
        f"{orders}/{'1' * 201}/redemptions": FIELD,
        f"{orders}/%ff/redemptions": (200, None),
        f"{orders}/%2e%2e/redemptions": (200, None),
        f"{orders}/a%2Fb/redemptions": (200, None),
        f"{orders}/%7B%7D/redemptions": (200, None),
        f"{orders}//redemptions": NOT_FOUND,
        f"{orders}/1/refunded": (405, "method_not_allowed"),
        "/%2e%2e/%2e%2e/etc/passwd": NOT_FOUND,
        "/%00": NOT_FOUND,
        "/%ff": NOT_FOUND,
        "/api/v1/coupons/redeem": (405, "method_not_allowed"),
        f"/{'a' * 9_000}": (431, "headers_too_large"),
        "http://[::1/": MALFORMED,
    }
    assert await door.answers({target: door.get(target, "ann") for target in gets}) == gets
    of_admin: dict[str, Wanted] = {
        **{f"{campaigns}/{odd}": campaign_unknown for odd in ("%2e%2e", "%00", "%ff", "1", NOBODY)},
        f"{campaigns}/{NOBODY}/stats": campaign_unknown,
        f"{campaigns}?limit=0": FIELD,
        f"{campaigns}?limit=-1": FIELD,
        f"{campaigns}?limit=99999999999999999999": FIELD,
        f"{campaigns}?after=%00": FIELD,
        f"{campaigns}?after=..": FIELD,
        f"{campaigns}?code=%00": (200, None),
        f"{campaigns}?code=%ff": (200, None),
        f"{campaigns}?code=%ED%A0%80": (200, None),
    }
    assert await door.admin.answers({target: door.get(target, *admin) for target in of_admin}) == of_admin
    steps = {f"{redemptions}/{odd}/confirm": redemption_unknown for odd in ("%2e%2e", "%00", "%ff", "1", NOBODY)}
    assert await door.answers({target: door.post(target, b"", "till", "service") for target in steps}) == steps
    refunds: dict[str, Wanted] = {
        f"{orders}/%00/refunded": FIELD,
        f"{orders}/{'1' * 201}/refunded": FIELD,
        f"{orders}//refunded": NOT_FOUND,
        **{f"{orders}/{odd}/refunded": (200, None) for odd in ("%2e%2e", "%ff", "a%2Fb", "%7B%7D")},
    }
    assert await door.answers({target: door.post(target, b"\xff{", "till", "service") for target in refunds}) == refunds


async def test_bodies_of_release(door: Door) -> None:
    path = f"/api/v1/redemptions/{NOBODY}/release"
    bodies: dict[bytes, Wanted] = {
        b"": BODY,
        b"[]": BODY,
        b"{}": FIELD,
        b'{"reason":"fun"}': FIELD,
        b'{"reason":null}': FIELD,
        b'{"reason":"refund","reason":"failure"}': FIELD,
        b'{"reason":"refund","x":1}': FIELD,
        b'{"reason":"refund"}': (404, "redemption_unknown"),
    }
    requests = {body.decode(): door.post(path, body, "till", "service") for body in bodies}
    assert await door.answers(requests) == {body.decode(): wanted for body, wanted in bodies.items()}


GOOD_CAMPAIGN = {
    "name": '"bad input"',
    "type": '"shared"',
    "code": '"NEVERMADE"',
    "discount": '{"type":"percent","value":10}',
    "total_limit": "1",
}


def campaign_body(**members: str) -> bytes:
    return f"{{{','.join(f'{json.dumps(name)}:{text}' for name, text in (GOOD_CAMPAIGN | members).items())}}}".encode()


#: Bodies with a field that campaigns do not have, before the place at which they stop being JSON.
OTHER_FIELDS_FIRST = ("NaN",)

BAD_CAMPAIGNS: dict[str, tuple[bytes, Wanted]] = {
    **{name: (body, BODY) for name, body in NO_OBJECT.items() if name not in OTHER_FIELDS_FIRST},
    "no field": (b"{}", FIELD),
    "no limit": (campaign_body().replace(b',"total_limit":1', b""), FIELD),
    "unknown field": (campaign_body(x="1"), FIELD),
    "field twice": (campaign_body()[:-1] + b',"name":"other"}', FIELD),
    "inner field twice": (campaign_body(discount='{"type":"percent","value":10,"value":99}'), FIELD),
    "inner unknown field": (campaign_body(discount='{"type":"percent","value":10,"x":1}'), FIELD),
    "name NaN": (campaign_body(name="NaN"), BODY),
    "name surrogate": (campaign_body(name='"\\ud800"'), BODY),
    "name with NUL": (campaign_body(name='"\\u0000"'), FIELD),
    "name empty": (campaign_body(name='""'), FIELD),
    "name of 10 KiB": (campaign_body(name=json.dumps("n" * 10_240)), FIELD),
    "type": (campaign_body(type='"lottery"'), FIELD),
    "code with NUL": (campaign_body(code='"A\\u0000"'), FIELD),
    "code with space": (campaign_body(code='"A B"'), FIELD),
    "code zero-width": (campaign_body(code='"A\\u200bB"'), FIELD),
    "code empty": (campaign_body(code='""'), FIELD),
    "code of 10 KiB": (campaign_body(code=json.dumps("A" * 10_240)), FIELD),
    "percent of 101": (campaign_body(discount='{"type":"percent","value":101}'), FIELD),
    "amount of nothing": (campaign_body(discount='{"type":"amount","value":0,"currency":"EUR"}'), FIELD),
    "amount of 2^63": (campaign_body(discount='{"type":"amount","value":9223372036854775808,"currency":"EUR"}'), FIELD),
    "currency": (campaign_body(discount='{"type":"amount","value":1,"currency":"€"}'), FIELD),
    "discount text": (campaign_body(discount='"10%"'), FIELD),
    **{
        f"{field} {text[:20]}": (campaign_body(**{field: text}), FIELD)
        for field in ("total_limit", "per_user_limit")
        for text in ("-1", "true", '"1"', "1.5", "9223372036854775808", "1e400", "9" * 5_000)
    },
    "per user nothing": (campaign_body(per_user_limit="0"), FIELD),
    "time zone": (campaign_body(timezone='"Europe/Atlantis"'), FIELD),
    "time zone traversal": (campaign_body(timezone='"../../etc/passwd"'), FIELD),
    "time zone NUL": (campaign_body(timezone='"\\u0000"'), FIELD),
    "time no time": (campaign_body(starts_at='"soon"'), FIELD),
    "time a number": (campaign_body(starts_at="5"), FIELD),
    "time of year 0": (campaign_body(ends_at='"0000-01-01T00:00:00"'), FIELD),
    "time of year 99999": (campaign_body(ends_at='"99999-01-01T00:00:00"'), FIELD),
    "time at the end of time": (campaign_body(ends_at='"9999-12-31T23:59:59-12:00"'), FIELD),
    **{
        f"{field} {text[:20]}": (campaign_body(**{field: text}), FIELD)
        for field in ("per_day_limit", "per_week_limit", "per_month_limit", "amount_limit", "minimum_subtotal", "hold_ttl_s")
        for text in ("-1", "true", '"1"', "1.5", "9007199254740992", "9223372036854775808", "1e400")
    },
    **{f"{field} 0": (campaign_body(**{field: "0"}), FIELD) for field in ("per_day_limit", "hold_ttl_s")},
    "money of free shipping": (campaign_body(discount='{"type":"free_shipping"}', amount_limit="1"), FIELD),
    "exact a text": (campaign_body(exact='"yes"'), FIELD),
    "first order a number": (campaign_body(first_order_only="1"), FIELD),
    "shared without a code": (campaign_body(code="null"), FIELD),
    "unique with a code": (campaign_body(type='"unique"'), FIELD),
    "filter a text": (campaign_body(audience_filter='"adults"'), FIELD),
    "filter of two operators": (campaign_body(audience_filter='{"!":1,"!!":1}'), FIELD),
    "filter of no operator": (campaign_body(audience_filter='{"exec":"ls"}'), FIELD),
    "filter that prints": (campaign_body(audience_filter='{"log":"x"}'), FIELD),
    "filter with NUL": (campaign_body(audience_filter='{"var":"\\u0000"}'), FIELD),
    "filter too deep": (campaign_body(audience_filter='{"!":[' * 20 + "1" + "]}" * 20), FIELD),
    "filter much too deep": (campaign_body(audience_filter='{"!":[' * 1_500 + "1" + "]}" * 1_500), BODY),
    "filter too large": (campaign_body(audience_filter=json.dumps({"in": [{"var": "user_id"}, ["u" * 12] * 600]})), FIELD),
    "filter with an operator twice": (campaign_body(audience_filter='{"!":1,"!":2}'), FIELD),
    "stacking an array": (campaign_body(stacking_rules="[]"), FIELD),
    "stacking unknown field": (campaign_body(stacking_rules='{"except":[]}'), FIELD),
    "stacking glob empty": (campaign_body(stacking_rules='{"excludes":[""]}'), FIELD),
    "stacking globs a text": (campaign_body(stacking_rules='{"excludes":"*"}'), FIELD),
    "stacking 101 globs": (campaign_body(stacking_rules=json.dumps({"excludes": ["A*"] * 101})), FIELD),
    "stacking category empty": (campaign_body(stacking_rules='{"category":""}'), FIELD),
    "stacking category with NUL": (campaign_body(stacking_rules='{"category":"a\\u0000"}'), FIELD),
    "day and time": (campaign_body(ends_on='"2030-01-01"', ends_at='"2030-01-01T00:00"'), FIELD),
    "day no day": (campaign_body(ends_on='"2030-02-30"'), FIELD),
    "day with a time": (campaign_body(ends_on='"2030-01-01T00:00"'), FIELD),
    "day at the end of time": (campaign_body(ends_on='"9999-12-31"'), FIELD),
    "ends before it starts": (campaign_body(starts_at='"2030-01-02T00:00"', ends_at='"2030-01-01T00:00"'), FIELD),
}


async def test_bodies_of_campaigns(door: Door) -> None:
    requests = {name: door.post("/api/v1/campaigns", body, "root", "admin") for name, (body, _) in BAD_CAMPAIGNS.items()}
    assert await door.admin.answers(requests) == {name: wanted for name, (_, wanted) in BAD_CAMPAIGNS.items()}


async def test_changes_of_campaigns(door: Door) -> None:
    path = f"/api/v1/campaigns/{door.campaign_id}"
    bodies: dict[bytes, Wanted] = {
        **{body.replace(b'"code"', b'"name"'): BODY for name, body in NO_OBJECT.items() if name not in OTHER_FIELDS_FIRST},
        b'{"code":"OTHER"}': FIELD,
        b'{"status":"ended"}': FIELD,
        b'{"total_limit":-1}': FIELD,
        b'{"total_limit":true}': FIELD,
        b'{"total_limit":1e400}': FIELD,
        b'{"per_user_limit":0}': FIELD,
        b'{"per_user_limit":null}': FIELD,
        b'{"name":null}': FIELD,
        b'{"name":"\\u0000"}': FIELD,
        b'{"discount":{}}': FIELD,
        b'{"ends_at":"never"}': FIELD,
        b'{"type":"pool"}': FIELD,
        b'{"exact":true}': FIELD,
        b'{"minted":5}': FIELD,
        b'{"first_order_only":null}': FIELD,
        b'{"audience_filter":[]}': FIELD,
        b'{"stacking_rules":{"exclusive":null}}': FIELD,
        b'{"hold_ttl_s":0}': FIELD,
        b'{"ends_on":"2030-01-01","ends_at":"2030-01-01T00:00"}': FIELD,
        b'{"total_limit":0}': (409, "limit_below_claimed"),
    }
    won = await door.client.redeem(Ask("first", door.code, "key"))
    assert won.status == 201
    requests = {repr(body): door.post(path, body, "root", "admin", method="PATCH") for body in bodies}
    assert await door.admin.answers(requests) == {repr(body): wanted for body, wanted in bodies.items()}


async def test_http_that_is_none(door: Door) -> None:
    plain = door.redeem()
    head, _, body = plain.partition(b"\r\n\r\n")
    length = b"Content-Length: %d" % len(body)
    host = head.split(b"\r\n")[1]

    def but(old: bytes, new: bytes) -> bytes:
        return plain.replace(old, new, 1)

    requests, wanted = compared(
        {
            "garbage": (b"\x00\x01garbage\r\n\r\n", MALFORMED),
            "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01", MALFORMED),
            "CL and TE": (but(length, length + b"\r\nTransfer-Encoding: chunked"), MALFORMED),
            "two lengths": (but(length, length + b"\r\nContent-Length: 3"), MALFORMED),
            "negative length": (but(length, b"Content-Length: -1"), MALFORMED),
            "two Hosts": (but(host, host + b"\r\nHost: other"), MALFORMED),
            "no Host": (but(host + b"\r\n", b""), MALFORMED),
            "bare LF": (head.replace(b"\r\n", b"\n") + b"\n\n" + body, MALFORMED),
            "200 headers": (but(length, length + b"".join(b"\r\nX-%d: 1" % n for n in range(200))), MALFORMED),
            "9 KiB header": (but(length, length + b"\r\nX: " + b"x" * 9_216), (431, "headers_too_large")),
            "folded header": (but(length, length + b"\r\nX: 1\r\n folded"), MALFORMED),
            "NUL in a header": (but(length, length + b"\r\nX: \x00"), MALFORMED),
            "HTTP/9.9": (but(b"HTTP/1.1", b"HTTP/9.9"), MALFORMED),
            "method": (but(b"POST", b"BREW"), MALFORMED),
            "expectation": (but(length, length + b"\r\nExpect: magic"), (417, "expectation_failed")),
            "chunk size": (but(length, b"Transfer-Encoding: chunked").replace(body, b"zz\r\n"), MALFORMED),
            "endless chunk": (
                but(length, b"Transfer-Encoding: chunked").replace(body, b"10000\r\n" + b" " * 0x10000 + b"\r\n"),
                (413, "body_too_large"),
            ),
        }
    )
    assert await door.answers(requests) == wanted


async def test_odd_but_proper_http_is_served(door: Door) -> None:
    length = b"Content-Length: "
    requests = {
        "HTTP/1.0": door.redeem().replace(b"HTTP/1.1", b"HTTP/1.0"),
        "100 headers": door.redeem().replace(length, b"".join(b"X-%d: 1\r\n" % n for n in range(100)) + length),
        "Latin-1": door.redeem().replace(length, b"X: \xff\r\n" + length),
        "odd request id": door.redeem().replace(length, b'X-Request-Id: "><\xff\r\n' + length),
    }
    assert await door.answers(requests) == dict.fromkeys(requests, WON)


async def test_a_body_that_breaks_off_takes_nothing_along(door: Door) -> None:
    async with door.connected() as (_, writer):
        writer.write(door.redeem()[:-1])
        await writer.drain()
    good = await door.client.redeem(Ask("after", door.code, "key"))
    assert good.status == 201
    stats = await door.client.administer("GET", f"/api/v1/campaigns/{door.campaign_id}/stats", None)
    assert stats.body["claimed"] == 1


async def test_a_thousand_pipelined_requests_are_answered_in_their_order(door: Door) -> None:
    bad, good = door.redeem(b"["), door.redeem()
    async with door.connected() as (reader, writer):
        writer.write((bad * 99 + good) * 10)
        answers = [await read_answer(reader) for _ in range(1_000)]
    assert answers == ([BODY] * 99 + [WON]) + ([BODY] * 99 + [(200, None)]) * 9


async def test_bad_and_good_in_the_same_moment(door: Door) -> None:
    bad = [*NO_OBJECT.values(), *ODD_FIELDS.values()]
    good = [Ask(f"neighbour-{number}", door.code, "key") for number in range(len(bad))]
    refused, replies = await asyncio.gather(
        asyncio.gather(*(door.answer(door.redeem(body)) for body in bad)),
        asyncio.gather(*(door.client.redeem(ask) for ask in good)),
    )
    assert {status for status, _ in refused} == {400}
    assert [reply.status for reply in replies] == [201] * len(good)

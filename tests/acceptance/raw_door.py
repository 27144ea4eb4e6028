"""A front door as it is spoken to by those who do not speak well: bytes in, and the reason that is named.

After every bad request a good claim is made, and must win.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import Any
from urllib.parse import urlsplit

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

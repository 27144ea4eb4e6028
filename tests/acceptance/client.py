"""A client for tests: says what users, checkouts and administrators say, and writes down every answer that a claim got.

The wire formats are spelled out here and not taken from the product, for a test should notice if they change.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import count
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import UUID

import aiohttp
import jwt
import msgspec

from lastslot.running import Stack
from shared.audit import CampaignProof, audit, audit_campaign, render
from shared.clock import monotonic, unix_now
from tests.acceptance.history import Ask, History, Reply
from tests.acceptance.sockets import release_together, wire

_numbers = count(1)
#: Codes and claims are for ever, and a stack may have seen earlier sessions.
_START = format(int(unix_now()), "X")


class Client:
    """Speaks to a stack; `base_url` may be replaced call by call, to speak to one front door of several."""

    def __init__(self, stack: Stack, session: aiohttp.ClientSession) -> None:
        self.stack = stack
        self.history = History()
        #: For how long the tokens that it makes are good.
        self.tokens_live_s = 3_600
        self._session = session
        self._number = next(_numbers)

    def user(self, name: str) -> str:
        """A user of this test's own: a claim is named by user and key alone, whatever it is for."""
        return f"{name}.{self._number}.{_START}"

    def ask(self, campaign: Mapping[str, Any], name: str, **words: Any) -> Ask:
        """What a user asks of the campaign, for an order of their own. Without a `code` it is the one that everybody types."""
        user = self.user(name)
        defaults = {"code": campaign["code"], "key": f"for {campaign['code']}", "order": f"order of {user}"}
        return Ask(user, **{**defaults, **words})

    async def campaign(self, **terms: Any) -> dict[str, Any]:
        """Create a campaign of ten slots, or as `terms` say."""
        reply = await self.create(**terms)
        assert reply.status == 201, reply
        return reply.body

    async def create(self, **terms: Any) -> Reply:
        number = next(_numbers)
        body = {
            "name": f"acceptance {number}",
            "type": "shared",
            "code": f"ACCEPT-{number}-{_START}",
            "discount": {"type": "amount", "value": 500, "currency": "EUR"},
            "total_limit": 10,
            "per_user_limit": 1,
            "timezone": "Europe/Amsterdam",
            **terms,
        }
        return await self.administer("POST", "/api/v1/campaigns", body)

    async def change(self, campaign: Mapping[str, Any], **terms: Any) -> Reply:
        reply = await self.try_change(campaign, **terms)
        assert reply.status == 200, reply
        return reply

    async def try_change(self, campaign: Mapping[str, Any], **terms: Any) -> Reply:
        return await self.administer("PATCH", f"/api/v1/campaigns/{campaign['campaign_id']}", terms)

    async def put(self, campaign: Mapping[str, Any], verb: str) -> None:
        """pause, resume or end."""
        reply = await self.administer("POST", f"/api/v1/campaigns/{campaign['campaign_id']}/{verb}", {})
        assert reply.status == 200, reply

    async def proof(self, campaign: Mapping[str, Any]) -> CampaignProof:
        """The campaign's numbers, from the database."""
        proof = await audit_campaign(self.stack.postgres_dsn, UUID(campaign["campaign_id"]))
        assert proof is not None
        return proof

    async def until_open(self, campaign: Mapping[str, Any]) -> None:
        """Wait until a slot that was freed can be had: it is held back while a front door may still say sold out."""

        async def has_something_to_give() -> bool:
            return (await self.validate(campaign["code"])).status == 200

        await until(has_something_to_give)

    async def administer(self, method: str, path: str, body: Any) -> Reply:
        headers = {"Authorization": f"Bearer {self.stack.admin_token}", "Content-Type": "application/json"}
        return await self.send(method, f"{self.stack.admin_url}{path}", headers, msgspec.json.encode(body))

    async def redeem(
        self, ask: Ask, *, prefer: str | None = None, base_url: str | None = None, within_s: float = 40.0
    ) -> Reply:
        """One redeem call, whatever comes of it."""
        headers = self._redeem_headers(ask, prefer)
        url = f"{base_url or self.stack.base_url}/api/v1/coupons/redeem"
        return self.history.note(ask, await self.send("POST", url, headers, ask.body(), within_s))

    async def insist(self, ask: Ask, *, base_url: str | None = None, within_s: float = 30.0) -> Reply:
        """Redeem as a well-behaved client: again after 503 or a broken connection, and until it is decided after 202."""
        deadline = monotonic() + within_s
        while True:
            try:
                reply = await self.redeem(ask, base_url=base_url, prefer="wait=5")
            except (aiohttp.ClientError, TimeoutError):
                reply = None
            if reply is not None and reply.status not in (202, 503):
                return reply
            assert monotonic() < deadline, f"{ask} was not decided: {reply}"
            await asyncio.sleep(0.05)

    def redeem_bytes(self, ask: Ask, prefer: str | None = None) -> bytes:
        """The redeem call as it goes over the wire."""
        host = urlsplit(self.stack.base_url).netloc
        return wire("POST", "/api/v1/coupons/redeem", {"Host": host, **self._redeem_headers(ask, prefer)}, ask.body())

    async def validate(self, code: str, user: str | None = None, *, base_url: str | None = None, **cart: Any) -> Reply:
        headers = {"Content-Type": "application/json"} | ({"Authorization": self.bearer(user)} if user else {})
        url = f"{base_url or self.stack.base_url}/api/v1/coupons/validate"
        return await self.send("POST", url, headers, msgspec.json.encode({"code": code, **cart}))

    async def read(self, path: str, user: str, *scopes: str) -> Reply:
        return await self.send("GET", f"{self.stack.base_url}{path}", {"Authorization": self.bearer(user, *scopes)})

    async def confirm(self, redemption_id: str) -> Reply:
        return await self._serve(f"/api/v1/redemptions/{redemption_id}/confirm", None)

    async def release(self, redemption_id: str, reason: str) -> Reply:
        return await self._serve(f"/api/v1/redemptions/{redemption_id}/release", {"reason": reason})

    async def refund(self, order_id: str) -> Reply:
        return await self._serve(f"/api/v1/orders/{quote(order_id)}/refunded", None)

    async def _serve(self, path: str, body: Any) -> Reply:
        headers = {"Authorization": self.bearer("checkout", "service"), "Content-Type": "application/json"}
        data = None if body is None else msgspec.json.encode(body)
        return await self.send("POST", f"{self.stack.base_url}{path}", headers, data)

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None, within_s: float = 40.0
    ) -> Reply:
        began = monotonic()
        timeout = aiohttp.ClientTimeout(total=within_s)
        async with self._session.request(method, url, headers=headers, data=body, timeout=timeout) as response:
            raw = await response.read()
            return Reply(response.status, msgspec.json.decode(raw), dict(response.headers), began, monotonic(), raw)

    def bearer(self, user: str, *scopes: str, **said: Any) -> str:
        """A token for the user; `said` are further claims."""
        named = {"scope": " ".join(scopes)} if scopes else {}
        claims = {"sub": user, "exp": int(unix_now()) + self.tokens_live_s, **said} | named
        return f"Bearer {jwt.encode(claims, self.stack.jwt_secret, algorithm='HS256')}"

    def _redeem_headers(self, ask: Ask, prefer: str | None) -> dict[str, str]:
        headers = {
            "Authorization": self.bearer(ask.user),
            "Idempotency-Key": ask.key,
            "Content-Type": "application/json",
        }
        return headers | ({"Prefer": prefer} if prefer else {})

    async def race(
        self, asks: Sequence[Ask], base_urls: Sequence[str] | None = None, *, prefer: str | None = None
    ) -> list[Reply]:
        """All asks at once, each on a socket of its own: all but the last byte is sent, then the last bytes go out together."""
        urls = [urlsplit(url) for url in base_urls or [self.stack.base_url]]
        addresses = [(url.hostname or "", url.port or 0) for url in urls]
        spread = [addresses[number % len(addresses)] for number in range(len(asks))]
        replies = await release_together(spread, [self.redeem_bytes(ask, prefer) for ask in asks])
        return [self.history.note(ask, reply) for ask, reply in zip(asks, replies, strict=True)]

    async def burst(
        self, asks: Sequence[Ask], *, at_once: int = 200, on_reply: Callable[[Reply], Awaitable[None]] | None = None
    ) -> list[Reply]:
        """All asks as well-behaved clients make them, `at_once` of them at a time; the replies in the order of the asks."""
        turn = asyncio.Semaphore(at_once)

        async def one(ask: Ask) -> Reply:
            async with turn:
                reply = await self.insist(ask)
            if on_reply is not None:
                await on_reply(reply)
            return reply

        return await asyncio.gather(*map(one, asks))


@asynccontextmanager
async def judged(stack: Stack) -> AsyncIterator[Client]:
    """A client of as many connections as it likes; at the end its history is judged, and the database audited."""
    async with remembered(stack) as client:
        yield client
    await audited(stack)


@asynccontextmanager
async def remembered(stack: Stack) -> AsyncIterator[Client]:
    """A client of as many connections as it likes; at the end its history is judged."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        client = Client(stack, session)
        yield client
    await client.history.judge(stack.postgres_dsn)


async def audited(stack: Stack) -> None:
    """The whole database, every row that was ever committed."""
    report = await audit(stack.postgres_dsn)
    assert report.clean, render(report)


async def until(condition: Callable[[], Awaitable[bool]], within_s: float = 10.0) -> None:
    """Ask again until it is so."""
    deadline = monotonic() + within_s
    while not await condition():
        assert monotonic() < deadline, "it did not come to be"
        await asyncio.sleep(0.02)

"""Crowds that behave badly while others want their slots."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import aiohttp

from tests.acceptance.history import Ask, Reply
from tests.soak.runs import NOT_YET, Run, Scenario

_SILENT_SOCKETS = 1_000
_PATIENCE_S = 0.15


def crowds() -> Iterator[Scenario]:
    """Those who hang up, and those who say nothing."""
    yield Scenario(name="callers who hang up and ask again", harm=_cancelled)
    yield Scenario(name=f"{_SILENT_SOCKETS:,} silent sockets", harm=_silent_sockets)


async def _cancelled(run: Run) -> None:
    """Many hang up in the middle of their request, and send it again."""

    async def impatient(ask: Ask) -> Reply:
        for _ in range(run.dice.randint(0, 3)):
            try:
                reply = await run.client.redeem(ask, within_s=run.dice.uniform(0.001, _PATIENCE_S))
            except (aiohttp.ClientError, TimeoutError):
                continue
            if reply.status not in NOT_YET:
                return reply
        return await run.insist(ask)

    run.ask = impatient


async def _silent_sockets(run: Run) -> None:
    there = urlsplit(run.stage.stack.base_url)
    async with AsyncExitStack() as sockets:
        for number in range(_SILENT_SOCKETS):
            _, writer = await asyncio.open_connection(there.hostname, there.port)
            sockets.callback(writer.close)
            if number % 2:
                writer.write(b"POST /api/v1/coupons/redeem HTTP/1.1\r\nContent-Le")
        await run.sold(0.9)

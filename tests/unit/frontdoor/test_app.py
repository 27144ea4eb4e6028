"""The parts of a front door end when it does."""

import asyncio
from contextlib import suppress

from frontdoor.app import cancelled


async def test_a_part_that_lost_a_cancellation_on_its_way_ends_all_the_same() -> None:
    async def deaf_at_first() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)
        await asyncio.sleep(3600)

    part = asyncio.create_task(deaf_at_first())
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await cancelled(part)
    assert part.cancelled()

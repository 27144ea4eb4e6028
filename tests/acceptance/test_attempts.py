"""A front door that is killed takes no more than a tenth of a second of attempts with it."""

import asyncio
from collections.abc import Iterator
from itertools import count

import aiohttp
import asyncpg
import pytest

from shared.clock import monotonic
from tests.acceptance.client import Client, judged
from tests.acceptance.stacks import RunningStack, started_stack

LOST_AT_MOST_S = 0.1


async def written(client: Client) -> set[str]:
    connection = await asyncpg.connect(client.stack.postgres_dsn)
    try:
        return {code for (code,) in await connection.fetch("SELECT code FROM redemption_attempts")}
    finally:
        await connection.close()


@pytest.fixture(scope="module")
def hurt() -> Iterator[RunningStack]:
    """A stack of this module's own, whose front doors are killed."""
    with started_stack() as running:
        yield running


async def test_a_killed_front_door_takes_a_tenth_of_a_second_of_attempts_along(hurt: RunningStack) -> None:
    answered: dict[str, float] = {}
    async with judged(hurt.stack) as client:

        async def try_codes(guesser: int) -> None:
            for number in count():
                code = f"GUESS-{guesser}-{number}"
                try:
                    assert (await client.validate(code)).status in (404, 429)
                except (aiohttp.ClientError, TimeoutError):
                    return
                answered[code] = monotonic()

        guessing = [asyncio.create_task(try_codes(guesser)) for guesser in range(16)]
        await asyncio.sleep(1.0)
        for door in hurt.processes("frontdoor"):
            door.kill()
        killed = monotonic()
        await asyncio.gather(*guessing)
        kept = await written(client)
    lost = {code: killed - at for code, at in answered.items() if code not in kept}
    assert len(kept) > 100
    assert max(lost.values(), default=0.0) <= LOST_AT_MOST_S, (len(lost), len(kept), max(lost.values()))

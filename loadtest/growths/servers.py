"""More processes for the same people: shards when everybody wins, front doors when most are refused.

Each number of processes needs a stack of its own, so each has bare aiohttp beside it, with as many processes as front doors.
"""

import asyncio
from secrets import token_hex

import asyncpg

from lastslot.running import Stack
from loadtest.growths.rounds import Rounds, Size, ground
from loadtest.growths.winners import Campaigns
from loadtest.records import Growth, Point, Taken
from loadtest.scenarios import burst
from loadtest.trial import Wrong
from shared.clock import monotonic

#: As many as there are partitions, so that every shard has work.
CAMPAIGNS = 16

_WITHIN_S = 30.0
_OWNERS = "SELECT count(DISTINCT owner) FROM partitions WHERE lease_until > clock_timestamp()"


async def grow_shards(size: Size) -> Growth:
    """One, two and three workers, everybody wins. Raises Wrong."""
    steps = [await _shards(count, size) for count in (1, 2, 3)]
    points = [point for _, point in steps]
    return Growth(steps[0][0], "shards", "Shards, everybody wins", "workers", "claims", _people(size), False, points)


async def _shards(count: int, size: Size) -> tuple[Taken, Point]:
    people = _people(size)
    async with ground(workers=count) as on:
        await _until_owned(on.stack, count)
        campaigns = await Campaigns.open(on.stack, token_hex(3), CAMPAIGNS, people // CAMPAIGNS * (size.rounds + 1))
        rounds = Rounds(on, count)
        for _ in range(size.rounds + 1):
            await rounds.take(campaigns.trial(people, token_hex(4)), campaigns.verify)
        return on.taken, rounds.point()


async def grow_frontdoors(size: Size) -> Growth:
    """One to four front doors, and the burst of 10,000 people for 1,000 slots. Raises Wrong."""
    steps = [await _frontdoors(count, size) for count in (1, 2, 3, 4)]
    points, title = [point for _, point in steps], "Front doors, one slot for ten people"
    return Growth(steps[0][0], "frontdoors", title, "front doors", "answers", burst.PEOPLE, False, points)


async def _frontdoors(count: int, size: Size) -> tuple[Taken, Point]:
    async with ground(frontdoors=count) as on:
        rounds = Rounds(on, count)
        for _ in range(size.rounds + 1):
            trial = await burst.prepare(on.lastslot, token_hex(4), on.stack.jwt_secret)
            await rounds.take(trial)
        return on.taken, rounds.point()


def _people(size: Size) -> int:
    return max(size.people // CAMPAIGNS, 1) * CAMPAIGNS


async def _until_owned(stack: Stack, shards: int) -> None:
    """Wait until each shard has its share."""
    deadline = monotonic() + _WITHIN_S
    connection = await asyncpg.connect(stack.postgres_dsn)
    try:
        while await connection.fetchval(_OWNERS) != shards:
            if monotonic() > deadline:
                raise Wrong(f"the partitions were not shared by {shards} shards within {_WITHIN_S:.0f} s")
            await asyncio.sleep(0.1)
    finally:
        await connection.close()

"""Counters as they are committed, read all the while: they must be within bounds at every moment, not only at the end."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg

_LOOK_EACH_S = 0.05

_READING = """
SELECT slices.campaign_id, slices.budget, slices.claimed,
       (SELECT count(*) FROM redemptions WHERE redemptions.campaign_id = slices.campaign_id AND released_at IS NULL)
FROM (SELECT campaign_id, sum(budget) AS budget, sum(claimed) AS claimed
      FROM campaign_slices WHERE campaign_id = ANY ($1) GROUP BY 1) AS slices
"""


@asynccontextmanager
async def watched(dsn: str, campaigns: Sequence[str], slots: int) -> AsyncIterator[list[str]]:
    """Read the counters all the while; what they must never be is noted."""
    seen: list[str] = []
    watching = asyncio.create_task(_watch(dsn, campaigns, slots, seen))
    try:
        yield seen
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def _watch(dsn: str, campaigns: Sequence[str], slots: int, seen: list[str]) -> None:
    while True:
        try:
            connection = await asyncpg.connect(dsn, timeout=2, command_timeout=5)
            try:
                await _read_on(connection, campaigns, slots, seen)
            finally:
                connection.terminate()
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await asyncio.sleep(_LOOK_EACH_S)  # Postgres is away; that is what is played, perhaps


async def _read_on(
    connection: "asyncpg.Connection[asyncpg.Record]", campaigns: Sequence[str], slots: int, seen: list[str]
) -> None:
    while True:
        for campaign, budget, claimed, active in await connection.fetch(_READING, campaigns):
            if budget != slots or not 0 <= claimed == active <= budget:
                seen.append(f"{campaign}: {claimed} of {budget} claimed, {active} active")
        await asyncio.sleep(_LOOK_EACH_S)

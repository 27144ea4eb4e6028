"""What follows a commit: whoever waits hears of it, and the gates are set to it. For all that was committed at once."""

import asyncio
from collections.abc import Sequence

import structlog

from claim_workers.committer import Committed
from shared import metrics
from shared.crash_points import crash_point
from shared.errors import RedisUnavailable
from shared.feed import publish
from shared.gate import Gate, Moved, Settled, Settling, Term
from shared.redis_client import Redis

#: What the gates of a partition said when they were set.
Answer = Settled | Moved | RedisUnavailable

log = structlog.get_logger()


async def tell(redis: Redis, gate: Gate, committed: Sequence[Committed]) -> list[Answer]:
    """Publish outcomes, set gates and drop from the mailboxes what is decided. What the gates of each partition answered."""
    crash_point("W5")
    _, answers = await asyncio.gather(_publish(redis, committed), _settle(gate, committed))
    return answers


async def _publish(redis: Redis, committed: Sequence[Committed]) -> None:
    try:
        await publish(redis, (told for each in committed for told in each.outcomes))
        crash_point("W7")
    except RedisUnavailable as error:
        # Nobody is left in the dark: whoever waits looks in Postgres.
        partitions = [each.life.partition_no for each in committed]
        log.warning("outcomes_not_published", partitions=partitions, error=str(error))


async def _settle(gate: Gate, committed: Sequence[Committed]) -> list[Answer]:
    crash_point("W6")
    metrics.SETTLE_CALLS.inc(len(committed))
    return await gate.settle_each([_settling(each) for each in committed])


def _settling(committed: Committed) -> Settling:
    life = committed.life
    return Settling(life.partition_no, life.incarnation, committed.settlements, Term(life.epoch, committed.cursor))

"""The end of holds that nobody confirmed: their slots, money and codes go back, in the partition's own order of events."""

import msgspec

from claim_workers.incarnation import Life
from shared.book import lock_partition
from shared.domain.settlement import Settlement
from shared.lifecycle import expire, overdue
from shared.postgres import Pool

#: How many are released in one transaction: what the claims of the partition wait for at most.
BATCH_MAX = 500


class Expired(msgspec.Struct, frozen=True):
    """What the gates are to be set to for the holds that were released. `more`: there may be others that are overdue."""

    settlements: list[Settlement]
    more: bool


async def expire_overdue(pool: Pool, life: Life) -> Expired:
    """Release the most overdue holds of the partition, in one transaction. Raises Fenced."""
    async with pool.acquire(timeout=5) as connection:
        # Mostly there is nothing to lock the partition for.
        if not await overdue(connection, life.partition_no, 1):
            return Expired([], more=False)
        async with connection.transaction():
            head = await lock_partition(connection, life.partition_no, life.epoch)
            # Read again, for a campaign that has moved away meanwhile is another partition's to write.
            holds = await overdue(connection, life.partition_no, BATCH_MAX, head.now)
            return Expired(await expire(connection, head, holds), more=len(holds) == BATCH_MAX)

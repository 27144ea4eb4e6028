"""The end of holds that nobody confirmed: their slots, money and codes go back, in the partition's own order of events."""

from claim_workers.incarnation import Life
from shared.book import lock_partition
from shared.domain.settlement import Settlement
from shared.lifecycle import expire, overdue
from shared.postgres import Pool

#: How many are released in one transaction.
BATCH_MAX = 500


async def expire_overdue(pool: Pool, life: Life) -> list[Settlement]:
    """Release every overdue hold of the partition; what the gates are then to be set to, the latest last. Raises Fenced."""
    settlements: list[Settlement] = []
    while True:
        async with pool.acquire(timeout=5) as connection:
            holds = await overdue(connection, life.partition_no, BATCH_MAX)
            if not holds:
                return settlements
            async with connection.transaction():
                head = await lock_partition(connection, life.partition_no, life.epoch)
                settlements += await expire(connection, head, holds)

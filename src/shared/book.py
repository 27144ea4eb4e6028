"""The ledger in Postgres: lock a partition, extend its chain, and decide again when the facts moved. Every write does so.

A transaction first locks the row of its partition; whoever holds that lock is the one writer of the partition's ledger,
so its sequence has no gaps and its order is the order in which things happened. An owner names its epoch and is refused
when the epoch has moved on (fenced); the direct path names none.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

import asyncpg
import msgspec
import structlog

from shared.domain.ids import Incarnation, PartitionNo
from shared.domain.ledger import Event, extend
from shared.errors import Fenced, ShortWrite
from shared.postgres import Connection, Pool
from shared.statements import statement

T = TypeVar("T")

#: The facts had moved under a decision, or somebody else was in its way; never the fault of what was asked.
DECIDE_AGAIN = (
    ShortWrite,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.TransactionRollbackError,
    asyncpg.LockNotAvailableError,
)
_ATTEMPTS = 5
_PAUSE_S = 0.01

log = structlog.get_logger()


class Head(msgspec.Struct, frozen=True):
    """A partition's row as it stands under our lock. `now` is Postgres's clock after the lock was granted."""

    partition_no: PartitionNo
    epoch: int
    incarnation: Incarnation | None
    cursor: str
    last_seq: int
    chain_head: bytes
    now: datetime


class Page(msgspec.Struct, frozen=True):
    """What goes behind a head: events, and where its owner has come to in the mailbox, if it is its owner who writes."""

    head: Head
    events: list[Event]
    cursor: str | None = None


async def decided(pool: Pool, write: Callable[[Connection], Awaitable[T]]) -> T:
    """What `write` returns, committed. It reads, decides and writes in one transaction, anew when that raises DECIDE_AGAIN.

    After a few attempts the last one's error passes; then, too, nothing was written.
    """
    for attempt in range(1, _ATTEMPTS):
        try:
            return await in_transaction(pool, write)
        except DECIDE_AGAIN as error:
            log.warning("deciding_again", attempt=attempt, error=str(error))
            await asyncio.sleep(_PAUSE_S * attempt)
    return await in_transaction(pool, write)


async def in_transaction(pool: Pool, write: Callable[[Connection], Awaitable[T]]) -> T:
    """What `write` returns, committed, or whatever it or the commit raises."""
    async with pool.acquire(timeout=5) as connection, connection.transaction():
        return await write(connection)


async def lock_partition(connection: Connection, partition_no: PartitionNo, epoch: int | None = None) -> Head:
    """Lock the partition until the end of the transaction. Raises Fenced when `epoch` is no longer the living one."""
    row = await connection.fetchrow(statement("lock_partition"), partition_no, epoch)
    if row is None:
        raise Fenced(f"partition {partition_no} is no longer at epoch {epoch}")
    return Head(partition_no, row[0], row[1], row[2], row[3], row[4], row[5])


async def lock_free(connection: Connection, epochs: Mapping[PartitionNo, int]) -> list[Head]:
    """Lock those of the partitions that are still at these epochs, in ascending order, and pass over what somebody has locked.

    Who is waited for while others' partitions are locked keeps all of them waiting.
    """
    rows = await connection.fetch(statement("lock_free"), list(epochs), list(epochs.values()))
    return [Head(*row) for row in rows]


async def lifeless(connection: Connection, partitions: Iterable[PartitionNo]) -> set[PartitionNo]:
    """Those of `partitions` that have no life in Redis, as last committed; only their lock says that it stays so."""
    return {PartitionNo(number) for (number,) in await connection.fetch(statement("lifeless"), list(partitions))}


async def lock_codes(connection: Connection) -> None:
    """Be the only one to make codes until the end of the transaction. To be called before any partition is locked.

    Who makes codes waits for whoever is making the same: with partitions locked, claims would wait too, and two for ever.
    """
    await connection.execute(statement("lock_codes"))


async def append(connection: Connection, head: Head, events: list[Event], *, cursor: str | None = None) -> int:
    """Write `events` behind `head` and return the ledger sequence reached.

    An owner moves its `cursor` in the same row. Raises ShortWrite when the head is not where it was read.
    """
    return (await append_each(connection, [Page(head, events, cursor)]))[head.partition_no]


async def append_each(connection: Connection, pages: Sequence[Page]) -> dict[PartitionNo, int]:
    """As `append`, for several partitions in one statement: all of it, or ShortWrite."""
    chains = [extend(page.head.last_seq, page.head.chain_head, page.events) for page in pages]
    rows = [row for chain in chains for row in chain]
    heads = [page.head for page in pages]
    moved, written = await connection.fetchrow(  # type: ignore[misc]
        statement("append_ledger"),
        [head.partition_no for head in heads],
        [head.last_seq for head in heads],
        [chain[-1].hash if chain else head.chain_head for head, chain in zip(heads, chains, strict=True)],
        [page.cursor for page in pages],
        [len(chain) for chain in chains],
        [head.partition_no for head, chain in zip(heads, chains, strict=True) for _ in chain],
        [row.seq for row in rows],
        [row.kind for row in rows],
        [row.redemption_id for row in rows],
        [row.payload for row in rows],
        [row.prev_hash for row in rows],
        [row.hash for row in rows],
    )
    if (moved, written) != (len(pages), len(rows)):
        raise ShortWrite
    return {head.partition_no: head.last_seq + len(chain) for head, chain in zip(heads, chains, strict=True)}

"""Whether a partition's Redis state is the one its cursor speaks of; if it is not, a new life of it begins.

Every life has a name, made of Redis's own run id and some random letters, which is part of every key; the name stands in
Postgres beside the cursor and in Redis behind the pointer. A restart, a flush, or a copy restored from yesterday make the
two differ, or leave the mailbox behind the cursor; a key of the wrong type makes the gate refuse everything: then the old
life is over, whatever is left of it.
"""

import secrets

import msgspec
import structlog

from shared.domain.ids import Incarnation, PartitionNo
from shared.errors import Fenced
from shared.gate import Admission, Gate
from shared.mailbox import Mailbox, position
from shared.postgres import Pool
from shared.redis_client import Redis
from shared.statements import statement

log = structlog.get_logger()


class Life(msgspec.Struct, frozen=True):
    """A living incarnation of a partition, as the owner at `epoch` consumes it from `cursor` on."""

    partition_no: PartitionNo
    epoch: int
    incarnation: Incarnation
    cursor: str


async def enter(pool: Pool, redis: Redis, gate: Gate, partition: PartitionNo, epoch: int) -> Life:
    """Go on with the present life when it can be trusted, else begin a new one. Raises Fenced or RedisUnavailable."""
    async with pool.acquire(timeout=5) as connection:
        row = await connection.fetchrow(statement("term"), partition, epoch)
    if row is None:
        raise Fenced(f"partition {partition} is no longer at epoch {epoch}")
    incarnation, cursor = row
    run = await gate.run_id()
    if incarnation is not None and incarnation.startswith(f"{run}-") and await _lives(gate, partition, incarnation):
        last = await Mailbox(redis, partition, incarnation).last_id()
        if position(last) >= position(cursor):
            return Life(partition, epoch, incarnation, cursor)
    return await _begin(pool, gate, partition, epoch, Incarnation(f"{run}-{secrets.token_hex(4)}"))


async def _lives(gate: Gate, partition: PartitionNo, incarnation: Incarnation) -> bool:
    """Whether the pointer names this life and its keys can be worked with: the gate says so when it is asked for nothing."""
    return isinstance(await gate.admit(partition, incarnation, [], []), Admission)


async def _begin(pool: Pool, gate: Gate, partition: PartitionNo, epoch: int, name: Incarnation) -> Life:
    async with pool.acquire(timeout=5) as connection:
        begun = await connection.fetchval(statement("begin_incarnation"), partition, epoch, name)
    if begun is None:
        raise Fenced(f"partition {partition} is no longer at epoch {epoch}")
    # The pointer is flipped last: from here on front doors find the new mailbox, and somebody reads it.
    await gate.point(partition, name)
    log.warning("incarnation_begun", partition=partition, incarnation=name)
    await gate.forget_others(partition, name)
    return Life(partition, epoch, name, "0-0")

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
from shared.errors import Fenced, IncarnationOver
from shared.gate import Gate, Moved, Term
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
    run, pointed = await gate.run_id(), await gate.pointed(partition)
    if incarnation is not None and incarnation.startswith(f"{run}-") and await _lives(gate, partition, incarnation, epoch):
        last = await Mailbox(redis, partition, incarnation).last_id()
        if position(last) >= position(cursor):
            return Life(partition, epoch, incarnation, cursor)
    return await _begin(pool, gate, Life(partition, epoch, Incarnation(f"{run}-{secrets.token_hex(4)}"), "0-0"), pointed)


async def _lives(gate: Gate, partition: PartitionNo, incarnation: Incarnation, epoch: int) -> bool:
    """Whether the pointer names this life and its keys can be worked with: the gate says so when it is asked for nothing.

    From here on it refuses what earlier owners say.
    """
    answers = (
        await gate.admit(partition, incarnation, [], []),
        await gate.settle(partition, incarnation, [], Term(epoch, None)),
    )
    return not any(isinstance(answer, Moved) for answer in answers)


async def _begin(pool: Pool, gate: Gate, life: Life, pointed: bytes) -> Life:
    partition, epoch, name = life.partition_no, life.epoch, life.incarnation
    # While Redis takes nothing, claims are decided without it; a life in name alone would be in their way.
    await gate.probe(partition)
    async with pool.acquire(timeout=5) as connection:
        begun = await connection.fetchval(statement("begin_incarnation"), partition, epoch, name)
    if begun is None:
        raise Fenced(f"partition {partition} is no longer at epoch {epoch}")
    # The pointer is flipped last: from here on front doors find the new mailbox, and somebody reads it.
    if not await gate.point(partition, pointed, name, epoch):
        raise IncarnationOver(f"somebody else has begun a life of partition {partition}")
    log.warning("incarnation_begun", partition=partition, incarnation=name)
    await gate.forget_others(partition, name)
    return life

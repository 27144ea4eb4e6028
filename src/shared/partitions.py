"""Partitions as operators see them: who owns them, how busy they are, how far behind; and asking for one to be moved."""

import asyncio
from collections.abc import Mapping

import msgspec

from shared import clock
from shared.domain.ids import Incarnation, PartitionNo, ShardId
from shared.errors import RedisUnavailable
from shared.mailbox import Mailbox
from shared.postgres import Connection
from shared.redis_client import Redis
from shared.statements import statement

#: For how long is watched what partitions do.
_WATCHED_S = 1.0
#: How often is looked whether a partition has moved, and how long it may take.
_LOOK_S = 0.02
_MOVED_WITHIN_S = 30.0


class PartitionNow(msgspec.Struct, frozen=True):
    """How a partition stands. `lease_left_s` None: nobody owns it. `wanted_by`: the living shard that it was asked to be at."""

    partition_no: PartitionNo
    owner: ShardId | None
    epoch: int
    lease_left_s: float | None
    incarnation: Incarnation | None
    cursor: str
    last_seq: int
    wanted_by: ShardId | None


class Work(msgspec.Struct, frozen=True):
    """What a partition did while it was watched. `hottest`: the campaign that most of its claims were for."""

    claims_per_s: float
    hottest: str | None


class Move(msgspec.Struct, frozen=True):
    """What came of a move: who had the partition before, who has it now, and how many seconds it took."""

    before: ShardId | None
    now: ShardId | None
    seconds: float


async def partitions_now(connection: Connection) -> list[PartitionNow]:
    """All partitions, in order."""
    return [PartitionNow(*row) for row in await connection.fetch(statement("partitions_now"))]


async def living_shards(connection: Connection) -> list[ShardId]:
    return [ShardId(shard) for (shard,) in await connection.fetch(statement("living_shards"))]


async def work_of(connection: Connection, before: list[PartitionNow]) -> Mapping[PartitionNo, Work]:
    """Watch the ledgers of partitions for a second from `before` on. Those that did nothing are left out."""
    began = clock.monotonic()
    await asyncio.sleep(_WATCHED_S)
    numbers, sequences = [each.partition_no for each in before], [each.last_seq for each in before]
    rows = await connection.fetch(statement("decided_since"), numbers, sequences)
    seconds = clock.monotonic() - began
    return {partition: Work(claims / seconds, hottest) for partition, claims, hottest in rows}


async def lag_of(redis: Redis, partition: PartitionNow) -> int | None:
    """How many entries of its mailbox are not decided; None when Redis does not say."""
    if partition.incarnation is None:
        return 0
    try:
        return await Mailbox(redis, partition.partition_no, partition.incarnation).lag(partition.cursor)
    except RedisUnavailable:
        return None


async def move(connection: Connection, partition: PartitionNo, shard: ShardId | None) -> Move:
    """Have a partition owned by `shard` and wait until it is, within reason; None: by whomever, and it is waited for nothing.

    The shard is to be a living one. It keeps the partition until it is gone.
    """
    began = clock.monotonic()
    before: ShardId | None = await connection.fetchval(statement("want_partition"), partition, shard)
    owner = before
    while shard is not None and owner != shard and clock.monotonic() - began < _MOVED_WITHIN_S:
        await asyncio.sleep(_LOOK_S)
        [owner] = [each.owner for each in await partitions_now(connection) if each.partition_no == partition]
    return Move(before, owner, clock.monotonic() - began)

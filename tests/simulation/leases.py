"""Ownership as Postgres keeps it: who lives, who owns what until when, by its own clock (see `acquire_leases.sql`)."""

from collections.abc import Mapping
from typing import TypeAlias

from claim_workers.vouching import VOUCHED_BEFORE_S
from shared.domain.ids import PartitionNo, ShardId
from tests.simulation.postgres import Postgres

TTL_S = 3.0

Renewed: TypeAlias = dict[PartitionNo, bool]
Living: TypeAlias = tuple[ShardId, ...]
Owners: TypeAlias = tuple[tuple[PartitionNo, ShardId | None], ...]


def visit(postgres: Postgres, shard: ShardId, held: Mapping[PartitionNo, int]) -> tuple[Renewed, Living, Owners]:
    """A keeper's round: renew these leases, say that we live, see who else does and who owns what."""
    renewed = renew(postgres, held)
    heartbeat(postgres, shard)
    return renewed, *ownership(postgres)


def ownership(postgres: Postgres) -> tuple[Living, Owners]:
    """Who lives and who owns what. What ends later than could have been granted is the work of a clock that jumped."""
    now = postgres.clock()
    latest = now + 2 * TTL_S
    living = tuple([shard for shard, until in postgres.seen_until.items() if now <= until <= latest])
    rows = postgres.partitions.items()
    return living, tuple([(number, row.owner if now <= row.lease_until <= latest else None) for number, row in rows])


def heartbeat(postgres: Postgres, shard: ShardId) -> None:
    postgres.seen_until[shard] = postgres.clock() + TTL_S


def farewell(postgres: Postgres, shard: ShardId) -> None:
    postgres.seen_until.pop(shard, None)


def acquire(postgres: Postgres, number: PartitionNo, shard: ShardId) -> int | None:
    """The epoch of the new lease; None when somebody has the partition, or holds its row."""
    row, now = postgres.partitions[number], postgres.clock()
    free = row.owner is None or not now <= row.lease_until <= now + 2 * TTL_S
    if postgres.holder(number) is not None or not free:
        return None
    if row.owner is not None:
        postgres.world.note("takeover")
        if postgres.offset:
            postgres.world.note("clock jump expired a lease")
    row.owner, row.epoch, row.lease_until = shard, row.epoch + 1, now + TTL_S
    row.life_until = min(row.life_until, now + VOUCHED_BEFORE_S)
    return row.epoch


def renew(postgres: Postgres, held: Mapping[PartitionNo, int]) -> Renewed:
    """Which of these leases, each by its exact epoch, are renewed, and which are lost; of one whose row is held, neither."""
    told: Renewed = {}
    for number, epoch in held.items():
        row = postgres.partitions[number]
        if row.epoch != epoch or row.owner is None:
            told[number] = False
        elif postgres.holder(number) is None:
            row.lease_until = postgres.clock() + TTL_S
            told[number] = True
    return told


def resign(postgres: Postgres, number: PartitionNo, epoch: int) -> None:
    """Give a partition up, so that the next owner need not wait for the lease to end."""
    row = postgres.partitions[number]
    if row.epoch == epoch and postgres.holder(number) is None:
        row.owner, row.lease_until = None, -1e12

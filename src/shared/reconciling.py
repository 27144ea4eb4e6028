"""Finding where the stores differ, and setting it right: redemptions against slices and codes, and all that against the gates.

Reading twice, or setting right what is right, does no harm, so whoever thinks that it is time may do it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from shared.audit import snapshot
from shared.correcting import correct, make_anew
from shared.domain.drift import Drift, DriftKind
from shared.domain.ids import PARTITIONS, PartitionNo
from shared.gate import Gate
from shared.gate_comparing import PAUSE_S, GateComparison, Looked
from shared.postgres import Pool, close_pool, open_pool
from shared.redis_client import Redis, open_redis
from shared.statements import statement

#: How many drifts within Postgres are told of by type: as many are set right at a time.
_MOST = 1_000

#: So many partitions are compared at once, each with a connection of its own.
CONNECTIONS = 4

_WITHIN_POSTGRES = (
    (DriftKind.SLOTS_MISCOUNTED, "drift_slots"),
    (DriftKind.MONEY_MISCOUNTED, "drift_money"),
    (DriftKind.CODES_MISCOUNTED, "drift_minted"),
    (DriftKind.CODE_MISSTATED, "drift_codes"),
)


class Reconciled(msgspec.Struct, frozen=True):
    """What differed, and what still does; `gates`: how many warm ones were compared."""

    gates: int
    found: list[Drift]
    left: list[Drift]


class Stores(msgspec.Struct, frozen=True):
    """What is compared. `pause_s`: between two looks at a gate that differs."""

    postgres_dsn: str
    pool: Pool
    redis: Redis
    gate: Gate
    pause_s: float = PAUSE_S


@asynccontextmanager
async def opened_stores(postgres_dsn: str, redis_url: str) -> AsyncIterator[Stores]:
    """Both stores, for as long as it takes to reconcile them."""
    pool = await open_pool(postgres_dsn, CONNECTIONS)
    try:
        async with open_redis(redis_url, reply_within_s=5.0) as redis:
            yield Stores(postgres_dsn, pool, redis, Gate(redis, mailbox_max=0))
    finally:
        await close_pool(pool)


async def reconcile(stores: Stores) -> Reconciled:
    """Find what differs. Raises RedisUnavailable."""
    within = await _within_postgres(stores.postgres_dsn)
    gates = await _of_gates(stores)
    return Reconciled(gates.gates, within + gates.drifts, within + gates.drifts)


async def set_right(stores: Stores, by: str) -> Reconciled:
    """Find what differs and set it right, in the name of `by`; what is left has to be looked at. Raises RedisUnavailable.

    Counters first, because gates are set to what they say.
    """
    within = await _within_postgres(stores.postgres_dsn)
    await correct(stores.pool, within, by)
    gates = await _of_gates(stores)
    await make_anew(stores.gate, gates.drifts)
    left = await _within_postgres(stores.postgres_dsn) if within else []
    left += (await _of_gates(stores)).drifts if gates.drifts else []
    return Reconciled(gates.gates, within + gates.drifts, left)


async def _within_postgres(dsn: str) -> list[Drift]:
    """Where tables differ, in one snapshot: nothing of it can lag."""
    async with snapshot(dsn) as connection:
        return [
            Drift(kind, *row[:5]) for kind, name in _WITHIN_POSTGRES for row in await connection.fetch(statement(name), _MOST)
        ]


async def _of_gates(stores: Stores) -> Looked:
    # Asked also when no partition lives: that there is no gate is something that only Redis can say.
    await stores.gate.run_id()
    turns = asyncio.Semaphore(CONNECTIONS)

    async def look(partition: PartitionNo) -> Looked:
        async with turns:
            return await GateComparison(stores.pool, stores.redis, stores.gate, partition, stores.pause_s).look()

    looks = [asyncio.create_task(look(PartitionNo(number))) for number in range(PARTITIONS)]
    try:
        looked = await asyncio.gather(*looks)
    finally:
        # When one store gave no answer, the others' connections are not in use any longer either.
        for each in looks:
            each.cancel()
    return Looked(sum(each.gates for each in looked), [drift for each in looked for drift in each.drifts])

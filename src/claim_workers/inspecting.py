"""A new owner's look at the gates that it finds: those that drifted while they were another's are made anew.

It goes on beside the consumers, one partition after the other, and nobody waits for it: a gate that lies can only refuse too
much or let through too much, and the commit decides either way.
"""

import asyncio

import asyncpg
import structlog

from claim_workers.consumer import Stores
from shared import metrics
from shared.correcting import make_anew
from shared.domain.drift import DriftKind
from shared.domain.ids import PartitionNo, ShardId
from shared.errors import RedisUnavailable
from shared.gate_comparing import PAUSE_S, GateComparison
from shared.postgres import NO_ANSWER, for_a_look
from shared.process import stopped_within
from shared.statements import statement

_LOOK_EVERY_S = 1.0

log = structlog.get_logger()


class Inspector:
    """Inspects each partition that a shard comes to own, once for each term."""

    def __init__(self, stores: Stores, shard: ShardId, pause_s: float = PAUSE_S) -> None:
        self._stores = stores
        self._shard = shard
        self._pause_s = pause_s
        self._inspected: dict[PartitionNo, int] = {}
        # From the start, or who watches would take the first of a kind for what had been there before.
        for kind in DriftKind:
            metrics.DRIFTS_FOUND.labels(kind)

    async def keep(self, stopping: asyncio.Event) -> None:
        """Inspect until told to stop, through any failure of a store."""
        while not await stopped_within(stopping, _LOOK_EVERY_S):
            try:
                await self.look()
            except (RedisUnavailable, asyncpg.PostgresError, *NO_ANSWER) as error:
                log.warning("inspection_waits", error=repr(error))
            except Exception as error:
                log.error("inspection_failed", exc_info=error)

    async def look(self) -> None:
        """Inspect what this shard owns and has not inspected in this term."""
        async with for_a_look(self._stores.pool) as connection:
            owned = await connection.fetch(statement("owned_partitions"), self._shard)
        for partition, epoch in owned:
            if self._inspected.get(partition) != epoch:
                await self._inspect(partition)
                self._inspected[partition] = epoch

    async def _inspect(self, partition: PartitionNo) -> None:
        stores = self._stores
        looked = await GateComparison(stores.pool, stores.redis, stores.gate, partition, self._pause_s).look()
        for drift in looked.drifts:
            metrics.DRIFTS_FOUND.labels(drift.kind).inc()
            log.warning("drift", **drift.told())
        await make_anew(stores.gate, looked.drifts)

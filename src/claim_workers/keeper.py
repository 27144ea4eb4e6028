"""Keeping a shard's leases: say that we live, see who else does, take our share, give up what is too much, renew the rest.

Each lease is served by one consumer; the keeper starts it when the lease is won and lets it finish its batch before the
lease is resigned, so that the next owner starts from a settled partition and at once.
"""

import asyncio

import structlog

from claim_workers.consumer import Consumer, Stores
from claim_workers.core.ownership import plan
from shared import clock, metrics
from shared.domain.ids import PartitionNo, ShardId
from shared.domain.lease import Lease, trusted_until
from shared.process import stopped_within
from shared.statements import statement

log = structlog.get_logger()


class Keeper:
    """The leases of one shard, and the consumers that serve them."""

    def __init__(self, stores: Stores, shard: ShardId, ttl_s: float, batch_max: int) -> None:
        self._stores = stores
        self._shard = shard
        self._ttl_s = ttl_s
        self._batch_max = batch_max
        self._serving: dict[PartitionNo, tuple[Consumer, asyncio.Task[None]]] = {}

    async def keep(self, stopping: asyncio.Event) -> None:
        """Keep leases until told to stop, then resign them all."""
        while not stopping.is_set():
            try:
                await self._round()
            except Exception as error:
                # A store that does not answer costs us our leases in time, by trust running out; it must not end the shard.
                log.warning("leases_not_kept", error=repr(error))
            await stopped_within(stopping, self._ttl_s / 6)
        await self._leave()

    async def _round(self) -> None:
        await self._renew()
        async with self._stores.pool.acquire(timeout=self._ttl_s) as connection:
            await connection.execute(statement("shard_heartbeat"), self._shard, self._ttl_s)
            [(living, partitions, owners)] = await connection.fetch(statement("ownership"), self._ttl_s)
        todo = plan(self._shard, living, dict(zip(partitions, owners, strict=True)))
        await asyncio.gather(*(self._resign(partition) for partition in todo.resign))
        for partition in todo.acquire:
            await self._acquire(partition)
        metrics.LEASES_HELD.set(len(self._serving))

    async def _renew(self) -> None:
        """Renew what is served; let go of what is lost or whose consumer has ended."""
        for partition in [partition for partition, (_, task) in self._serving.items() if task.done()]:
            await self._resign(partition)
        leases = [consumer.lease for consumer, _ in self._serving.values()]
        if not leases:
            return
        started = clock.monotonic()
        async with self._stores.pool.acquire(timeout=self._ttl_s) as connection:
            rows = await connection.fetch(
                statement("renew_leases"),
                [lease.partition_no for lease in leases],
                [lease.epoch for lease in leases],
                self._ttl_s,
            )
        renewed = {partition for (partition,) in rows}
        for lease in leases:
            consumer, _ = self._serving[lease.partition_no]
            if lease.partition_no in renewed:
                consumer.lease = Lease(lease.partition_no, lease.epoch, trusted_until(started, self._ttl_s))
            else:
                consumer.stop()

    async def _acquire(self, partition: PartitionNo) -> None:
        if partition in self._serving:
            return
        started = clock.monotonic()
        async with self._stores.pool.acquire(timeout=self._ttl_s) as connection:
            epoch = await connection.fetchval(statement("acquire_lease"), partition, self._shard, self._ttl_s)
        if epoch is None:
            return
        consumer = Consumer(self._stores, Lease(partition, epoch, trusted_until(started, self._ttl_s)), self._batch_max)
        self._serving[partition] = (consumer, asyncio.create_task(consumer.run(), name=f"consumer-{partition}"))

    async def _resign(self, partition: PartitionNo) -> None:
        """Let the consumer finish its batch, then give the lease up by its exact epoch."""
        consumer, task = self._serving[partition]
        consumer.stop()
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("consumer_failed", partition=partition, exc_info=error)
        async with self._stores.pool.acquire(timeout=self._ttl_s) as connection:
            await connection.execute(statement("resign_lease"), partition, consumer.lease.epoch)
        del self._serving[partition]
        log.info("partition_resigned", partition=partition, epoch=consumer.lease.epoch)

    async def _leave(self) -> None:
        await asyncio.gather(*(self._resign(partition) for partition in list(self._serving)), return_exceptions=True)
        async with self._stores.pool.acquire(timeout=self._ttl_s) as connection:
            await connection.execute(statement("shard_farewell"), self._shard)

"""Keeping a shard's leases: say that we live, see who else does, take our share, give up what is too much, renew the rest.

Each lease is served by one consumer, in a task of its own, which finishes its batch and then resigns the lease, so that the
next owner starts from a settled partition and at once. The keeper waits for no consumer and for no row that somebody holds
(a front door that was frozen in a release holds one for seconds): one partition that stands still stops no other.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import msgspec
import structlog

from claim_workers.consumer import Consumer, Stores
from claim_workers.core.ownership import plan
from shared import clock, metrics
from shared.crash_points import crash_point
from shared.domain.ids import PartitionNo, ShardId
from shared.domain.lease import Lease, trusted_until
from shared.postgres import Connection
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
        async with self._connection() as connection:
            await connection.execute(statement("shard_heartbeat"), self._shard, self._ttl_s)
            [(living, partitions, owners)] = await connection.fetch(statement("ownership"), self._ttl_s)
        todo = plan(self._shard, living, dict(zip(partitions, owners, strict=True)))
        # What is ours in Postgres and not served here (an answer was lost) runs out by itself.
        for partition in self._serving.keys() & set(todo.resign):
            self._serving[partition][0].stop()
        for partition in todo.acquire:
            await self._acquire(partition)
        metrics.LEASES_HELD.set(len(self._serving))

    async def _renew(self) -> None:
        """Renew what is served: what nobody holds in one statement, the rest one by one."""
        serving = {partition: consumer for partition, (consumer, _) in self._serving.items()}
        if not serving:
            return
        started = clock.monotonic()
        epochs = [consumer.lease.epoch for consumer in serving.values()]
        async with self._connection() as connection:
            rows = await connection.fetch(statement("renew_leases"), list(serving), epochs, self._ttl_s)
        crash_point("W8")
        for (partition,) in rows:
            self._trust(serving.pop(partition), started)
        # A partition's own commits hold its row most of the time when it is busy: left out, it would never be renewed.
        await asyncio.gather(*(self._renew_held(consumer) for consumer in serving.values()))

    async def _renew_held(self, consumer: Consumer) -> None:
        lease, started = consumer.lease, clock.monotonic()
        try:
            async with self._connection() as connection:
                renewed = await connection.fetchval(statement("renew_lease"), lease.partition_no, lease.epoch, self._ttl_s)
        except asyncpg.LockNotAvailableError:
            # Not lost: its consumer goes on for as long as it may trust the lease.
            log.warning("partition_held", partition=lease.partition_no)
            return
        if renewed is None:
            consumer.stop()
        else:
            self._trust(consumer, started)

    def _trust(self, consumer: Consumer, started: float) -> None:
        consumer.lease = msgspec.structs.replace(consumer.lease, trusted_until=trusted_until(started, self._ttl_s))

    async def _acquire(self, partition: PartitionNo) -> None:
        if partition in self._serving:
            return
        started = clock.monotonic()
        async with self._connection() as connection:
            epoch = await connection.fetchval(statement("acquire_lease"), partition, self._shard, self._ttl_s)
        if epoch is None:
            return
        consumer = Consumer(self._stores, Lease(partition, epoch, trusted_until(started, self._ttl_s)), self._batch_max)
        self._serving[partition] = (consumer, asyncio.create_task(self._serve(consumer), name=f"consumer-{partition}"))

    async def _serve(self, consumer: Consumer) -> None:
        """Consume until the lease is lost or to be given up, and give it up by its exact epoch."""
        partition, epoch = consumer.lease.partition_no, consumer.lease.epoch
        try:
            await self._consume(consumer)
            async with self._connection() as connection:
                await connection.execute(statement("resign_lease"), partition, epoch)
            log.info("partition_resigned", partition=partition, epoch=epoch)
        except Exception as error:
            log.warning("lease_left_to_run_out", partition=partition, epoch=epoch, error=repr(error))
        finally:
            del self._serving[partition]

    async def _consume(self, consumer: Consumer) -> None:
        try:
            await consumer.run()
        except Exception:
            log.exception("consumer_failed", partition=consumer.lease.partition_no)

    async def _leave(self) -> None:
        serving = list(self._serving.values())
        for consumer, _ in serving:
            consumer.stop()
        await self._ended([task for _, task in serving])
        try:
            async with self._connection() as connection:
                await connection.execute(statement("shard_farewell"), self._shard)
        except Exception as error:
            log.warning("farewell_not_said", error=repr(error))

    async def _ended(self, tasks: list[asyncio.Task[None]]) -> None:
        """Wait for what consumers have at hand; what takes longer than a lease is decided by the next owner."""
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=self._ttl_s)
        for task in late:
            log.warning("consumer_abandoned", task=task.get_name())
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        """A connection that is hung up when it falls silent, in time for the leases to be renewed on another."""
        async with self._stores.keeping.acquire(timeout=self._ttl_s) as connection:
            try:
                async with asyncio.timeout(self._ttl_s / 3):
                    yield connection
            except TimeoutError:
                connection.terminate()
                raise

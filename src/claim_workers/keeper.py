"""Keeping a shard's leases: say that we live, see who else does, take our share, give up what is too much, renew the rest.

Each lease is served by one consumer, in a task of its own, which finishes its batch and then resigns the lease, so that the
next owner starts from a settled partition; it hears of that and starts at once. The keeper waits for no consumer, and for
rows that somebody holds only a moment and side by side (a front door that was frozen in a release holds one for seconds, many
that commit hold one by turns): one partition that stands still stops no other.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg
import msgspec
import structlog

from claim_workers.consumer import Consumer, Stores
from claim_workers.core.ownership import plan
from claim_workers.reach import Reach
from claim_workers.ringing import listen
from claim_workers.serving import served
from claim_workers.turns import Turns
from claim_workers.vouching import VOUCHED_BEFORE_S
from shared import clock, metrics
from shared.book import lock_partition
from shared.crash_points import crash_point
from shared.domain.ids import PartitionNo, ShardId
from shared.domain.lease import Lease, trusted_until
from shared.postgres import NO_ANSWER, Connection
from shared.process import abandoned
from shared.statements import statement

#: How many leases' time a shard takes nothing after a partition stood still with it. Others have what it had meanwhile.
_REST_TTLS = 10

#: How long after somebody's time has run out we look.
_AFTER_END_S = 0.01

log = structlog.get_logger()


async def acquired(
    connection: Connection, partitions: Sequence[PartitionNo], shard: ShardId, ttl_s: float
) -> dict[PartitionNo, int]:
    """The epochs of those of `partitions` that were free and are the shard's now; one whose row is held is passed over."""
    rows = await connection.fetch(statement("acquire_leases"), partitions, shard, ttl_s, VOUCHED_BEFORE_S)
    return {PartitionNo(partition): epoch for epoch, partition in rows}


class Keeper:
    """The leases of one shard, and the consumers that serve them."""

    def __init__(self, stores: Stores, shard: ShardId, ttl_s: float, batch_max: int) -> None:
        self._stores = stores
        self._turns = Turns(stores.pool, stores.redis, stores.gate, batch_max)
        self._shard = shard
        self._ttl_s = ttl_s
        self._batch_max = batch_max
        self._serving: dict[PartitionNo, tuple[Consumer, asyncio.Task[None]]] = {}
        self._rung = asyncio.Event()
        self._reach = Reach(stores.redis)
        self._listed = False
        self._cut_off_since: float | None = None
        self._rests_until = 0.0
        #: When to renew again. Who is rung in between only looks, and takes what was given up: somebody may be waiting.
        self._due = 0.0
        #: When somebody's time runs out, if he does not renew: what he had is taken then, and not when we next happen to look.
        self._next_end = math.inf

    async def keep(self, stopping: asyncio.Event) -> None:
        """Keep leases until told to stop, then resign them all."""
        await self._reach.ask()
        ears = [
            asyncio.create_task(listen(self._stores.keeping, self._rung, self._ttl_s / 3)),
            asyncio.create_task(self._reach.keep_asking(self._ttl_s / 6)),
            asyncio.create_task(self._ring_at(stopping)),
        ]
        try:
            while not stopping.is_set():
                await self._look()
                await self._rung_within(self._pause_s())
            await self._leave()
        finally:
            await abandoned(*ears)

    def _pause_s(self) -> float:
        """For how long nothing needs to be looked at, unless somebody rings."""
        now = clock.monotonic()
        return min(max(0.0, self._due - now) or self._ttl_s / 6, max(_AFTER_END_S, self._next_end - now))

    async def _ring_at(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        self._rung.set()

    async def _rung_within(self, seconds: float) -> None:
        """Wait until ownership changed, for so long at most."""
        try:
            async with asyncio.timeout(seconds):
                await self._rung.wait()
        except TimeoutError:
            return

    async def _look(self) -> None:
        self._rung.clear()
        # An end is waited for once: it lies behind us for as long as Postgres does not tell us of the next.
        self._next_end = math.inf
        try:
            await self._round()
        except Exception as error:
            # A store that does not answer costs us our leases in time, by trust running out; it must not end the shard.
            log.warning("leases_not_kept", error=repr(error))

    async def _round(self) -> None:
        if due := clock.monotonic() >= self._due:
            await self._renew()
        async with self._connection() as connection:
            [row] = await connection.fetch(statement("ownership"), self._ttl_s)
        living, reaching, resting, ends_in, *places = row
        self._next_end = math.inf if ends_in is None else clock.monotonic() + ends_in + _AFTER_END_S
        if self._cut_off(others_reach=bool(set(reaching) - {self._shard})):
            await self._step_back()
            return
        rests = clock.monotonic() < self._rests_until
        if due or not self._listed or rests != (self._shard in resting):
            async with self._connection() as connection:
                await connection.execute(statement("shard_heartbeat"), self._shard, self._ttl_s, self._reach.answers, rests)
            self._listed = True
        if due:
            self._due = clock.monotonic() + self._ttl_s / 6
        partitions, owners, wanted = places
        todo = plan(
            self._shard,
            living,
            dict(zip(partitions, owners, strict=True)),
            {partition: shard for partition, shard in zip(partitions, wanted, strict=True) if shard is not None},
            {*resting, self._shard} if rests else set(resting) - {self._shard},
        )
        # What is ours in Postgres and not served here (an answer was lost) runs out by itself.
        for partition in self._serving.keys() & set(todo.resign):
            self._serving[partition][0].stop()
        await self._acquire(todo.acquire)
        metrics.LEASES_HELD.set(len(self._serving))

    def _cut_off(self, *, others_reach: bool) -> bool:
        """Whether Redis answers others and not us, and that for as long as a lease lasts, unless we have nothing to lose."""
        if self._reach.answers or not others_reach:
            self._cut_off_since = None
            return False
        now = clock.monotonic()
        self._cut_off_since = self._cut_off_since or now
        return not self._listed or now - self._cut_off_since > self._ttl_s

    async def _step_back(self) -> None:
        """Leave everything to those whom Redis answers, until it answers us."""
        if self._listed:
            log.error("shard_cut_off", shard=self._shard)
        await self._give_up_everything()

    async def _give_up_everything(self) -> None:
        """First off the list: those who live then take each partition as it is resigned, without regard to our share."""
        try:
            async with self._connection() as connection:
                await connection.execute(statement("shard_farewell"), self._shard)
            self._listed = False
        except Exception as error:
            log.warning("farewell_not_said", error=repr(error))
        for consumer, _ in self._serving.values():
            consumer.stop()

    async def _renew(self) -> None:
        """Renew what is served: what nobody holds in one statement, the rest one by one."""
        serving = {partition: consumer for partition, (consumer, _) in self._serving.items() if consumer.may_act()}
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
            log.warning("lease_lost", partition=lease.partition_no, epoch=lease.epoch)
            consumer.stop()
        else:
            self._trust(consumer, started)

    def _trust(self, consumer: Consumer, started: float) -> None:
        consumer.lease = msgspec.structs.replace(consumer.lease, trusted_until=trusted_until(started, self._ttl_s))

    async def _acquire(self, partitions: list[PartitionNo]) -> None:
        wanted = [partition for partition in partitions if partition not in self._serving]
        if not wanted:
            return
        started = clock.monotonic()
        async with self._connection() as connection:
            epochs = await acquired(connection, wanted, self._shard, self._ttl_s)
        for partition, epoch in epochs.items():
            self._start(partition, epoch, started)
        # What others' commits hold most of the time would hardly ever be found free: we stand in line for it, as they do.
        await asyncio.gather(*(self._acquire_held(partition) for partition in wanted if partition not in self._serving))

    async def _acquire_held(self, partition: PartitionNo) -> None:
        started = clock.monotonic()
        try:
            async with self._connection() as connection, connection.transaction():
                await lock_partition(connection, partition)
                epochs = await acquired(connection, [partition], self._shard, self._ttl_s)
        except (asyncpg.LockNotAvailableError, *NO_ANSWER) as error:
            log.warning("partition_not_acquired", partition=partition, error=repr(error))
            return
        for epoch in epochs.values():
            self._start(partition, epoch, started)

    def _start(self, partition: PartitionNo, epoch: int, started: float) -> None:
        """Serve a partition that is ours since `started` at the earliest."""
        lease = Lease(partition, epoch, trusted_until(started, self._ttl_s))
        consumer = Consumer(self._stores, self._turns, lease, self._batch_max)
        self._serving[partition] = (consumer, asyncio.create_task(self._serve(consumer), name=f"lease-{partition}"))

    async def _serve(self, consumer: Consumer) -> None:
        """Consume until the lease is lost or to be given up, and give it up by its exact epoch."""
        partition, epoch = consumer.lease.partition_no, consumer.lease.epoch
        try:
            await served(consumer, self._reach, self._ttl_s, self._rest)
            async with self._connection() as connection:
                await connection.execute(statement("resign_lease"), partition, epoch)
            log.info("partition_resigned", partition=partition, epoch=epoch)
        except Exception as error:
            log.warning("lease_left_to_run_out", partition=partition, epoch=epoch, error=repr(error))
        finally:
            del self._serving[partition]

    def _rest(self) -> None:
        """Take nothing for a while: where one partition stood still, the next one may."""
        self._rests_until = clock.monotonic() + _REST_TTLS * self._ttl_s
        self._rung.set()

    async def _leave(self) -> None:
        """Wait for what consumers have at hand; what takes longer than a lease is decided by the next owner."""
        await self._give_up_everything()
        if tasks := [task for _, task in self._serving.values()]:
            _, late = await asyncio.wait(tasks, timeout=1.5 * self._ttl_s)
            for task in late:
                log.warning("lease_abandoned", task=task.get_name())
            await abandoned(*late)

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

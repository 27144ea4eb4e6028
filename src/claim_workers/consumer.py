"""One consumer per owned partition: read the mailbox, and hand in what has come. It serves one lease and then ends."""

import asyncio

import msgspec
import structlog

from claim_workers.committer import Batch
from claim_workers.expiry import expire_overdue
from claim_workers.incarnation import Life, enter
from claim_workers.settling import Settler
from claim_workers.turns import Turns
from claim_workers.vouching import Vouching
from shared import clock, metrics
from shared.book import DECIDE_AGAIN
from shared.crash_points import crash_point
from shared.domain.lease import Lease
from shared.errors import Fenced, IncarnationOver, RedisUnavailable
from shared.gate import Gate
from shared.mailbox import Mailbox, Post
from shared.postgres import NO_ANSWER, Pool
from shared.redis_client import Redis

#: How long a read waits for entries, and how often the gates in use are set again: with that wait, within a second.
_BLOCK_MS = 200
_TICK_S = 0.75

#: How long to wait before going on from the cursor after a store gave no answer, or none that stood still.
_PAUSE_S = 0.1

log = structlog.get_logger()


class Stores(msgspec.Struct, frozen=True):
    """What a shard is connected to. `reading` is a client of its own, because its calls block.

    `keeping` is for the leases alone: they are renewed also while every other connection waits for something, and no lock is
    waited for there longer than the other leases can.
    """

    pool: Pool
    keeping: Pool
    redis: Redis
    reading: Redis
    gate: Gate


class Consumer:
    """Consumes one partition until it is told to stop, is fenced, or can no longer trust its lease.

    The keeper moves `lease` on as it renews it. `progressed_at` is when a store last answered to its work (see `serving`), in
    seconds of the monotonic clock.
    """

    def __init__(self, stores: Stores, turns: Turns, lease: Lease, batch_max: int) -> None:
        self.lease = lease
        self._stores = stores
        self._turns = turns
        self._batch_max = batch_max
        self._stopping = False
        self._vouching = Vouching(stores.gate, lambda: self.lease.trusted_until)
        self.progressed_at = clock.monotonic()

    def stop(self) -> None:
        """Finish the batch at hand, then end."""
        self._stopping = True

    async def run(self) -> None:
        try:
            await self._serve()
        finally:
            # Whose lease ran out because Postgres is away vouches on: nobody decides anything there.
            if self.lease.trusted(clock.monotonic()):
                await self._vouching.end()

    async def _serve(self) -> None:
        lease = self.lease
        log.info("partition_gained", partition=lease.partition_no, epoch=lease.epoch)
        crash_point("W0")
        while self.may_act():
            try:
                life = await self._enter()
                self._progressed()
                await self._live(life)
            except Fenced as fenced:
                metrics.FENCED.inc()
                log.warning("fenced", partition=lease.partition_no, epoch=lease.epoch, reason=str(fenced))
                return
            except IncarnationOver as over:
                log.warning("incarnation_over", partition=lease.partition_no, reason=str(over))
            except (RedisUnavailable, *NO_ANSWER) as error:
                log.warning("store_unavailable", partition=lease.partition_no, error=repr(error))
                await asyncio.sleep(_PAUSE_S)
            except DECIDE_AGAIN as error:
                log.warning("facts_keep_moving", partition=lease.partition_no, error=repr(error))
                await asyncio.sleep(_PAUSE_S)

    def may_act(self) -> bool:
        """Whether it is to go on: it was not told to stop, and may trust its lease."""
        return not self._stopping and self.lease.trusted(clock.monotonic())

    def _progressed(self) -> None:
        self.progressed_at = clock.monotonic()

    async def _enter(self) -> Life:
        """Go on with the partition's life, or begin one, and vouch for it; or end what cannot be reached."""
        lease, stores = self.lease, self._stores
        if self._vouching.given_up:
            await self._vouching.give_up(stores.pool, lease)
        try:
            life = await enter(stores.pool, stores.redis, stores.gate, lease.partition_no, lease.epoch)
        except RedisUnavailable:
            await self._vouching.give_up(stores.pool, lease)
            raise
        return await self._vouching.begin(stores.pool, life)

    async def _live(self, life: Life) -> None:
        """Consume one incarnation, from its cursor on."""
        mailbox = Mailbox(self._stores.reading, life.partition_no, life.incarnation)
        settler = Settler(self._stores.pool, self._stores.gate, life, self._progressed)
        # Whoever was here before may have committed without settling.
        await settler.make_good(await mailbox.unsettled(life.cursor), life.cursor)
        cursor, bell, tick_due, expiry_due = life.cursor, "0-0", 0.0, False
        while self.may_act():
            post: Post = await mailbox.read(cursor, bell, self._batch_max, 0 if expiry_due else _BLOCK_MS)
            self._progressed()
            bell = post.bell
            if post.entries:
                crash_point("W1")
                await self._turns.commit(Batch(life, post.entries), self._progressed)
                cursor = post.entries[-1].entry_id
            await settler.seed(post.cold, cursor)
            if (now := clock.monotonic()) >= tick_due:
                await settler.tick(cursor)
                tick_due, expiry_due = now + _TICK_S, True
            if expiry_due:
                expiry_due = await self._expire(settler, life, cursor)

    async def _expire(self, settler: Settler, life: Life, cursor: str) -> bool:
        """End some overdue holds and settle what they free. True when there may be more: claims go between."""
        expired = await expire_overdue(self._stores.pool, life)
        if expired.settlements:
            await settler.settle(expired.settlements, cursor)
        return expired.more

"""Shards share the partitions, hand them over, and take them from who is gone; one that comes late writes nothing."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from claim_workers.consumer import Consumer, Stores
from claim_workers.turns import Turns
from shared import clock, keys
from shared.audit import audit
from shared.domain.campaign import Campaign
from shared.domain.ids import PARTITIONS, PartitionNo
from shared.domain.lease import Lease
from shared.domain.outcomes import Granted, Replayed
from shared.errors import Fenced, IncarnationOver
from shared.gate import Verdict
from shared.process import abandoned
from shared.statements import statement
from tests.integration.engine import (
    Door,
    Owner,
    Shard,
    at_commit,
    claim_of,
    gain,
    home,
    launch,
    open_door,
    posted,
    shard_at_work,
    until,
)

ALL = list(range(PARTITIONS))


async def owns(shard: Shard, number: int) -> bool:
    return len(await shard.owned()) == number


async def test_one_shard_owns_everything_and_two_share_it_evenly(stores: Stores) -> None:
    async with shard_at_work(stores, "one", ttl_s=1.0) as one:
        await until(lambda: owns(one, 16))
        async with shard_at_work(stores, "two", ttl_s=1.0) as two:
            await until(lambda: owns(two, 8))
            assert sorted(await one.owned() + await two.owned()) == ALL
        # It has resigned: nobody waits for a lease to run out.
        assert await two.owned() == []
        await until(lambda: owns(one, 16))


async def test_shards_that_start_together_share_evenly_from_the_start(stores: Stores) -> None:
    async with (
        shard_at_work(stores, "one", 1.0) as one,
        shard_at_work(stores, "two", 1.0) as two,
        shard_at_work(stores, "three", 1.0) as three,
    ):

        async def even() -> bool:
            first, second, third = [await shard.owned() for shard in (one, two, three)]
            shares = sorted(map(len, (first, second, third)))
            return shares == [5, 5, 6] and sorted(first + second + third) == ALL

        await until(even)


async def test_a_shard_that_stops_hands_over_without_waiting_for_its_leases_to_end(stores: Stores) -> None:
    ttl_s = 3.0
    async with shard_at_work(stores, "heir", ttl_s) as heir, shard_at_work(stores, "leaving", ttl_s) as leaving:
        await until(lambda: owns(leaving, 8))
        await until(lambda: owns(heir, 8))
        began = clock.monotonic()
        await leaving.stop()
        assert await leaving.owned() == []
        await until(lambda: owns(heir, 16))
        # Its leases had at least five sixths of their time to run.
        assert clock.monotonic() - began < ttl_s * 5 / 6 - 0.5


async def test_a_shard_that_is_killed_is_replaced_when_its_leases_end(stores: Stores) -> None:
    ttl_s = 1.0
    async with shard_at_work(stores, "heir", ttl_s) as heir, shard_at_work(stores, "doomed", ttl_s) as doomed:
        await until(lambda: owns(doomed, 8))
        await doomed.kill()
        assert await until(lambda: owns(heir, 16)) < ttl_s + 1.0


async def test_what_a_dead_shard_had_is_taken_when_its_time_is_over_however_seldom_is_looked(stores: Stores) -> None:
    ttl_s = 60.0
    await stores.pool.execute("INSERT INTO shards (shard_id, seen_until) VALUES ('dead', clock_timestamp() + interval '2 s')")
    await stores.pool.execute(
        "UPDATE partitions SET owner = 'dead', lease_until = clock_timestamp() + interval '2 s' WHERE partition_no < 8"
    )
    async with shard_at_work(stores, "heir", ttl_s) as heir:
        await until(lambda: owns(heir, 8))
        assert await until(lambda: owns(heir, 16)) < ttl_s / 6 - 4


async def test_a_shard_that_postgres_hangs_up_on_looks_no_more_often_when_a_lease_has_ended_meanwhile(stores: Stores) -> None:
    ttl_s = 0.6
    async with shard_at_work(stores, "alone", ttl_s) as alone:
        await until(lambda: owns(alone, 16))
        stores.keeping.terminate()
        await until(lambda: owns(alone, 0))
        with capture_logs() as lines:
            await asyncio.sleep(2 * ttl_s)
    # Six times in each lease's time, give or take one.
    assert 0 < [line["event"] for line in lines].count("leases_not_kept") <= 13


async def test_a_shard_that_died_before_the_clock_went_back_keeps_no_share(stores: Stores) -> None:
    await stores.pool.execute("INSERT INTO shards (shard_id, seen_until) VALUES ('dead', now() + interval '1 hour')")
    async with shard_at_work(stores, "alive", ttl_s=1.0) as alive:
        await until(lambda: owns(alive, 16))


@asynccontextmanager
async def held(dsn: str, *partitions: int) -> AsyncIterator[None]:
    """The rows of these partitions are held by somebody: a front door, say, that was frozen in releases."""
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            await connection.execute("SELECT FROM partitions WHERE partition_no = ANY ($1) FOR UPDATE", partitions)
            yield
    finally:
        await connection.close()


async def epochs(stores: Stores, *, but: int | None = None) -> list[int]:
    """How often each partition has changed hands, `but` one."""
    return [
        epoch
        for (epoch,) in await stores.pool.fetch(
            "SELECT epoch FROM partitions WHERE partition_no IS DISTINCT FROM $1 ORDER BY partition_no", but
        )
    ]


async def all_granted(door: Door, campaign: Campaign, seconds: float) -> None:
    """Whoever asks in so many seconds wins within one."""
    began = clock.monotonic()
    while (passed := clock.monotonic() - began) < seconds:
        answer = await door.redeem(campaign, f"user {passed}", wait_s=1.0)
        assert isinstance(answer, Granted), (answer, passed)


async def test_a_partition_whose_row_is_held_stops_no_other(stores: Stores, postgres_dsn: str, redis_url: str) -> None:
    here, there = [await launch(stores.pool, None, partition=partition) for partition in (4, 9)]
    ttl_s = 1.0
    async with open_door(stores.pool, redis_url) as door, shard_at_work(stores, ttl_s=ttl_s) as shard:
        await until(lambda: owns(shard, 16))
        assert isinstance(await door.redeem(here, "first"), Granted)
        before = await epochs(stores, but=home(here))
        async with held(postgres_dsn, home(here)):
            await all_granted(door, there, 2 * ttl_s)
        await until(lambda: owns(shard, 16))
        assert isinstance(await door.redeem(here, "last", "another"), Granted)
        assert await epochs(stores, but=home(here)) == before


async def test_an_heir_loses_nothing_over_rows_that_it_cannot_get(stores: Stores, postgres_dsn: str, redis_url: str) -> None:
    ttl_s = 2.0
    async with (
        open_door(stores.pool, redis_url) as door,
        shard_at_work(stores, "doomed", ttl_s) as doomed,
        shard_at_work(stores, "heir", ttl_s) as heir,
    ):
        await until(lambda: owns(doomed, 8))
        await until(lambda: owns(heir, 8))
        lost, kept = await doomed.owned(), await heir.owned()
        campaign = await launch(stores.pool, None, partition=kept[0])
        async with held(postgres_dsn, *lost[:4]):
            await doomed.kill()
            await all_granted(door, campaign, 3 * ttl_s)
            assert await heir.owned() == sorted(kept + lost[4:])
        await until(lambda: owns(heir, 16))


async def test_a_batch_that_waits_for_its_row_keeps_no_other_partition_from_being_handed_over(
    stores: Stores, postgres_dsn: str, redis_url: str
) -> None:
    """The newcomer is given the upper half; one of it cannot be given yet."""
    campaign, ttl_s = await launch(stores.pool, None, partition=15), 1.0
    async with open_door(stores.pool, redis_url) as door, shard_at_work(stores, "one", ttl_s) as one:
        await until(lambda: owns(one, 16))
        assert isinstance(await door.redeem(campaign, "first"), Granted)
        async with held(postgres_dsn, home(campaign)):
            waiting = asyncio.create_task(door.redeem(campaign, "last"))
            async with shard_at_work(stores, "two", ttl_s) as two:
                await until(lambda: owns(two, 7))
                before = await epochs(stores, but=home(campaign))
                await asyncio.sleep(2 * ttl_s)
                assert (await one.owned())[:8] == ALL[:8]
                assert await epochs(stores, but=home(campaign)) == before
        assert isinstance(await waiting, Granted)


async def test_a_lease_whose_row_is_held_for_a_moment_is_not_lost(stores: Stores, postgres_dsn: str) -> None:
    partition, ttl_s = PartitionNo(5), 1.5
    async with shard_at_work(stores, ttl_s=ttl_s) as shard:
        await until(lambda: owns(shard, 16))
        epoch = await _epoch(stores, partition)
        async with held(postgres_dsn, partition):
            await asyncio.sleep(ttl_s / 2)
        await asyncio.sleep(ttl_s)
        assert await _epoch(stores, partition) == epoch


async def test_a_lease_whose_row_is_hardly_ever_free_is_renewed(stores: Stores, postgres_dsn: str) -> None:
    """By its own commits, say, when the partition is busy."""
    partition, ttl_s = PartitionNo(5), 1.0
    async with shard_at_work(stores, ttl_s=ttl_s) as shard:
        await until(lambda: owns(shard, 16))
        epoch, began = await _epoch(stores, partition), clock.monotonic()
        while clock.monotonic() - began < 2 * ttl_s:
            async with held(postgres_dsn, partition):
                await asyncio.sleep(0.05)
        assert await _epoch(stores, partition) == epoch


@asynccontextmanager
async def committed_to(dsn: str, partition: int, doors: int = 4) -> AsyncIterator[None]:
    """So many doors commit in this partition one after the other, without a pause, as they do without Redis."""

    async def door() -> None:
        connection = await asyncpg.connect(dsn)
        try:
            while True:
                async with connection.transaction():
                    await connection.fetch(statement("lock_partition"), partition, None)
                    await asyncio.sleep(0.01)
                    await connection.execute("UPDATE partitions SET last_seq = last_seq WHERE partition_no = $1", partition)
        finally:
            connection.terminate()

    tasks = [asyncio.create_task(door()) for _ in range(doors)]
    try:
        yield
    finally:
        await abandoned(*tasks)


async def test_a_partition_that_doors_commit_to_all_the_time_is_taken_over_as_soon_as_any_other(
    stores: Stores, postgres_dsn: str, redis_url: str
) -> None:
    campaign, ttl_s = await launch(stores.pool, None, partition=5), 1.0
    async with shard_at_work(stores, "doomed", ttl_s) as doomed:
        await until(lambda: owns(doomed, 16))
        await doomed.kill()
    async with committed_to(postgres_dsn, home(campaign)), shard_at_work(stores, "heir", ttl_s) as heir:
        assert await until(lambda: owns(heir, 16)) < ttl_s + 1.0
        async with open_door(stores.pool, redis_url) as door:
            assert isinstance(await door.redeem(campaign, "ann"), Granted)


async def test_a_connection_that_falls_silent_costs_no_lease(stores: Stores) -> None:
    """As when its peer has gone without a word: it is not closed, and new ones are served."""
    ttl_s = 1.5
    async with shard_at_work(stores, ttl_s=ttl_s) as shard:
        await until(lambda: owns(shard, 16))
        before = await epochs(stores)
        backend: int = await stores.keeping.fetchval("SELECT pg_backend_pid()")
        os.kill(backend, signal.SIGSTOP)
        try:
            await asyncio.sleep(2 * ttl_s)
        finally:
            os.kill(backend, signal.SIGCONT)
        assert await owns(shard, 16)
        assert await epochs(stores) == before


async def test_a_batch_that_waits_for_its_row_keeps_no_shard_from_stopping_and_is_decided_by_the_next(
    stores: Stores, postgres_dsn: str, redis_url: str
) -> None:
    campaign, ttl_s = await launch(stores.pool, None, partition=5), 1.0
    async with open_door(stores.pool, redis_url) as door, shard_at_work(stores, "one", ttl_s) as one:
        await until(lambda: owns(one, 16))
        assert isinstance(await door.redeem(campaign, "first"), Granted)
        async with held(postgres_dsn, home(campaign)):
            waiting = asyncio.create_task(door.redeem(campaign, "last"))
            await until(lambda: pending(stores, campaign, "last"))
            async with asyncio.timeout(5 * ttl_s):
                await one.stop()
        async with shard_at_work(stores, "two", ttl_s):
            assert isinstance(await waiting, Granted | Replayed)


async def pending(stores: Stores, campaign: Campaign, user: str) -> bool:
    return bool(await stores.gate.pending(home(campaign), [claim_of(campaign, user).claim_id]))


async def test_a_shard_that_can_reach_nobody_stops_when_it_is_told_to(stores: Stores) -> None:
    async with shard_at_work(stores) as shard:
        await until(lambda: owns(shard, 16))
        stores.keeping.terminate()
        await shard.stop()


async def test_claims_go_on_through_every_change_of_owner(stores: Stores, postgres_dsn: str, redis_url: str) -> None:
    campaigns = [await launch(stores.pool, 30, partition=partition) for partition in (0, 5, 10, 15)]
    async with open_door(stores.pool, redis_url) as door, shard_at_work(stores, "one", 0.6) as one:
        await until(lambda: owns(one, 16))

        async def claims(campaign: Campaign, number: int) -> None:
            # A slow user: each claim is sent when the one before was answered.
            for turn in range(30):
                answer = await door.redeem(campaign, f"user {number} {turn}", key=str(campaign.code))
                assert isinstance(answer, Granted)

        under_way = asyncio.gather(*(claims(campaign, number) for number, campaign in enumerate(campaigns)))
        async with shard_at_work(stores, "two", 0.6) as two, shard_at_work(stores, "three", 0.6) as three:
            await until(lambda: owns(three, 5))
            await two.kill()
            await three.stop()
        await under_way
    report = await audit(postgres_dsn)
    assert report.clean, report.faults
    assert report.redemptions == report.users == 120


async def test_a_zombie_can_hurt_neither_store(stores: Stores) -> None:
    campaign = await launch(stores.pool, 3, partition=5)
    zombie = await Owner.of(stores.pool, stores.redis, home(campaign))
    await zombie.ask((campaign, claim_of(campaign, "a")))
    await zombie.turn()
    await zombie.ask((campaign, claim_of(campaign, "a")))
    post = await zombie.mailbox.read(zombie.cursor, "0-0", 512, 1)
    heir = await Owner.of(stores.pool, stores.redis, home(campaign))
    await heir.turn()
    with pytest.raises(Fenced):
        await zombie.committer.commit(post.entries or posted([claim_of(campaign, "b")]))
    with pytest.raises(IncarnationOver):
        await zombie.settler.settle([], zombie.cursor)
    assert (await heir.ask((campaign, claim_of(campaign, "c"))))[0] == [Verdict.ADMITTED]


async def test_a_consumer_that_is_fenced_ends(stores: Stores) -> None:
    partition = PartitionNo(5)
    campaign = await launch(stores.pool, 3, partition=partition)
    epoch = await gain(stores.pool, partition)
    turns = Turns(stores.pool, stores.redis, stores.gate, 512)
    lease = Lease(partition, epoch, clock.monotonic() + 60)
    consumer = asyncio.create_task(Consumer(stores, turns, lease, 512).run())
    async with open_door(stores.pool, stores_url(stores)) as door:
        assert isinstance(await door.redeem(campaign, "a"), Granted)
        await gain(stores.pool, partition, "another")
        await door.redeem(campaign, "b", wait_s=0)
        await asyncio.wait_for(consumer, 5)
    assert await stores.pool.fetchval("SELECT count(*) FROM redemptions") == 1


def stores_url(stores: Stores) -> str:
    given = stores.redis.connection_pool.connection_kwargs
    return f"redis://:{given['password']}@{given['host']}:{given['port']}/0"


async def test_a_consumer_ends_when_its_lease_can_no_longer_be_trusted(stores: Stores) -> None:
    epoch = await gain(stores.pool, PartitionNo(5))
    turns = Turns(stores.pool, stores.redis, stores.gate, 512)
    consumer = Consumer(stores, turns, Lease(PartitionNo(5), epoch, clock.monotonic() + 0.3), 512)
    await asyncio.wait_for(consumer.run(), 5)


async def test_a_consumer_that_broke_is_replaced(stores: Stores) -> None:
    partition = PartitionNo(5)
    async with shard_at_work(stores, ttl_s=1.5) as shard:
        await until(lambda: owns(shard, 16))
        living = await stores.gate.living(partition)
        while living is None:
            living = await stores.gate.living(partition)
        before = await _epoch(stores, partition)
        redis: Any = stores.redis  # its stubs cannot tell its calls' two flavours apart
        await redis.sadd(keys.active(partition, living), "no campaign")

        async def replaced() -> bool:
            return await _epoch(stores, partition) > before and await owns(shard, 16)

        await until(replaced)


async def _epoch(stores: Stores, partition: PartitionNo) -> int:
    epoch: int = await stores.pool.fetchval("SELECT epoch FROM partitions WHERE partition_no = $1", partition)
    return epoch


async def test_winners_whose_settlement_was_lost_are_known_to_the_gate_of_the_next_owner(stores: Stores) -> None:
    """Killed between COMMIT and settle: when the campaign is sold out, they must still be shown what they won."""
    campaign = await launch(stores.pool, 3, partition=5)
    doomed = await Owner.of(stores.pool, stores.redis, home(campaign))
    assert (await doomed.ask((campaign, claim_of(campaign, "a"))))[0] == [Verdict.COLD]
    await doomed.turn()
    await doomed.ask((campaign, claim_of(campaign, "a")))
    await doomed.turn()
    await doomed.ask((campaign, claim_of(campaign, "b")), (campaign, claim_of(campaign, "c")))
    await doomed.commit()
    await stores.pool.execute("UPDATE partitions SET lease_until = '-infinity'")

    async def sold_out() -> bool:
        _, [reply] = await doomed.ask((campaign, claim_of(campaign, "x")))
        return reply.certified

    async with shard_at_work(stores):
        await until(sold_out)
        verdicts, [reply] = await doomed.ask(*((campaign, claim_of(campaign, user)) for user in "abc"))
        assert (verdicts, reply.marks_total) == ([Verdict.LOOK_ALREADY] * 3, 12)


async def test_a_wrongly_typed_key_stops_a_partition_for_no_longer_than_a_moment(stores: Stores) -> None:
    campaign = await launch(stores.pool, None, partition=5)
    async with open_door(stores.pool, stores_url(stores)) as door, shard_at_work(stores):
        for kind in ("mailbox", "reservations", "active"):
            assert isinstance(await door.redeem(campaign, kind, wait_s=5), Granted)
            living = await stores.gate.living(home(campaign))
            assert living is not None
            name = getattr(keys, kind)(home(campaign), living)
            await stores.redis.delete(name)
            await stores.redis.set(name, "garbage")
        assert isinstance(await door.redeem(campaign, "last", wait_s=5), Granted)


async def test_a_batch_that_cannot_be_decided_yet_keeps_no_shard_from_stopping_and_is_decided_by_the_next(
    stores: Stores, redis_url: str
) -> None:
    campaign = await launch(stores.pool)
    async with shard_at_work(stores, "one") as one, open_door(stores.pool, redis_url) as door:
        await until(lambda: owns(one, 16))
        await at_commit(stores.pool, "40001")
        asking = asyncio.create_task(door.redeem(campaign, "ann", wait_s=30))
        await until(lambda: objected(stores))
        async with asyncio.timeout(5):
            await one.stop()
        await stores.pool.execute("DROP TRIGGER objection ON redemptions")
        async with shard_at_work(stores, "two"):
            assert isinstance(await asking, Granted)


async def objected(stores: Stores) -> bool:
    """Whether more commits have failed than one committing tries."""
    objections: int = await stores.pool.fetchval("SELECT last_value FROM objections")
    return objections > 10

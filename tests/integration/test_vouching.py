"""An owner vouches for its life, and ends it when it cannot; nobody else does before the owner's word has run out."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from claim_workers.consumer import Stores
from claim_workers.incarnation import Life, enter
from claim_workers.vouching import HEARD_S, VOUCHED_S, Vouching
from lastslot.embedded import EmbeddedServer
from lastslot.ports import free_port
from shared import clock, keys
from shared.domain.ids import PartitionNo
from shared.domain.lease import Lease
from shared.domain.outcomes import Granted, Refusal, Refused
from shared.errors import RedisUnavailable
from shared.gate import Gate
from shared.postgres import Pool
from shared.redis_client import open_redis
from shared.statements import statement
from tests.integration.engine import MAILBOX_MAX, gain, launch, open_door, opened_stores, shard_at_work, until
from tests.servers import embedded_postgres, embedded_redis, fresh_database, frozen, make_template, running

PARTITION = PartitionNo(3)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    """A Redis of the test's own, to be frozen and stopped."""
    with running(embedded_redis(tmp_path)) as server:
        yield server


@pytest.fixture
async def stores(postgres_dsn: str, server: EmbeddedServer) -> AsyncIterator[Stores]:
    async with opened_stores(postgres_dsn, server.url) as stores:
        yield stores


async def named(pool: Pool) -> str | None:
    """The partition's life, as Postgres has it."""
    life: str | None = await pool.fetchval("SELECT incarnation FROM partitions WHERE partition_no = $1", PARTITION)
    return life


async def entered(stores: Stores) -> Life:
    return await enter(stores.pool, stores.redis, stores.gate, PARTITION, await gain(stores.pool, PARTITION))


async def vouched_for_ms(stores: Stores, life: Life) -> int:
    """For how long the gate may yet refuse by itself."""
    until_ms = await stores.redis.hget(keys.term(PARTITION, life.incarnation), "vouched_until")  # type: ignore[misc]
    seconds, microseconds = await stores.redis.time()
    return int(until_ms or 0) - int(seconds * 1000 + microseconds // 1000)


def lease_of(life: Life, seconds: float = 60.0) -> Lease:
    return Lease(life.partition_no, life.epoch, clock.monotonic() + seconds)


async def test_an_owner_vouches_again_and_again_until_it_is_told_to_end(stores: Stores) -> None:
    life = await entered(stores)
    vouching = Vouching(stores.gate, lambda: clock.monotonic() + 60)
    await vouching.begin(stores.pool, life)

    async def is_vouched_for() -> bool:
        return await vouched_for_ms(stores, life) > 0

    await until(is_vouched_for)
    for _ in range(20):
        await asyncio.sleep(0.1)
        assert 0 < await vouched_for_ms(stores, life) <= VOUCHED_S * 1000
    await vouching.end()

    async def is_not() -> bool:
        return not await is_vouched_for()

    assert await until(is_not) <= VOUCHED_S
    await asyncio.sleep(0.5)
    assert await is_not()


async def test_a_life_is_read_on_behind_a_commit_that_was_under_way(stores: Stores) -> None:
    """Its answer was lost, and Postgres still at it: who read on from where it began would settle nothing of it."""
    life = await entered(stores)
    vouching = Vouching(stores.gate, lambda: clock.monotonic() + 60)
    async with stores.pool.acquire() as connection, connection.transaction():
        await connection.execute("UPDATE partitions SET cursor = '5-0' WHERE partition_no = $1", PARTITION)
        beginning = asyncio.create_task(vouching.begin(stores.pool, life))
        await asyncio.wait([beginning], timeout=0.2)
        assert not beginning.done()
    assert (await beginning).cursor == "5-0"
    await vouching.end()


async def test_a_word_that_a_frozen_redis_hears_late_extends_nothing(stores: Stores, server: EmbeddedServer) -> None:
    life = await entered(stores)
    vouching = Vouching(stores.gate, lambda: clock.monotonic() + 60)
    await vouching.begin(stores.pool, life)
    await asyncio.sleep(0.5)
    assert await vouched_for_ms(stores, life) > 0
    with frozen(server):
        await asyncio.sleep(VOUCHED_S + 0.5)
        await vouching.end()
    assert await vouched_for_ms(stores, life) <= 0


async def test_a_life_is_ended_only_when_the_last_word_has_run_out_and_was_heard(
    stores: Stores, server: EmbeddedServer
) -> None:
    life = await entered(stores)
    vouching = Vouching(stores.gate, lambda: clock.monotonic() + 60)
    await vouching.begin(stores.pool, life)
    await asyncio.sleep(0.5)
    server.stop()
    began = clock.monotonic()

    async def ended() -> bool:
        await vouching.give_up(stores.pool, lease_of(life))
        return await named(stores.pool) is None

    await until(ended)
    # Half a second of certificates, or the second that a call may take.
    assert VOUCHED_S + 1.0 < clock.monotonic() - began < VOUCHED_S + 3.0


async def test_nothing_more_is_said_of_a_life_that_postgres_is_slow_to_end(stores: Stores, server: EmbeddedServer) -> None:
    """Or a gate would refuse by itself again, while others decide without it."""
    life = await entered(stores)
    vouching = Vouching(stores.gate, lambda: clock.monotonic() + 60)
    await vouching.begin(stores.pool, life)
    async with stores.pool.acquire() as other, other.transaction():
        await other.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        await other.execute("SELECT FROM partitions WHERE partition_no = $1 FOR UPDATE", PARTITION)
        with frozen(server):
            await asyncio.sleep(VOUCHED_S + HEARD_S + 0.1)
            ending = asyncio.create_task(vouching.give_up(stores.pool, lease_of(life)))
            await asyncio.sleep(0.2)
        for _ in range(20):
            await asyncio.sleep(0.1)
            assert await vouched_for_ms(stores, life) <= 0
        assert vouching.given_up
    await ending
    assert await named(stores.pool) is None


async def test_an_owner_that_is_heard_at_the_last_moment_vouches_on(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    life = await entered(stores)
    vouching = Vouching(stores.gate, lambda: clock.monotonic() + 60)
    await vouching.begin(stores.pool, life)
    await asyncio.sleep(0.5)
    assert await vouched_for_ms(stores, life) > 0
    judged = iter([life])
    monkeypatch.setattr(vouching, "_run_out", lambda: next(judged, None))
    await vouching.give_up(stores.pool, lease_of(life))
    assert await named(stores.pool) == life.incarnation
    for _ in range(2):
        await asyncio.sleep(VOUCHED_S)
        assert await vouched_for_ms(stores, life) > 0
    await vouching.end()


async def test_an_owner_without_its_epoch_ends_nothing(stores: Stores, server: EmbeddedServer) -> None:
    life = await entered(stores)
    await gain(stores.pool, PARTITION, "another")
    ended = await stores.pool.fetchval(statement("end_life"), PARTITION, life.epoch, life.incarnation)
    assert (ended, await named(stores.pool)) == (None, life.incarnation)


async def test_a_successor_that_never_reached_redis_waits_for_what_the_last_owner_may_say(stores: Stores) -> None:
    life = await entered(stores)
    await Vouching(stores.gate, lambda: 0.0).begin(stores.pool, life)
    epoch = await gain(stores.pool, PARTITION, "another")
    nowhere = open_redis(f"redis://127.0.0.1:{free_port()}")
    lease, vouching = Lease(PARTITION, epoch, clock.monotonic() + 60), Vouching(Gate(nowhere, MAILBOX_MAX), lambda: 0.0)
    with pytest.raises(RedisUnavailable):
        await enter(stores.pool, nowhere, Gate(nowhere, MAILBOX_MAX), PARTITION, epoch)
    await vouching.give_up(stores.pool, lease)
    assert await named(stores.pool) == life.incarnation
    left_s = await stores.pool.fetchval(
        "SELECT extract(epoch FROM life_until - clock_timestamp()) FROM partitions WHERE partition_no = $1", PARTITION
    )
    assert 10 < left_s <= 15
    # Another change of owners makes it no longer.
    await gain(stores.pool, PARTITION, "third")
    await stores.pool.execute("UPDATE partitions SET life_until = clock_timestamp() WHERE partition_no = $1", PARTITION)
    epoch = await gain(stores.pool, PARTITION, "fourth")
    await vouching.give_up(stores.pool, Lease(PARTITION, epoch, clock.monotonic() + 60))
    assert await named(stores.pool) is None
    await nowhere.aclose()


async def test_a_shard_that_loses_redis_ends_its_lives_and_begins_others_when_it_is_back(
    stores: Stores, server: EmbeddedServer
) -> None:
    async with shard_at_work(stores):

        async def alive() -> bool:
            return await named(stores.pool) is not None

        async def ended() -> bool:
            return not await alive()

        await until(alive)
        before = await named(stores.pool)
        with frozen(server):
            await until(ended)
        await until(alive)
        assert await named(stores.pool) != before


async def test_the_sold_out_are_told_so_while_postgres_is_away(server: EmbeddedServer, tmp_path: Path) -> None:
    with running(embedded_postgres(tmp_path)) as postgres:
        make_template(postgres.url)
        with fresh_database(postgres.url) as dsn:
            async with opened_stores(dsn, server.url) as stores, shard_at_work(stores, ttl_s=1.0):
                campaign = await launch(stores.pool, 1)
                async with open_door(stores.pool, server.url) as door:
                    assert isinstance(await door.redeem(campaign, "a"), Granted)
                    assert await door.redeem(campaign, "b") == Refused(Refusal.EXHAUSTED)
                    await asyncio.to_thread(postgres.kill)
                    for _ in range(9):
                        await asyncio.sleep(0.5)
                        assert await door.redeem(campaign, "b") == Refused(Refusal.EXHAUSTED)
                    await asyncio.to_thread(postgres.start)
                    assert await door.redeem(campaign, "b") == Refused(Refusal.EXHAUSTED)


async def test_a_shard_that_postgres_does_not_answer_goes_on_vouching_after_its_lease(stores: Stores) -> None:
    """Whoever is sold out is told so: while Postgres is away, nobody can have won."""
    life = await entered(stores)
    vouching = Vouching(stores.gate, lambda: clock.monotonic() - 1)
    await vouching.begin(stores.pool, life)
    await asyncio.sleep(0.5)
    assert await vouched_for_ms(stores, life) > 0
    await vouching.end()
    vouching = Vouching(stores.gate, lambda: clock.monotonic() - 11)
    await vouching.begin(stores.pool, life)
    await asyncio.sleep(VOUCHED_S + 0.1)
    assert await vouched_for_ms(stores, life) <= 0


async def test_a_life_that_redis_never_heard_of_is_ended_at_once(stores: Stores, server: EmbeddedServer) -> None:
    """Redis went away between the two stores."""
    life = await entered(stores)
    begun = await stores.pool.fetchval(statement("begin_incarnation"), PARTITION, life.epoch, "unheard-of")
    assert begun is not None
    vouching = Vouching(stores.gate, lambda: 0.0)
    await vouching.give_up(stores.pool, lease_of(life))
    assert await named(stores.pool) is None

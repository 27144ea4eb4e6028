"""A partition's Redis state is believed only while it is the one that its cursor speaks of."""

from pathlib import Path
from typing import Any

import pytest

from claim_workers.incarnation import Life, enter
from lastslot.ports import free_port
from shared import keys
from shared.domain.ids import PartitionNo
from shared.errors import Fenced, RedisUnavailable
from shared.gate import Gate
from shared.postgres import Pool
from shared.redis_client import Redis, open_redis
from tests.integration.engine import MAILBOX_MAX, gain
from tests.servers import embedded_redis, running

PARTITION = PartitionNo(3)


class Bench:
    """The owner of a partition, who asks what life its Redis state is in."""

    def __init__(self, pool: Pool, redis: Redis, epoch: int) -> None:
        self.pool, self.epoch = pool, epoch
        self.redis: Any = redis  # its stubs cannot tell its calls' two flavours apart
        self.gate = Gate(redis, MAILBOX_MAX)

    async def enter(self) -> Life:
        return await enter(self.pool, self.redis, self.gate, PARTITION, self.epoch)

    async def entry(self, life: Life) -> str:
        """Append something to the mailbox, and have it committed."""
        entry_id: str = (await self.redis.xadd(keys.mailbox(PARTITION, life.incarnation), {"c": "", "e": ""})).decode()
        await self.pool.execute("UPDATE partitions SET cursor = $2 WHERE partition_no = $1", PARTITION, entry_id)
        return entry_id

    async def named(self) -> tuple[str, str]:
        row = await self.pool.fetchrow("SELECT incarnation, cursor FROM partitions WHERE partition_no = $1", PARTITION)
        assert row is not None
        return row[0], row[1]


@pytest.fixture
async def bench(pool: Pool, redis: Redis) -> Bench:
    return Bench(pool, redis, await gain(pool, PARTITION))


async def test_the_first_owner_begins_a_life_and_the_next_goes_on_with_it(bench: Bench) -> None:
    first = await bench.enter()
    assert first == Life(PARTITION, bench.epoch, first.incarnation, "0-0")
    assert await bench.gate.living(PARTITION) == first.incarnation
    assert await bench.named() == (first.incarnation, "0-0")
    cursor = await bench.entry(first)
    bench.epoch = await gain(bench.pool, PARTITION, "another")
    assert await bench.enter() == Life(PARTITION, bench.epoch, first.incarnation, cursor)


async def test_entries_that_nobody_has_committed_are_found_by_the_next_owner(bench: Bench) -> None:
    first = await bench.enter()
    cursor = await bench.entry(first)
    await bench.redis.xadd(keys.mailbox(PARTITION, first.incarnation), {"c": "", "e": ""})
    assert (await bench.enter()).cursor == cursor


async def test_a_mailbox_that_was_trimmed_empty_is_gone_on_with(bench: Bench) -> None:
    first = await bench.enter()
    await bench.entry(first)
    await bench.redis.xtrim(keys.mailbox(PARTITION, first.incarnation), maxlen=0, approximate=False)
    assert (await bench.enter()).incarnation == first.incarnation


async def test_every_loss_begins_a_new_life_that_is_read_from_the_beginning(bench: Bench) -> None:
    async def flush(life: Life) -> None:
        await bench.redis.flushall()

    async def lose_the_pointer(life: Life) -> None:
        await bench.redis.delete(keys.incarnation_pointer(PARTITION))

    async def point_elsewhere(life: Life) -> None:
        await bench.redis.set(keys.incarnation_pointer(PARTITION), "garbage")

    async def point_nowhere(life: Life) -> None:
        await bench.redis.set(keys.incarnation_pointer(PARTITION), b"\xff\xfe")

    async def lose_the_mailbox(life: Life) -> None:
        await bench.redis.delete(keys.mailbox(PARTITION, life.incarnation))

    async def restore_a_copy_from_before(life: Life) -> None:
        await bench.redis.delete(keys.mailbox(PARTITION, life.incarnation))
        await bench.redis.xadd(keys.mailbox(PARTITION, life.incarnation), {"c": "", "e": ""}, id="5-0")

    for loss in (
        flush,
        lose_the_pointer,
        point_elsewhere,
        point_nowhere,
        lose_the_mailbox,
        restore_a_copy_from_before,
        *(_wrongly_typed(bench, name) for name in ("mailbox", "bell", "reservations", "reserved", "active", "pointer")),
    ):
        before = await bench.enter()
        await bench.entry(before)
        await loss(before)
        after = await bench.enter()
        assert after.incarnation != before.incarnation, loss.__name__
        assert after.cursor == "0-0", loss.__name__
        assert await bench.gate.living(PARTITION) == after.incarnation, loss.__name__
        assert await bench.named() == (after.incarnation, "0-0"), loss.__name__
        assert await bench.enter() == after, loss.__name__


def _wrongly_typed(bench: Bench, kind: str) -> Any:
    async def spoil(life: Life) -> None:
        name = keys.incarnation_pointer(PARTITION) if kind == "pointer" else getattr(keys, kind)(PARTITION, life.incarnation)
        await bench.redis.delete(name)
        await bench.redis.zadd(name, {"garbage": 1})

    spoil.__name__ = f"{kind} of the wrong type"
    return spoil


async def test_a_restarted_redis_is_another_life_though_it_kept_everything(pool: Pool, tmp_path: Path) -> None:
    with running(embedded_redis(tmp_path)) as server:
        async with open_redis(server.url) as redis:
            bench = Bench(pool, redis, await gain(pool, PARTITION))
            before = await bench.enter()
            cursor = await bench.entry(before)
        server.stop()
        server.start()
        async with open_redis(server.url) as redis:
            bench = Bench(pool, redis, bench.epoch)
            assert await bench.gate.living(PARTITION) == before.incarnation
            [(last, _)] = await bench.redis.xrevrange(keys.mailbox(PARTITION, before.incarnation), count=1)
            assert last.decode() == cursor
            assert (await bench.enter()).incarnation != before.incarnation


async def test_what_is_left_of_the_life_before_is_forgotten_and_nothing_else(bench: Bench) -> None:
    before = await bench.enter()
    await bench.entry(before)
    neighbour = keys.mailbox(PartitionNo(13), before.incarnation)
    await bench.redis.xadd(neighbour, {"c": "", "e": ""})
    await bench.redis.delete(keys.incarnation_pointer(PARTITION))
    heir = await bench.enter()
    kept = (neighbour, keys.incarnation_pointer(PARTITION), keys.term(PARTITION, heir.incarnation))
    assert set(await bench.redis.keys("*")) == {name.encode() for name in kept}


async def test_an_owner_whose_epoch_is_over_changes_nothing(bench: Bench) -> None:
    before = await bench.enter()
    await bench.redis.flushall()
    await gain(bench.pool, PARTITION, "another")
    with pytest.raises(Fenced):
        await bench.enter()
    assert await bench.gate.living(PARTITION) is None
    assert (await bench.named())[0] == before.incarnation


async def test_an_owner_that_is_overtaken_while_it_begins_a_life_points_nowhere(bench: Bench) -> None:
    overtaken = Bench(bench.pool, bench.redis, bench.epoch)

    class Slow(Gate):
        async def run_id(self) -> str:
            run = await super().run_id()
            await gain(bench.pool, PARTITION, "another")
            return run

    overtaken.gate = Slow(bench.redis, MAILBOX_MAX)
    with pytest.raises(Fenced):
        await overtaken.enter()
    assert await bench.gate.living(PARTITION) is None


async def test_postgres_knows_a_life_before_any_door_can_find_it(bench: Bench) -> None:
    class Lost(Gate):
        async def point(self, *_: object) -> bool:
            raise RedisUnavailable

    healthy, bench.gate = bench.gate, Lost(bench.redis, MAILBOX_MAX)
    with pytest.raises(RedisUnavailable):
        await bench.enter()
    named, _ = await bench.named()
    assert await bench.gate.living(PARTITION) is None
    bench.gate = healthy
    assert (await bench.enter()).incarnation != named


async def test_a_redis_that_is_away_is_no_loss(bench: Bench) -> None:
    before = await bench.enter()
    async with open_redis(f"redis://127.0.0.1:{free_port()}") as away:
        lost = Bench(bench.pool, away, bench.epoch)
        with pytest.raises(RedisUnavailable):
            await lost.enter()
    assert await bench.enter() == before

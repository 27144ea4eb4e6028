"""`lastslot partitions …`: what is shown is so, also without Redis, and what is moved stays."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from click.testing import CliRunner, Result

from claim_workers.consumer import Stores
from lastslot.cli import cli
from shared import partitions
from shared.domain.ids import PARTITIONS
from shared.domain.outcomes import Granted
from shared.partitions import lag_of, partitions_now
from tests.integration.engine import Owner, Shard, claim_of, home, launch, open_door, shard_at_work, until

NOWHERE = "redis://127.0.0.1:1/0"
TTL_S = 2.0


class Operator:
    """Someone who types `lastslot partitions …` against this database."""

    def __init__(self, dsn: str, redis_url: str) -> None:
        self._dsn = dsn
        self._redis_url = redis_url

    async def looks(self, redis_url: str | None = None) -> list[list[str]]:
        """The cells of each partition's line; what the shards log meanwhile is left out."""
        done = await self._types("partitions", "--postgres-dsn", self._dsn, "--redis-url", redis_url or self._redis_url)
        assert done.exit_code == 0, done.output
        return [cells for line in done.stdout.splitlines() if (cells := line.split()) and cells[0].isdigit()]

    async def moves(self, *words: object) -> Result:
        return await self._types("partitions", "move", "--postgres-dsn", self._dsn, *map(str, words))

    async def _types(self, *words: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, cli, words)


@pytest.fixture
def operator(postgres_dsn: str, redis_url: str) -> Operator:
    return Operator(postgres_dsn, redis_url)


@pytest.fixture
async def one(stores: Stores) -> AsyncIterator[Shard]:
    async with shard_at_work(stores, "one", TTL_S) as shard:
        await until(lambda: owns(shard, PARTITIONS))
        yield shard


async def owns(shard: Shard, number: int) -> bool:
    return len(await shard.owned()) == number


async def even(*shards: Shard) -> None:
    for shard in shards:
        await until(lambda shard=shard: owns(shard, PARTITIONS // len(shards)))  # type: ignore[misc]


async def test_every_partition_is_shown_with_its_owner_and_what_it_does(
    operator: Operator, one: Shard, stores: Stores, redis_url: str
) -> None:
    campaign = await launch(stores.pool, None, partition=5)
    async with open_door(stores.pool, redis_url) as door:
        assert isinstance(await door.redeem(campaign, "first"), Granted)
        looking = asyncio.create_task(operator.looks())
        number = 0
        while not looking.done():
            number += 1
            assert isinstance(await door.redeem(campaign, f"user {number}"), Granted)
    lines = await looking
    assert [line[0] for line in lines] == [str(number) for number in range(PARTITIONS)]
    assert {line[1] for line in lines} == {"one"}
    # partition, owner, epoch, lease left (a number and its unit), lag, claims/s, hottest
    assert lines[5][2] == "1"
    assert 0 < float(lines[5][3]) <= TTL_S
    assert 0 < int(lines[5][6].replace(",", "")) <= number
    assert lines[5][7] == campaign.code
    assert lines[4][6] == "0"


async def test_without_redis_only_the_lag_is_unknown(operator: Operator, one: Shard) -> None:
    lines = await operator.looks(NOWHERE)
    assert {(line[1], line[5]) for line in lines} == {("one", "unknown")}


async def test_the_lag_is_what_was_not_decided_yet(stores: Stores) -> None:
    campaign = await launch(stores.pool, None, partition=5)
    owner = await Owner.of(stores.pool, stores.redis, home(campaign))

    async def lag() -> int | None:
        async with stores.pool.acquire() as connection:
            return await lag_of(stores.redis, (await partitions_now(connection))[home(campaign)])

    await owner.ask((campaign, claim_of(campaign, "first")))
    await owner.turn()
    assert await lag() == 0
    await owner.ask(*((campaign, claim_of(campaign, user)) for user in "abc"))
    assert await lag() == 3
    await owner.commit()
    assert await lag() == 0, "what was committed is no lag, although it was not settled yet"


async def test_a_partition_that_is_moved_stays_until_its_shard_is_gone(operator: Operator, one: Shard, stores: Stores) -> None:
    async with shard_at_work(stores, "two", TTL_S) as two:
        await even(one, two)
        number = (await one.owned())[0]
        done = await operator.moves(number, "two")
        assert (done.exit_code, f"partition {number} moved from one to two in" in done.output) == (0, True), done.output
        await even(one, two)
        assert number in await two.owned()
        async with shard_at_work(stores, "three", TTL_S) as three:
            await until(lambda: owns(three, 5))
            assert number in await two.owned()
        assert "already" in (await operator.moves(number, "two")).output
    await until(lambda: owns(one, PARTITIONS))
    wanted = await stores.pool.fetchval("SELECT count(*) FROM partitions WHERE wanted_by IS NOT NULL")
    assert wanted == 0, "who wanted it is gone, and so is the wish"


async def test_more_than_a_share_is_moved_too_and_goes_back_when_it_may_be_anywhere(
    operator: Operator, one: Shard, stores: Stores
) -> None:
    async with shard_at_work(stores, "two", TTL_S) as two:
        await even(one, two)
        for number in range(10):
            assert (await operator.moves(number, "two")).exit_code == 0
        await until(lambda: owns(two, 10))
        assert await two.owned() == list(range(10))
        for number in range(10):
            assert (await operator.moves(number, "any")).exit_code == 0
        await even(one, two)


async def test_what_does_not_exist_is_named(operator: Operator, one: Shard) -> None:
    unknown = await operator.moves(3, "nobody")
    assert (unknown.exit_code, "no shard lives by the name nobody: one" in unknown.output) == (2, True), unknown.output
    nowhere = await operator.moves(99, "one")
    assert (nowhere.exit_code, "there is no partition 99: they are 0 to 15" in nowhere.output) == (2, True), nowhere.output


async def test_a_move_that_cannot_be_done_now_is_waited_for_within_reason(
    operator: Operator, one: Shard, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "_MOVED_WITHIN_S", 0.5)
    # It says that it lives, and takes nothing.
    await stores.pool.execute("INSERT INTO shards (shard_id, seen_until) VALUES ('idle', clock_timestamp() + interval '3 s')")
    done = await operator.moves(0, "idle")
    assert done.exit_code == 1
    assert isinstance(done.exception, Exception)
    assert "it moves to idle as soon as it can" in str(done.exception)


async def test_a_shard_that_joins_has_its_share_without_anybody_waiting_for_a_look(one: Shard, stores: Stores) -> None:
    """Shards look every sixth of their leases' time; these would look every ten seconds."""
    ttl_s = 60.0
    async with shard_at_work(stores, "slow", ttl_s) as slow:
        await one.stop()
        await until(lambda: owns(slow, PARTITIONS))
        async with shard_at_work(stores, "joining", ttl_s) as joining:
            assert await until(lambda: owns(joining, PARTITIONS // 2)) < 5.0
        assert await until(lambda: owns(slow, PARTITIONS)) < 5.0

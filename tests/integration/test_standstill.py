"""A shard that lives but gets nowhere loses what stands still; a store that is away from everybody moves nothing."""

import asyncio
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from claim_workers.consumer import Stores
from shared.domain.campaign import Campaign
from shared.domain.ids import PARTITIONS
from shared.domain.outcomes import Granted
from shared.mailbox import Mailbox
from shared.postgres import close_pool, open_pool
from tests.integration.engine import Shard, by_way_of, home, launch, open_door, shard_at_work, until
from tests.proxy import Network, network

TTL_S = 2.0
#: Until it is seen, and until the heir is at work. The machine may be busy.
LOST_WITHIN_S = TTL_S + 2.5


@pytest.fixture(name="net")
def links() -> Iterator[Network]:
    with network() as net:
        yield net


async def owns(shard: Shard, number: int) -> bool:
    return len(await shard.owned()) == number


async def shared_evenly(one: Shard, other: Shard) -> None:
    await until(lambda: owns(one, 8))
    await until(lambda: owns(other, 8))


async def epochs(stores: Stores) -> list[int]:
    return [epoch for (epoch,) in await stores.pool.fetch("SELECT epoch FROM partitions ORDER BY partition_no")]


async def lives(stores: Stores, shard: Shard) -> bool:
    found: bool = await stores.pool.fetchval(
        "SELECT EXISTS (SELECT FROM shards WHERE shard_id = $1 AND seen_until > clock_timestamp())", shard.name
    )
    return found


async def no_consumer_is_left_over() -> bool:
    """Whether there are as many tasks of consumers as partitions, so that those which were abandoned have ended."""
    return sum(task.get_name().startswith("consumer-") for task in asyncio.all_tasks()) == PARTITIONS


async def campaign_of(stores: Stores, shard: Shard) -> Campaign:
    """A campaign that lives in a partition of this shard."""
    return await launch(stores.pool, None, partition=(await shard.owned())[0])


async def test_a_shard_whose_reads_hang_loses_its_partitions_although_it_renews(
    stores: Stores, redis_url: str, net: Network
) -> None:
    link = net.to(redis_url)
    async with (
        by_way_of(stores, link) as hanging,
        shard_at_work(stores, "well", TTL_S) as well,
        # Only its reads go by the link: Redis answers it otherwise.
        shard_at_work(msgspec.structs.replace(stores, reading=hanging.reading), "stuck", TTL_S) as stuck,
        open_door(stores.pool, redis_url) as door,
    ):
        await shared_evenly(well, stuck)
        campaign = await campaign_of(stores, stuck)
        assert isinstance(await door.redeem(campaign, "before"), Granted)
        link.silence()
        assert await until(lambda: owns(well, PARTITIONS)) < LOST_WITHIN_S
        assert await lives(stores, stuck)
        assert isinstance(await door.redeem(campaign, "after"), Granted)
        await until(no_consumer_is_left_over)
        before = await epochs(stores)
        await asyncio.sleep(2 * TTL_S)
        assert await epochs(stores) == before, "who lost it does not take it back at once"


async def test_a_shard_whose_connections_to_postgres_fell_silent_loses_its_partitions_although_it_renews(
    stores: Stores, postgres_dsn: str, redis_url: str, net: Network
) -> None:
    link = net.to(postgres_dsn)
    pool = await open_pool(link.url, 8)
    async with (
        shard_at_work(stores, "well", TTL_S) as well,
        shard_at_work(msgspec.structs.replace(stores, pool=pool), "stuck", TTL_S) as stuck,
        open_door(stores.pool, redis_url) as door,
    ):
        await shared_evenly(well, stuck)
        campaign = await campaign_of(stores, stuck)
        assert isinstance(await door.redeem(campaign, "before"), Granted)
        link.silence()
        waiting = asyncio.create_task(door.redeem(campaign, "meanwhile"))
        assert await until(lambda: owns(well, PARTITIONS)) < LOST_WITHIN_S
        assert isinstance(await waiting, Granted)
        # Those that were abandoned have ended, although nobody ever answered them.
        await until(no_consumer_is_left_over)
    link.heal()
    await close_pool(pool)


async def test_one_partition_that_stands_still_moves_alone(
    stores: Stores, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        shard_at_work(stores, "well", TTL_S) as well,
        shard_at_work(stores, "stuck", TTL_S) as stuck,
        open_door(stores.pool, redis_url) as door,
    ):
        await shared_evenly(well, stuck)
        campaign = await campaign_of(stores, stuck)
        before = await epochs(stores)
        hang_once(monkeypatch, campaign)
        assert await until(lambda: owns(well, 9)) < LOST_WITHIN_S
        assert isinstance(await door.redeem(campaign, "after"), Granted)
        moved = [number for number, (old, new) in enumerate(zip(before, await epochs(stores), strict=True)) if old != new]
        assert moved == [home(campaign)]


async def test_a_redis_that_answers_nobody_moves_no_partition(stores: Stores, redis_url: str, net: Network) -> None:
    link = net.to(redis_url)
    async with (
        by_way_of(stores, link) as frozen,
        open_door(stores.pool, redis_url) as door,
        shard_at_work(frozen, "one", TTL_S) as one,
        shard_at_work(frozen, "two", TTL_S) as two,
    ):
        await shared_evenly(one, two)
        campaign = await campaign_of(stores, two)
        assert isinstance(await door.redeem(campaign, "before"), Granted)
        before = await epochs(stores)
        link.silence()
        await asyncio.sleep(3 * TTL_S)
        link.heal()
        assert isinstance(await door.redeem(campaign, "after"), Granted)
        assert await epochs(stores) == before


async def test_a_shard_that_alone_does_not_reach_redis_leaves_everything_to_the_others_until_it_does(
    stores: Stores, redis_url: str, net: Network
) -> None:
    link = net.to(redis_url)
    async with (
        by_way_of(stores, link) as lonely,
        shard_at_work(stores, "well", TTL_S) as well,
        shard_at_work(lonely, "cut off", TTL_S) as cut_off,
    ):
        await shared_evenly(well, cut_off)
        link.silence()
        # It takes a second to find out that Redis does not answer.
        assert await until(lambda: owns(well, PARTITIONS)) < LOST_WITHIN_S + 1.0
        assert not await lives(stores, cut_off)
        link.heal()
        await shared_evenly(well, cut_off)


async def test_a_shard_that_does_not_reach_redis_when_it_starts_takes_nothing(
    stores: Stores, redis_url: str, net: Network
) -> None:
    link = net.to(redis_url)
    async with by_way_of(stores, link) as lonely, shard_at_work(stores, "well", TTL_S) as well:
        await until(lambda: owns(well, PARTITIONS))
        link.silence()
        async with shard_at_work(lonely, "cut off", TTL_S) as cut_off:
            await asyncio.sleep(2 * TTL_S)
            assert await cut_off.owned() == []
            assert not await lives(stores, cut_off)


async def test_a_shard_that_stands_still_alone_takes_up_what_it_gave_up(
    stores: Stores, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is nobody else, and with new connections it may fare better."""
    async with shard_at_work(stores, "alone", TTL_S) as alone, open_door(stores.pool, redis_url) as door:
        await until(lambda: owns(alone, PARTITIONS))
        campaign = await launch(stores.pool, None, partition=5)
        hang_once(monkeypatch, campaign)
        assert isinstance(await door.redeem(campaign, "somebody", wait_s=LOST_WITHIN_S), Granted)
        assert (await epochs(stores))[home(campaign)] == 2


def hang_once(monkeypatch: pytest.MonkeyPatch, campaign: Campaign) -> None:
    """The next read of the campaign's mailbox never ends."""
    read, hung = Mailbox.read, asyncio.Event()

    async def hangs_once(mailbox: Mailbox, *args: Any) -> Any:
        if f"{{p{home(campaign)}}}".encode() in mailbox._mail and not hung.is_set():
            hung.set()
            await asyncio.Event().wait()
        return await read(mailbox, *args)

    monkeypatch.setattr(Mailbox, "read", hangs_once)

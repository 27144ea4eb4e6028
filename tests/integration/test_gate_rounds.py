"""What a door asks of several partitions goes there together, and each of them is answered for itself."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from claim_workers.consumer import Stores
from frontdoor.gate_rounds import PATIENCE_S
from frontdoor.submissions import Undecided
from shared import beat, clock, keys
from shared.domain.campaign import Campaign
from shared.domain.ids import PARTITIONS, Incarnation, PartitionNo
from shared.errors import RedisUnavailable
from shared.gate import Admission, Asking, Gate, Moved
from shared.redis_client import REPLY_WITHIN_S, open_redis
from tests.integration.engine import Door, Owner, launch, open_door
from tests.proxy import network

HERE, THERE, YONDER = PartitionNo(3), PartitionNo(7), PartitionNo(11)


@pytest.fixture
async def door(stores: Stores, redis_url: str) -> AsyncIterator[Door]:
    async with open_door(stores.pool, redis_url) as door:
        yield door


@pytest.fixture
async def at(stores: Stores, door: Door) -> dict[PartitionNo, Campaign]:
    """A campaign in each of three partitions, of which the door knows the lives."""
    campaigns = {partition: await launch(stores.pool, 10, partition=partition) for partition in (HERE, THERE, YONDER)}
    for partition, campaign in campaigns.items():
        owner = await Owner.of(stores.pool, stores.redis, partition)
        await owner.settler.seed([campaign.campaign_id], owner.cursor)
        assert await door.redeem(campaign, "first", wait_s=0) == Undecided(partition)
    return campaigns


def rounds_of(door: Door, monkeypatch: pytest.MonkeyPatch) -> list[list[PartitionNo]]:
    """Which partitions are asked together from now on."""
    rounds: list[list[PartitionNo]] = []
    one, several = door.gate.admit, door.gate.admit_each

    async def admit(partition: PartitionNo, *asked: Any) -> Admission | Moved:
        rounds.append([partition])
        return await one(partition, *asked)

    async def admit_each(asked: Sequence[Asking]) -> list[Any]:
        rounds.append([asking.partition for asking in asked])
        return await several(asked)

    monkeypatch.setattr(door.gate, "admit", admit)
    monkeypatch.setattr(door.gate, "admit_each", admit_each)
    return rounds


async def asked_at_once(door: Door, at: dict[PartitionNo, Campaign]) -> list[Any]:
    """What somebody hears in each partition."""
    asked = (door.redeem(campaign, f"user {partition}", wait_s=0) for partition, campaign in at.items())
    return await asyncio.gather(*asked, return_exceptions=True)


async def test_partitions_that_are_asked_in_the_same_turn_of_the_loop_are_asked_together(
    door: Door, at: dict[PartitionNo, Campaign], monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = rounds_of(door, monkeypatch)
    assert await asked_at_once(door, at) == [Undecided(partition) for partition in at]
    assert rounds == [[HERE, THERE, YONDER]]


async def test_what_is_asked_for_while_a_round_is_under_way_goes_with_the_next(
    door: Door, at: dict[PartitionNo, Campaign], monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = rounds_of(door, monkeypatch)
    first = asyncio.create_task(door.redeem(at[HERE], "a", wait_s=0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert rounds == [[HERE]]
    more = [door.redeem(at[where], f"{user} {where}", wait_s=0) for user in "bc" for where in (HERE, THERE)]
    await asyncio.gather(first, *more)
    assert [sorted(each) for each in rounds] == [[HERE], [HERE, THERE]]


async def test_after_a_round_to_several_partitions_what_comes_gathers_for_as_long_as_it_took(
    door: Door, at: dict[PartitionNo, Campaign], monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds, several = rounds_of(door, monkeypatch), door.gate.admit_each

    async def slowly(asked: Sequence[Asking]) -> list[Any]:
        await asyncio.sleep(PATIENCE_S / 4)
        return await several(asked)

    monkeypatch.setattr(door.gate, "admit_each", slowly)
    monkeypatch.setattr(beat, "GATHER_S", PATIENCE_S)
    await asked_at_once(door, at)
    early = asyncio.create_task(door.redeem(at[HERE], "b", wait_s=0))
    await asyncio.sleep(PATIENCE_S / 20)
    await asyncio.gather(early, door.redeem(at[THERE], "c", wait_s=0))
    assert [sorted(each) for each in rounds] == [[HERE, THERE, YONDER], [HERE, THERE]]


async def test_a_round_that_hangs_holds_nobody_up_for_long(
    door: Door, at: dict[PartitionNo, Campaign], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = door.gate.admit

    async def hangs_here(partition: PartitionNo, *asked: Any) -> Admission | Moved:
        if partition == HERE:
            await asyncio.Event().wait()
        return await real(partition, *asked)

    monkeypatch.setattr(door.gate, "admit", hangs_here)
    hung = asyncio.create_task(door.redeem(at[HERE], "a"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    before = clock.monotonic()
    assert await door.redeem(at[THERE], "b", wait_s=0) == Undecided(THERE)
    assert clock.monotonic() - before < (PATIENCE_S + REPLY_WITHIN_S) / 2
    assert not hung.done()
    hung.cancel()
    await asyncio.gather(hung, return_exceptions=True)


async def test_a_partition_whose_keys_are_spoilt_is_the_only_one_that_hears_so(
    stores: Stores, door: Door, at: dict[PartitionNo, Campaign]
) -> None:
    living = await stores.gate.living(HERE)
    assert living is not None
    await stores.redis.set(keys.reservations(HERE, living), "garbage")
    spoilt, *sound = await asked_at_once(door, at)
    assert spoilt != Undecided(HERE)
    assert sound == [Undecided(THERE), Undecided(YONDER)]


async def test_what_breaks_as_one_partition_is_asked_breaks_nobody_elses_round(
    door: Door, at: dict[PartitionNo, Campaign], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = door.certificates.known

    def broken(campaign: Any, *part: Any) -> Any:
        if campaign == at[HERE].campaign_id:
            raise ZeroDivisionError
        return known(campaign, *part)

    monkeypatch.setattr(door.certificates, "known", broken)
    broken_down, *others = await asked_at_once(door, at)
    assert isinstance(broken_down, ZeroDivisionError)
    assert others == [Undecided(THERE), Undecided(YONDER)]


async def test_a_partition_that_breaks_before_it_is_asked_is_asked_again_and_breaks_nobody_elses_round(
    door: Door, at: dict[PartitionNo, Campaign], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(batch: Any) -> Any:
        raise ZeroDivisionError

    with monkeypatch.context() as breaking:
        breaking.setattr(door.desk._course._gates[HERE], "_of_newest_layouts", broken)
        async with asyncio.timeout(REPLY_WITHIN_S):
            broken_down, *others = await asked_at_once(door, at)
    assert isinstance(broken_down, ZeroDivisionError)
    assert others == [Undecided(THERE), Undecided(YONDER)]
    assert await door.redeem(at[HERE], "next", wait_s=0) == Undecided(HERE)


async def test_scripts_that_redis_has_forgotten_are_told_again_to_all_who_ask(
    stores: Stores, door: Door, at: dict[PartitionNo, Campaign]
) -> None:
    await stores.redis.script_flush()
    assert await asked_at_once(door, at) == [Undecided(partition) for partition in at]


async def test_a_redis_that_falls_silent_as_its_scripts_are_told_again_is_waited_for_once(
    stores: Stores, redis_url: str
) -> None:
    everywhere = [Asking(PartitionNo(number), Incarnation("over"), [], []) for number in range(PARTITIONS)]
    with network() as net:
        link = net.to(redis_url)
        async with open_redis(link.url) as redis:
            gate = Gate(redis, 100)
            assert await gate.admit_each(everywhere) == [Moved(None)] * PARTITIONS
            await stores.redis.script_flush()
            link.swallow(b"SCRIPT", then=link.silent["back"].clear)
            before = clock.monotonic()
            answers = await gate.admit_each(everywhere)
            assert clock.monotonic() - before < 3 * REPLY_WITHIN_S
    assert [type(each) for each in answers] == [RedisUnavailable] * PARTITIONS

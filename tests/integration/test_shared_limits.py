"""The limiter's script on a real Redis: exact grants, the ladder as the doors have it, and state that may be anything."""

import asyncio
from typing import Any

import pytest

from shared import keys
from shared.domain.limits import BAN_MS, LimitedCall, Policy, Subject
from shared.limits import Charge, SharedLimits, Standing
from shared.redis_client import Redis

ANN, BOB = Subject("u:ann"), Subject("u:bob")
VALIDATE, REDEEM = LimitedCall.VALIDATE, LimitedCall.REDEEM
POLICIES = Policy("validate", 10), Policy("redeem", 5)


@pytest.fixture
def limits(redis: Redis) -> SharedLimits:
    return SharedLimits(redis, POLICIES)


async def standing(limits: SharedLimits, charge: Charge) -> Standing:
    told = await limits.charge([charge])
    # What somebody spent of whom nothing was known is no news; whoever asks for nothing hears of it.
    told = told if told.standings else await limits.charge([Charge(charge.subject, charge.call)])
    [one] = told.standings.values()
    return one


def asks(subject: Subject = ANN, calls: int = 1, call: LimitedCall = REDEEM) -> Charge:
    return Charge(subject, call, asked=calls)


async def test_of_many_who_ask_at_once_as_many_are_granted_as_the_bucket_holds(redis: Redis) -> None:
    doors = [SharedLimits(redis, POLICIES) for _ in range(4)]
    told = await asyncio.gather(*(standing(door, asks(calls=3)) for door in doors))
    assert sum(each.granted for each in told) == 5
    assert (await standing(doors[0], asks())).granted == 0


async def test_calls_and_subjects_have_buckets_of_their_own(limits: SharedLimits) -> None:
    told = await limits.charge([asks(calls=9), asks(calls=12, call=VALIDATE), asks(BOB, 9), asks(calls=1)])
    assert [each.granted for each in told.standings.values()] == [5, 10, 5, 0]
    assert (await standing(limits, asks(call=VALIDATE))).granted == 0


async def test_what_was_spent_is_taken_whether_it_was_there_or_not(limits: SharedLimits) -> None:
    assert 59_000 < (await standing(limits, Charge(ANN, REDEEM, spent=5))).full_in <= 60_000
    one = await standing(limits, Charge(ANN, REDEEM, spent=2, asked=1))
    assert one.granted == 0
    assert 83_000 < one.full_in <= 84_000


async def test_never_more_than_a_second_bucketful_is_owed(limits: SharedLimits) -> None:
    assert 119_000 < (await standing(limits, Charge(ANN, REDEEM, spent=1_000))).full_in <= 120_000


async def test_the_script_climbs_the_ladder_that_the_doors_climb(limits: SharedLimits) -> None:
    for failures in range(1, 12):
        one = await standing(limits, Charge(ANN, REDEEM, failures=1))
        assert one.failures == failures
        assert max(one.blocked_for, 0) == pytest.approx(POLICIES[REDEEM].block_ms(failures), abs=1_000)


async def test_who_is_blocked_is_granted_nothing_and_others_are(limits: SharedLimits) -> None:
    await limits.charge([Charge(ANN, VALIDATE, failures=5)])
    told = await limits.charge([asks(), asks(BOB)])
    assert [each.granted for each in told.standings.values()] == [0, 1]


async def test_every_door_hears_of_every_block_once(redis: Redis) -> None:
    one, other = SharedLimits(redis, POLICIES), SharedLimits(redis, POLICIES)
    await one.charge([Charge(ANN, REDEEM, failures=10), Charge(BOB, REDEEM, failures=4)])
    [block] = (await other.charge([])).blocks
    assert (block.subject, block.failures) == (ANN, 10)
    assert BAN_MS - 1_000 < block.blocked_for <= BAN_MS
    assert (await other.charge([])).blocks == []
    await one.charge([Charge(BOB, REDEEM, failures=1)])
    assert [block.subject for block in (await other.charge([])).blocks] == [BOB]


async def test_what_is_over_is_forgotten(limits: SharedLimits, redis: Redis) -> None:
    await limits.charge([asks(), Charge(BOB, REDEEM, failures=1)])
    assert 0 < await redis.pttl(keys.limits(ANN)) <= 12_000
    assert 12_000 < await redis.pttl(keys.limits(BOB)) <= BAN_MS
    await limits.charge([Charge(BOB, REDEEM, failures=4)])
    assert 0 < await redis.pttl(keys.BLOCKS) <= BAN_MS


@pytest.mark.parametrize(
    "garbage", ["", "x", "1 2 3", "inf nan 0 1e400 0", "9" * 400 + " 1 2 3 4", f"1 1 99 {'9' * 18} {'9' * 18}"]
)
async def test_a_state_that_is_garbage_harms_nobody_for_ever(limits: SharedLimits, redis: Redis, garbage: str) -> None:
    await redis.set(keys.limits(ANN), garbage)
    one = await standing(limits, asks())
    assert one.full_in <= 120_000
    assert one.blocked_for <= BAN_MS
    assert (await standing(limits, asks(BOB))).granted == 1


async def test_keys_of_the_wrong_type_are_made_anew(limits: SharedLimits, redis: Redis) -> None:
    await redis.set(keys.BLOCKS, "text")
    await redis.lpush(keys.limits(ANN), "list")  # type: ignore[misc]
    assert (await standing(limits, asks(calls=6))).granted == 5
    await limits.charge([Charge(BOB, REDEEM, failures=10)])
    assert await redis.xlen(keys.BLOCKS) == 1


@pytest.mark.parametrize(
    "entry",
    [
        {"not": "ours"},
        {"s": keys.limits(ANN), "u": "soon", "f": 5},
        {"s": b"\xff", "u": 1, "f": 5},
        {"s": keys.limits(ANN), "u": "9" * 18, "f": 5},
    ],
)
async def test_a_block_that_is_garbage_blocks_nobody_for_ever_and_those_behind_it_are_heard_of(
    limits: SharedLimits, redis: Redis, entry: Any
) -> None:
    await redis.xadd(keys.BLOCKS, entry)
    told = await limits.charge([asks(), Charge(BOB, REDEEM, failures=10)])
    assert told.standings[0].granted == 1
    assert told.blocks[-1].subject == BOB
    assert all(block.blocked_for <= BAN_MS for block in told.blocks)

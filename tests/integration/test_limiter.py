"""Front doors that limit together on a real Redis, and each by itself while there is none."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from frontdoor.app import cancelled
from frontdoor.limiter import Limiter, limiter
from frontdoor.problems import REFUSALS, Problem
from frontdoor.replies import Reply, Shown
from shared import clock, keys, metrics
from shared.domain.ids import UserId
from shared.domain.limits import LimitedCall, Subject
from shared.domain.outcomes import Refusal
from shared.redis_client import Redis, open_redis
from shared.settings import Settings
from tests.integration.engine import until
from tests.servers import embedded_redis, running

VALIDATE, REDEEM = LimitedCall.VALIDATE, LimitedCall.REDEEM
UNKNOWN, FOR_OTHERS, SOLD_OUT, TAKEN = (
    REFUSALS[each] for each in (Refusal.UNKNOWN_CODE, Refusal.AUDIENCE_MISMATCH, Refusal.EXHAUSTED, Refusal.ALREADY_REDEEMED)
)


class Good(msgspec.Struct):
    pass


GOOD = Shown(Good())


class Door:
    """The limiter of a front door, and what one user does there."""

    def __init__(self, limits: Limiter) -> None:
        self.limits = limits

    async def to_the_gate(self, user: str, reply: Reply = GOOD, call: LimitedCall = REDEEM) -> str:
        async def answer() -> Reply:
            return reply

        subject = self._subject(user)
        return said(self.limits.refusal(subject, call) or await self.limits.granted(subject, call, answer))

    def from_memory(self, user: str, reply: Reply = SOLD_OUT, call: LimitedCall = REDEEM) -> str:
        subject = self._subject(user)
        return said(self.limits.refusal(subject, call) or self.limits.spent(subject, call, reply))

    def limited(self, user: str, call: LimitedCall = REDEEM) -> str | None:
        refused = self.limits.refusal(self._subject(user), call)
        return None if refused is None else refused.code

    def _subject(self, user: str) -> Subject | None:
        return self.limits.user(UserId(user))


def said(reply: Reply) -> str:
    return reply.code if isinstance(reply, Problem) else "good"


@asynccontextmanager
async def opened(redis_url: str, **settings: Any) -> AsyncIterator[Door]:
    """A door that shares with whom it finds at this Redis."""
    redis = open_redis(redis_url)
    told = Settings(postgres_dsn="unused", redis_url=redis_url, jwt_secret="s" * 32, **settings)
    door = Door(limiter(told, redis))
    sharing = asyncio.create_task(door.limits.keep_sharing())
    try:
        yield door
    finally:
        await cancelled(sharing)
        await redis.aclose()


async def shares(door: Door) -> bool:
    return not door.limits._alone


@pytest.fixture
async def doors(redis_url: str) -> AsyncIterator[tuple[Door, Door]]:
    async with opened(redis_url) as one, opened(redis_url) as other:
        yield one, other


def holds(condition: Callable[[], object]) -> Any:
    async def now() -> object:
        return condition()

    return now


async def test_the_sixth_that_goes_to_the_gate_is_refused_whichever_door_it_enters(doors: tuple[Door, Door]) -> None:
    heard = [await doors[number % 2].to_the_gate("ann") for number in range(7)]
    assert heard == ["good"] * 5 + ["rate_limited"] * 2
    assert await doors[0].to_the_gate("bob") == "good"


async def test_of_many_at_once_at_both_doors_five_go_to_the_gate(doors: tuple[Door, Door]) -> None:
    heard = await asyncio.gather(*(door.to_the_gate("ann") for door in doors for _ in range(20)))
    assert heard.count("good") == 5


async def test_what_one_door_answered_from_memory_the_other_knows_within_200_ms(doors: tuple[Door, Door], redis: Redis) -> None:
    one, other = doors
    began = clock.monotonic()
    for _ in range(4):
        assert one.from_memory("ann") == "exhausted"

    async def known() -> Any:
        return await redis.exists(keys.limits(Subject("u:ann")))

    await until(known)
    assert clock.monotonic() - began < 0.2
    assert [await other.to_the_gate("ann") for _ in range(2)] == ["good", "rate_limited"]


async def test_sharing_brings_back_what_was_taken_at_the_other_door(doors: tuple[Door, Door]) -> None:
    one, other = doors
    for _ in range(4):
        assert one.from_memory("ann") == other.from_memory("ann") == "exhausted"
    assert one.limited("ann") is other.limited("ann") is None
    # Who shares last hears of all; who was first hears of it with the next that it shares.
    await until(holds(lambda: one.limited("ann") or other.limited("ann")), within_s=0.2)
    one.from_memory("ann")
    other.from_memory("ann")
    await until(holds(lambda: one.limited("ann") and other.limited("ann")), within_s=0.2)


async def test_whoever_is_refused_from_memory_costs_no_call(doors: tuple[Door, Door]) -> None:
    one, _ = doors
    for _ in range(5):
        await one.to_the_gate("ann")
    owed = one.limits._owed
    assert [await one.to_the_gate("ann") for _ in range(50)] == ["rate_limited"] * 50
    assert owed == {}


async def test_calls_under_load_share_their_way_to_redis(doors: tuple[Door, Door]) -> None:
    one, _ = doors
    metrics.LIMIT_CALLS._counts.clear()
    for number in range(1_000):
        one.from_memory(f"user-{number}")
    await until(holds(lambda: not one.limits._owed))
    await asyncio.gather(*(one.to_the_gate(f"guest-{number}") for number in range(1_000)))
    assert sum(metrics.LIMIT_CALLS._counts.values()) <= 12


async def test_ten_failures_at_one_door_are_a_ban_at_the_other_within_a_second(redis_url: str) -> None:
    plenty: dict[str, Any] = {"redeem_per_minute": 60_000}  # a cooldown of a millisecond
    async with opened(redis_url, **plenty) as one, opened(redis_url, **plenty) as other:
        began = clock.monotonic()
        for reply in (UNKNOWN, FOR_OTHERS) * 5:
            await until(holds(lambda: one.limited("bot") is None))
            await one.to_the_gate("bot", reply)
        banned_at = clock.monotonic()
        assert one.limited("bot") == "too_many_failures"
        await until(holds(lambda: other.limited("bot")), within_s=1.0)
        assert clock.monotonic() - banned_at < 1.0, clock.monotonic() - began
        assert other.limited("bot", VALIDATE) == "too_many_failures"
        assert await other.to_the_gate("shopper") == "good"


async def test_a_door_that_opens_knows_who_is_banned(doors: tuple[Door, Door], redis_url: str) -> None:
    for _ in range(10):
        doors[0].limits.spent(Subject("u:bot"), REDEEM, UNKNOWN)
    await until(holds(lambda: doors[1].limited("bot")), within_s=1.0)
    async with opened(redis_url) as late:
        assert await late.to_the_gate("ann") == "good"
        assert late.limited("bot") == "too_many_failures"


async def test_only_wrong_codes_are_failures(redis_url: str) -> None:
    async with opened(redis_url, redeem_per_minute=60_000) as door:
        for reply in (SOLD_OUT, TAKEN, GOOD) * 20:
            door.from_memory("ann", reply)
            await door.to_the_gate("ann", reply)
        assert await door.to_the_gate("ann") == "good"
        assert not door.limits._accounts._failures


async def test_without_redis_a_door_limits_by_itself_and_nobody_waits(tmp_path: Path) -> None:
    with running(embedded_redis(tmp_path)) as server:
        async with opened(server.url) as door:
            server.stop()
            began = clock.monotonic()
            heard = await asyncio.gather(*(door.to_the_gate("ann") for _ in range(8)))
            assert heard.count("good") == 5
            assert [door.from_memory("bob", UNKNOWN) for _ in range(6)] == ["unknown_code"] * 5 + ["too_many_failures"]
            assert clock.monotonic() - began < 1.0
            server.start()
            await until(lambda: shares(door), within_s=3.0)


async def test_a_redis_that_says_nothing_holds_up_only_those_who_were_there_first(tmp_path: Path) -> None:
    with running(embedded_redis(tmp_path)) as server:
        async with opened(server.url) as door, open_redis(server.url) as redis:
            process = (await redis.info("server"))["process_id"]
            os.kill(process, signal.SIGSTOP)
            try:
                began = clock.monotonic()
                assert await door.to_the_gate("ann") == "good"
                assert clock.monotonic() - began < 1.5
                began = clock.monotonic()
                assert await door.to_the_gate("bob") == "good"
                assert clock.monotonic() - began < 0.1
            finally:
                os.kill(process, signal.SIGCONT)
            await until(lambda: shares(door), within_s=3.0)
            assert await door.to_the_gate("cat") == "good"


async def test_limits_that_are_off_limit_nobody(redis_url: str, redis: Redis) -> None:
    async with opened(redis_url, rate_limits="off") as door:
        heard = [await door.to_the_gate("ann", UNKNOWN) for _ in range(30)]
        assert heard == ["unknown_code"] * 30
        assert await redis.dbsize() == 0

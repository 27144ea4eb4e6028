"""Answers that must not tell by their time what they are."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from frontdoor import decoys
from frontdoor.decoys import keep_looking
from frontdoor.ticks import TICK_S, Ticks


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


def now() -> float:
    return asyncio.get_running_loop().time()


def ticks_until(due: float, arrived_at: float) -> int:
    return round((due - arrived_at) / TICK_S)


def took(ticks: Ticks) -> Counter[int]:
    """How many ticks a thousand answers from memory take."""
    arrivals = (now() for _ in range(1_000))
    return Counter(ticks_until(ticks.known(arrived_at), arrived_at) for arrived_at in arrivals)


@pytest.mark.parametrize("took", [0.0, 0.6, 2.5], ids=lambda ticks: f"{ticks} ticks")
@pytest.mark.parametrize("kind", ["known", "looked_up"])
async def test_an_answer_leaves_at_the_next_multiple_of_a_tick_after_arrival(ticks: Ticks, kind: str, took: float) -> None:
    arrived_at = now() - took * TICK_S
    due = getattr(ticks, kind)(arrived_at)
    assert due <= now() + TICK_S
    assert ticks_until(due, arrived_at) == pytest.approx((due - arrived_at) / TICK_S)
    assert due > arrived_at + took * TICK_S


async def test_what_is_known_takes_as_long_as_look_ups_lately_did(ticks: Ticks) -> None:
    for _ in range(500):
        ticks.note(0.3 * TICK_S)
        ticks.note(2.5 * TICK_S)
    drawn = took(ticks)
    assert drawn.keys() == {1, 3}
    assert abs(drawn[1] - drawn[3]) < 250


async def test_look_ups_of_long_ago_do_not_count(ticks: Ticks) -> None:
    for seconds in [5.5 * TICK_S] * 1_000 + [0.5 * TICK_S] * 1_000:
        ticks.note(seconds)
    assert took(ticks).keys() == {1}


async def test_those_of_one_tick_leave_together_in_no_order(ticks: Ticks) -> None:
    left: list[int] = []
    due = now() + TICK_S
    for number in range(100):
        ticks.at(due, lambda number=number: left.append(number))  # type: ignore[misc]
    await ticks.until(due)
    assert now() >= due
    await asyncio.sleep(0)
    assert sorted(left) == list(range(100))
    assert left != sorted(left)


@asynccontextmanager
async def looking(ticks: Ticks, looked: asyncio.Queue[None]) -> AsyncIterator[None]:
    async def look_in_vain() -> None:
        await asyncio.sleep(3.5 * TICK_S)
        looked.put_nowait(None)

    task = asyncio.create_task(keep_looking(look_in_vain, ticks))
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_while_there_are_guesses_it_is_measured_how_long_a_look_up_takes(
    ticks: Ticks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoys, "EVERY_S", 0.001)
    looked: asyncio.Queue[None] = asyncio.Queue()
    async with looking(ticks, looked):
        await asyncio.sleep(0.05)
        assert looked.empty(), "nobody guessed"
        ticks.known(now())
        await asyncio.wait_for(looked.get(), 5)
        await asyncio.sleep(0)
        assert max(took(ticks)) >= 4


async def test_an_answer_that_breaks_keeps_no_other_from_leaving(ticks: Ticks) -> None:
    loop, broken, left = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
    loop.set_exception_handler(lambda *_: broken.set())
    due, waiting = ticks.known(now()), 10

    def leave() -> None:
        nonlocal waiting
        waiting -= 1
        if not waiting:
            left.set()

    def break_off() -> None:
        raise ValueError

    for number in range(11):
        ticks.at(due, break_off if number == 5 else leave)
    async with asyncio.timeout(5):
        await asyncio.gather(broken.wait(), left.wait())

"""Pieces of work follow each other at once, unless they hold little of many partitions; none waits long for one that hangs."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from shared import beat, clock
from shared.beat import Beat

LONG_S = 5.0


class Work:
    """Does nothing, a few times, of so many partitions and claims."""

    def __init__(self, partitions: int, claims: int, times: int = 2) -> None:
        self._partitions, self._claims, self._left = partitions, claims, times
        self.begun: asyncio.Queue[float] = asyncio.Queue()
        self.hang: asyncio.Event | None = None
        self.beat = Beat(self._next, LONG_S)

    def _next(self) -> Coroutine[Any, Any, None] | None:
        self._left -= 1
        return self._piece() if self._left >= 0 else None

    async def _piece(self) -> None:
        began = clock.monotonic()
        self.begun.put_nowait(began)
        if self.hang:
            await self.hang.wait()
        self.beat.over(began - LONG_S, self._partitions, self._claims)


@pytest.fixture(autouse=True)
def gathering(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beat, "GATHER_S", 0.2)


async def between(work: Work) -> float:
    """The seconds from one piece of work to the next."""
    work.beat.begin()
    async with asyncio.timeout(LONG_S):
        return -await work.begun.get() + await work.begun.get()


@pytest.mark.parametrize(("partitions", "claims"), [(1, 1), (1, 1_000), (2, 100), (16, 256)])
async def test_who_is_alone_or_has_enough_to_do_waits_for_no_timer(partitions: int, claims: int) -> None:
    assert await between(Work(partitions, claims)) < 0.19


@pytest.mark.parametrize(("partitions", "claims"), [(2, 2), (2, 31), (16, 255)])
async def test_while_there_is_little_of_several_partitions_more_gathers(partitions: int, claims: int) -> None:
    assert await between(Work(partitions, claims)) > 0.19


async def test_a_piece_that_hangs_is_waited_for_no_longer_than_a_moment() -> None:
    work = Work(1, 1)
    work.hang, work.beat = asyncio.Event(), Beat(work._next, patience_s=0.05)
    assert 0.05 <= await between(work) < LONG_S
    work.hang.set()


async def test_what_is_begun_while_something_is_under_way_waits_for_it() -> None:
    work = Work(1, 1)
    work.hang = asyncio.Event()
    for _ in range(3):
        work.beat.begin()
        await asyncio.sleep(0)
    assert work.begun.qsize() == 1
    work.hang.set()
    async with asyncio.timeout(LONG_S):
        await work.begun.get(), await work.begun.get()

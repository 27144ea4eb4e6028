"""What thousands of slow connections cost the others: little at a time, and none is forgotten."""

import asyncio

import pytest

from frontdoor import connections
from frontdoor.connections import Connections


class Slow:
    """A connection that began its request long ago."""

    def __init__(self, number: int, told: list[int], first: asyncio.Event, ip: str | None = None) -> None:
        self.ip = ip or f"127.0.0.{number % 250}"
        self.begun_at = -1_000.0
        self.unread_since = 0.0
        self._number = number
        self._told = told
        self._first = first

    def is_unread(self) -> bool:
        return False

    def end_if_silent(self, now: float) -> None:
        """It has said something."""

    def tell_overdue(self) -> None:
        self._told.append(self._number)
        self._first.set()
        self.begun_at = 0.0

    def abort(self) -> None:
        raise AssertionError("it reads")


async def test_thousands_that_are_overdue_at_once_do_not_hold_up_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_LOOK_EVERY_S", 0.01)
    told: list[int] = []
    first = asyncio.Event()
    open_ones = Connections(0)
    slow = [Slow(number, told, first) for number in range(3_000)]
    assert all(open_ones.admits(each) for each in slow)
    seen = 0
    async with asyncio.timeout(10):
        while len(told) < len(slow):
            await asyncio.sleep(0)
            assert len(told) - seen <= 50
            seen = len(told)
    assert sorted(told) == list(range(3_000))
    for each in slow:
        open_ones.left(each)


async def test_who_left_while_others_were_looked_at_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_LOOK_EVERY_S", 0.01)
    told: list[int] = []
    first = asyncio.Event()
    open_ones = Connections(0)
    slow = [Slow(number, told, first) for number in range(1_000)]
    assert all(open_ones.admits(each) for each in slow)
    async with asyncio.timeout(10):
        await first.wait()
    gone = set(range(1_000)) - set(told)
    for number in gone:
        open_ones.left(slow[number])
    await asyncio.sleep(0.05)
    assert not gone & set(told)
    for each in slow:
        open_ones.left(each)


async def test_a_line_has_no_more_connections_for_the_many_addresses_it_may_pick() -> None:
    open_ones, first = Connections(2), asyncio.Event()
    there = [Slow(0, [], first, ip) for ip in ("2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8:0:1::1")]
    assert [open_ones.admits(each) for each in there] == [True, True, False, True]
    open_ones.left(there[2])
    assert not open_ones.admits(there[2])
    open_ones.left(there[0])
    assert open_ones.admits(there[2])
    for each in there:
        open_ones.left(each)

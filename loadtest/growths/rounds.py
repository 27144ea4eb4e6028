"""What all growths share: the same burst at every size, beside bare aiohttp, with what it took of the machine."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from statistics import median
from typing import TypeAlias

import msgspec

from lastslot.running import Stack, own_stack
from loadtest.contestants import Contestant, contestants
from loadtest.machine import machine_line
from loadtest.processes import Taking, takings
from loadtest.records import Measured, Point, Taken, Use, taken
from loadtest.trial import Trial, measure


class Size(msgspec.Struct, frozen=True):
    """How far to grow, and how long to look. `within_s`: when minting codes is given up."""

    people: int
    rounds: int
    codes: int
    redemptions: int
    within_s: float


class Ground(msgspec.Struct, frozen=True):
    """A stack, and bare aiohttp with as many processes as it has front doors."""

    stack: Stack
    taken: Taken
    lastslot: Contestant
    bare: Contestant


#: Looks whether the database has what it must have, where the trial itself cannot say.
Verify: TypeAlias = Callable[[], Awaitable[None]]


@asynccontextmanager
async def ground(frontdoors: int = 2, workers: int = 2) -> AsyncIterator[Ground]:
    """A fresh one."""
    async with own_stack("--frontdoors", str(frontdoors), "--workers", str(workers)) as stack:
        when = taken(await machine_line(stack, frontdoors, workers))
        async with contestants(stack, {"bare"}, frontdoors) as entered:
            yield Ground(stack, when, entered["lastslot"], entered["bare"])


class Rounds:
    """The rounds of one size. The first one warms everything up and does not count."""

    def __init__(self, on: Ground, size: int) -> None:
        self.size = size
        self._on = on
        self._lastslot: list[Measured] = []
        self._bare: list[Measured] = []
        self._uses: list[Mapping[str, Use]] = []

    async def take(self, trial: Trial, verify: Verify | None = None) -> None:
        """One round of both. Raises Wrong."""
        before = takings()
        self._lastslot.append(await measure(self._on.lastslot, trial))
        self._uses.append(_uses(before, takings(), len(trial.requests)))
        if verify is not None:
            await verify()
        self._bare.append(await measure(self._on.bare, trial))

    def point(self) -> Point:
        return Point(self.size, self._lastslot[1:], self._bare[1:], _medians(self._uses[1:]))


def _uses(before: Mapping[str, Taking], after: Mapping[str, Taking], answers: int) -> dict[str, Use]:
    return {
        kind: Use((now.cpu_s - before[kind].cpu_s) / answers * 1e6, now.pss_mb, now.peak_mb)
        for kind, now in after.items()
        if kind in before
    }


def _medians(rounds: Sequence[Mapping[str, Use]]) -> dict[str, Use]:
    """CPU as it was in most rounds; memory as it was at the end."""
    return {
        kind: Use(median(uses[kind].cpu_us for uses in rounds if kind in uses), last.pss_mb, last.peak_mb)
        for kind, last in rounds[-1].items()
    }

"""What the engine has to show, and whether the records show it. Pure but for reading the records."""

from collections.abc import Callable, Container, Sequence
from pathlib import Path
from statistics import median
from typing import TypeAlias

import msgspec
from rich.console import Console

from loadtest.figures import kept, p99_ratio, per_second, ratio
from loadtest.grids import Grid, in_terminal
from loadtest.records import REPORT, Bench, Growth, Measured, OpenLoop, Paced, Timeline, load

Rounds: TypeAlias = Sequence[Measured]


class Verdict(msgspec.Struct, frozen=True):
    """A demand, what was seen, and whether that is enough; None: it was not measured. `of`: the record it is read from."""

    what: str
    demanded: str
    seen: str
    holds: bool | None
    of: str


class Records:
    """The records of a directory, each read when it is asked for."""

    def __init__(self, directory: Path = REPORT) -> None:
        self._directory = directory

    def bench(self, name: str) -> Bench | None:
        return load(name, Bench, self._directory)

    def growth(self, name: str) -> Growth | None:
        return load(f"growth-{name}", Growth, self._directory)

    def open_loop(self) -> OpenLoop | None:
        return load("open_loop", OpenLoop, self._directory)

    def timeline(self) -> Timeline | None:
        return load("timeline", Timeline, self._directory)


class Seen(msgspec.Struct, frozen=True):
    """A figure, and how many rounds it is the median of."""

    figure: float
    rounds: int


Look: TypeAlias = Callable[[Records], Seen | None]


class Demand(msgspec.Struct, frozen=True):
    """A bound on one figure: `most` or `least`, in `unit`, as the median of so many `rounds`. `look` gives None when it is not
    in the records."""

    what: str
    of: str
    look: Look
    most: float | None = None
    least: float | None = None
    unit: str = ""
    rounds: int = 5

    def judge(self, records: Records) -> Verdict:
        seen = self.look(records)
        if seen is None:
            return Verdict(self.what, self._demanded(), "not measured", None, self.of)
        text = self._text(seen.figure)
        if seen.rounds < self.rounds:
            return Verdict(self.what, self._demanded(), f"{text} in {seen.rounds} of {self.rounds} rounds", None, self.of)
        holds = (self.most is None or seen.figure <= self.most) and (self.least is None or seen.figure >= self.least)
        return Verdict(self.what, self._demanded(), text, holds, self.of)

    def _demanded(self) -> str:
        return f"≤ {self._text(self.most)}" if self.most is not None else f"≥ {self._text(self.least or 0.0)}"

    def _text(self, figure: float) -> str:
        number = f"{figure:,.0f}" if abs(figure) >= 100 else f"{figure:.3g}"
        return f"{number} {self.unit}".strip()


def _beside(name: str, other: str, figure: Callable[[Rounds, Rounds], float]) -> Look:
    """A figure of Lastslot's rounds in a scenario beside another's."""

    def look(records: Records) -> Seen | None:
        bench = records.bench(name)
        if bench is None or other not in bench.rounds:
            return None
        own = bench.rounds["lastslot"]
        return Seen(figure(own, bench.rounds[other]), len(own))

    return look


def _throughput(name: str) -> Look:
    return _beside(name, "bare", lambda own, bare: 1 / ratio(own, bare))


def _faster(name: str, peer: str) -> Look:
    return _beside(name, peer, lambda own, other: ratio(other, own))


def _per_second(own: Rounds, _: Rounds) -> float:
    return per_second(own)


def _paced(call: str, offered: int, figure: Callable[[Sequence[Paced]], float]) -> Look:
    """A figure of Lastslot's rounds at a given rate."""

    def look(records: Records) -> Seen | None:
        loop = records.open_loop()
        for step in () if loop is None else loop.steps:
            if (step.call, step.contestant, step.offered) == (call, "lastslot", offered):
                return Seen(figure(step.rounds), len(step.rounds))
        return None

    return look


def _p99_ms(rounds: Sequence[Paced]) -> float:
    return median(run.p99 for run in rounds) * 1e3


def _failed(rounds: Sequence[Paced]) -> float:
    return sum(run.failed for run in rounds)


def _grown(name: str, size: int, figure: Callable[[Growth], float]) -> Look:
    """A figure of a growth that has come to `size`."""

    def look(records: Records) -> Seen | None:
        growth = records.growth(name)
        if growth is None or growth.points[-1].size < size:
            return None
        return Seen(figure(growth), len(growth.points[-1].lastslot))

    return look


def _kept(name: str, size: int) -> Look:
    """What is left of the smallest size's throughput at the largest."""
    return _grown(name, size, lambda growth: kept(growth)[-1])


def _memory(kind: str) -> Look:
    """MB that a process of a kind ever had resident, in a run in which a campaign had a million redemptions."""
    return _grown("redemptions", 10**6, lambda growth: max(point.uses[kind].peak_mb for point in growth.points))


DEMANDS = (
    Demand("burst of 10,000, 1,000 slots: time ÷ bare aiohttp", "burst", _beside("burst", "bare", ratio), most=1.6),
    Demand("burst: times faster than the textbook peer", "burst", _faster("burst", "textbook"), least=5.5),
    Demand("burst: p99 of all answers ÷ bare aiohttp", "burst", _beside("burst", "bare", p99_ratio), most=2, rounds=9),
    Demand("all win: acknowledged", "all_win", _beside("all_win", "bare", _per_second), least=5_000, unit="/s"),
    Demand("all win: times faster than the textbook peer", "all_win", _faster("all_win", "textbook"), least=3),
    Demand("sold-out 410: throughput ÷ bare aiohttp", "sold_out", _throughput("sold_out"), least=0.7),
    Demand("bogus 404: throughput ÷ bare aiohttp", "bogus", _throughput("bogus"), least=0.7),
    Demand("validate, warm: throughput ÷ bare aiohttp", "validate", _throughput("validate"), least=0.6),
    Demand("validate at 1,000/s: p99", "open_loop", _paced("validate", 1_000, _p99_ms), most=5, unit="ms"),
    Demand("redeem at 1,000/s: p99", "open_loop", _paced("redeem", 1_000, _p99_ms), most=25, unit="ms"),
    Demand("redeem at 1,000/s: not answered 201", "open_loop", _paced("redeem", 1_000, _failed), most=0),
    Demand("10⁷ codes instead of 10³: throughput kept", "growth-codes", _kept("codes", 10**7), least=0.85),
    Demand("10⁶ redemptions instead of 10³: throughput kept", "growth-redemptions", _kept("redemptions", 10**6), least=0.85),
    Demand("1,000 campaigns instead of 1: throughput kept", "growth-campaigns", _kept("campaigns", 1_000), least=0.6),
    Demand(
        "memory of a front door at its peak, caches included", "growth-redemptions", _memory("frontdoor"), most=120, unit="MB"
    ),
    Demand("memory of a worker at its peak", "growth-redemptions", _memory("worker"), most=150, unit="MB"),
)


def verdicts(records: Records, of: Container[str] | None = None) -> list[Verdict]:
    """Every demand on the records named in `of` (None: on all), judged."""
    return [demand.judge(records) for demand in DEMANDS if of is None or demand.of in of]


def verdicts_grid(judged: Sequence[Verdict]) -> Grid:
    rows = [(_MARKS[verdict.holds], verdict.what, verdict.demanded, verdict.seen) for verdict in judged]
    return Grid("What is demanded", ("", "what", "demanded", "seen"), rows, words=2)


def print_verdicts(console: Console, of: Container[str] | None = None) -> bool:
    """Show what was demanded of these records, and whether it holds. True when all does."""
    judged = verdicts(Records(), of)
    if judged:
        console.print(in_terminal(verdicts_grid(judged)))
    return all(verdict.holds for verdict in judged)


_MARKS = {True: "✔", False: "✘", None: "–"}

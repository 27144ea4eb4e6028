"""What the engine has to show, and whether the records show it. Pure but for reading the records."""

from collections.abc import Callable, Container, Sequence
from pathlib import Path
from statistics import median
from typing import TypeAlias

import msgspec
from rich.console import Console
from rich.table import Table

from loadtest.records import REPORT, Bench, Growth, Measured, OpenLoop, Paced, load
from loadtest.tables import kept, p99_ratio, per_second, ratio

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


class Demand(msgspec.Struct, frozen=True):
    """A bound on one figure: `most` or `least`, in `unit`. `figure` gives None when the record does not have it."""

    what: str
    of: str
    figure: Callable[[Records], float | None]
    most: float | None = None
    least: float | None = None
    unit: str = ""

    def judge(self, records: Records) -> Verdict:
        seen = self.figure(records)
        if seen is None:
            return Verdict(self.what, self._demanded(), "not measured", None, self.of)
        holds = (self.most is None or seen <= self.most) and (self.least is None or seen >= self.least)
        return Verdict(self.what, self._demanded(), self._text(seen), holds, self.of)

    def _demanded(self) -> str:
        return f"≤ {self._text(self.most)}" if self.most is not None else f"≥ {self._text(self.least or 0.0)}"

    def _text(self, figure: float) -> str:
        number = f"{figure:,.0f}" if abs(figure) >= 100 else f"{figure:.3g}"
        return f"{number} {self.unit}" if self.unit not in ("", "×") else number + self.unit


def _rounds(name: str, other: str, figure: Callable[[Rounds, Rounds], float]) -> Callable[[Records], float | None]:
    """A figure of Lastslot's rounds in a scenario beside another's."""

    def read(records: Records) -> float | None:
        bench = records.bench(name)
        if bench is None or other not in bench.rounds:
            return None
        return figure(bench.rounds["lastslot"], bench.rounds[other])

    return read


def _throughput(name: str) -> Callable[[Records], float | None]:
    return _rounds(name, "bare", lambda own, bare: 1 / ratio(own, bare))


def _faster(name: str, peer: str) -> Callable[[Records], float | None]:
    return _rounds(name, peer, lambda own, other: ratio(other, own))


def _paced(call: str, offered: int, figure: Callable[[Paced], float]) -> Callable[[Records], float | None]:
    """The median over the rounds of an open loop."""

    def read(records: Records) -> float | None:
        loop = records.open_loop()
        for step in () if loop is None else loop.steps:
            if (step.call, step.contestant, step.offered) == (call, "lastslot", offered):
                return median(map(figure, step.rounds))
        return None

    return read


def _grown(name: str, size: int) -> Callable[[Records], float | None]:
    """What is left of the smallest size's throughput at `size`."""

    def read(records: Records) -> float | None:
        growth = records.growth(name)
        return None if growth is None or growth.points[-1].size < size else kept(growth)[-1]

    return read


def _memory(kind: str) -> Callable[[Records], float | None]:
    """MB of the largest process of a kind, while a campaign had its most redemptions."""

    def read(records: Records) -> float | None:
        growth = records.growth("redemptions")
        return None if growth is None else max(point.uses[kind].pss_mb for point in growth.points)

    return read


DEMANDS = (
    Demand("burst of 10,000, 1,000 slots: time ÷ bare aiohttp", "burst", _rounds("burst", "bare", ratio), most=1.6),
    Demand("burst: times faster than the textbook peer", "burst", _faster("burst", "textbook"), least=5.5),
    Demand("burst: p99 of all answers ÷ bare aiohttp", "burst", _rounds("burst", "bare", p99_ratio), most=2),
    Demand(
        "all win: acknowledged", "all_win", _rounds("all_win", "bare", lambda own, _: per_second(own)), least=5_000, unit="/s"
    ),
    Demand("all win: times faster than the textbook peer", "all_win", _faster("all_win", "textbook"), least=3),
    Demand("sold-out 410: throughput ÷ bare aiohttp", "sold_out", _throughput("sold_out"), least=0.7),
    Demand("bogus 404: throughput ÷ bare aiohttp", "bogus", _throughput("bogus"), least=0.7),
    Demand("validate, warm: throughput ÷ bare aiohttp", "validate", _throughput("validate"), least=0.6),
    Demand("validate at 1,000/s: p99", "open_loop", _paced("validate", 1_000, lambda run: run.p99 * 1e3), most=5, unit="ms"),
    Demand("redeem at 1,000/s: p99", "open_loop", _paced("redeem", 1_000, lambda run: run.p99 * 1e3), most=25, unit="ms"),
    Demand("redeem at 1,000/s: not answered 201", "open_loop", _paced("redeem", 1_000, lambda run: run.failed), most=0),
    Demand("10⁷ codes instead of 10³: throughput kept", "growth-codes", _grown("codes", 10**7), least=0.85),
    Demand("10⁶ redemptions instead of 10³: throughput kept", "growth-redemptions", _grown("redemptions", 10**6), least=0.85),
    Demand("1,000 campaigns instead of 1: throughput kept", "growth-campaigns", _grown("campaigns", 1_000), least=0.6),
    Demand("memory of a front door (caches included)", "growth-redemptions", _memory("frontdoor"), most=120, unit="MB"),
    Demand("memory of a worker", "growth-redemptions", _memory("worker"), most=150, unit="MB"),
)


def verdicts(records: Records, of: Container[str] | None = None) -> list[Verdict]:
    """Every demand on the records named in `of` (None: on all), judged."""
    return [demand.judge(records) for demand in DEMANDS if of is None or demand.of in of]


def print_verdicts(console: Console, of: Container[str] | None = None) -> bool:
    """Show what was demanded of these records, and whether it holds. True when all does."""
    judged = verdicts(Records(), of)
    if not judged:
        return True
    table = Table(title="\nWhat is demanded", title_justify="left", title_style="bold")
    for column in ("", "what", "demanded", "seen"):
        table.add_column(column, justify="right" if column in ("demanded", "seen") else "left")
    for verdict in judged:
        table.add_row(MARKS[verdict.holds], verdict.what, verdict.demanded, verdict.seen)
    console.print(table)
    return all(verdict.holds for verdict in judged)


MARKS = {True: "[green]✔[/]", False: "[red]✘[/]", None: "–"}

"""What is drawn of each record."""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from statistics import median

from loadtest.figures import CEILING, kept
from loadtest.plot import Axis, Line, plot
from loadtest.records import Bench, Growth, Step, Timeline
from loadtest.spread import PERCENTS

_COLOURS: Mapping[str, str] = {
    "lastslot": "#0b6e99",
    "bare": "#777777",
    "textbook": "#c2571a",
    "tuned": "#a8862a",
    "for_update": "#7a4fa3",
    CEILING: "#3c8d40",
}
_OWN, _BARE, _WON, _COMMITTED = _COLOURS["lastslot"], _COLOURS["bare"], "#3c8d40", "#c2571a"
_LIGHTER, _LIGHTEST = "#5ba3c6", "#a5cbdf"
_WITHIN = Axis("answers within this time, %", "nines")
_LATENCY = Axis("latency, ms", "log")


def latencies(bench: Bench) -> str:
    """The share of the answers that came within a time; each line the median over the rounds."""
    lines = [
        Line(name, _spread([m.spread for m in measured]), _COLOURS[name])
        for name, measured in bench.rounds.items()
        if name != CEILING and measured[0].spread
    ]
    return plot(_WITHIN, _LATENCY, lines)


def paced_latencies(steps: Sequence[Step], offered: int) -> str:
    """The same, at a given rate."""
    lines = [
        Line(step.contestant, _spread([run.spread for run in step.rounds]), _COLOURS[step.contestant])
        for step in steps
        if step.offered == offered
    ]
    return plot(_WITHIN, _LATENCY, lines)


def _spread(spreads: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
    return [(percent, median(spread[place] for spread in spreads) * 1e3) for place, percent in enumerate(PERCENTS)]


def answers_over_time(timeline: Timeline) -> str:
    """How many heard what, in each slice of the burst."""
    slice_ms = timeline.slice_s * 1e3
    lines = [
        Line(name, [(place * slice_ms, float(count)) for place, count in enumerate([*counts, 0])], colour, steps=True)
        for name, counts, colour in (("sold out", timeline.sold_out, _OWN), ("won", timeline.won, _WON))
    ]
    return plot(Axis("since the first request, ms"), Axis(f"answers in {slice_ms:.0f} ms"), lines)


def winners_over_time(timeline: Timeline) -> str:
    """How many were on the disk, and how many had been told: a step of the second never comes before the first."""
    slice_ms = timeline.slice_s * 1e3
    end = len(timeline.won) * slice_ms
    told = [(0.0, 0.0), *((slice_ms * (n + 1), float(count)) for n, count in enumerate(accumulate(timeline.won)))]
    sizes = accumulate(claims for _, claims in timeline.commits)
    commits = [(at * 1e3, float(count)) for (at, _), count in zip(timeline.commits, sizes, strict=True)]
    committed = [(0.0, 0.0), *commits, (end, commits[-1][1] if commits else 0.0)]
    lines = [Line("committed", committed, _COMMITTED, steps=True), Line("told", told, _WON, steps=True)]
    return plot(Axis("since the first request, ms"), Axis("winners"), lines)


def offered(steps: Sequence[Step]) -> str:
    """Latency over the rate that is offered to one call, and bare aiohttp's beside it."""
    own = _by_rate(steps, "lastslot")
    lines = [
        Line("p99.9", [(step.offered, median(run.p999 for run in step.rounds) * 1e3) for step in own], _LIGHTEST, dots=True),
        Line("p99", _p99s(own), _LIGHTER, dots=True),
        Line("p50", [(step.offered, median(run.p50 for run in step.rounds) * 1e3) for step in own], _OWN, dots=True),
        Line("bare, p99", _p99s(_by_rate(steps, "bare")), _BARE, dots=True),
    ]
    return plot(Axis("requests offered per second", "log", [step.offered for step in own]), _LATENCY, lines)


def _p99s(steps: Sequence[Step]) -> list[tuple[float, float]]:
    return [(step.offered, median(run.p99 for run in step.rounds) * 1e3) for step in steps]


def _by_rate(steps: Sequence[Step], contestant: str) -> list[Step]:
    return sorted((step for step in steps if step.contestant == contestant), key=lambda step: step.offered)


def throughput(growth: Growth) -> str:
    """What is left of the smallest size's throughput."""
    points = [(float(point.size), share) for point, share in zip(growth.points, kept(growth), strict=True)]
    return plot(_sizes(growth), Axis("throughput ÷ that of the smallest"), [Line("lastslot", points, _OWN, dots=True)])


def memory(growth: Growth) -> str:
    """Of the largest process of each kind."""
    lines = [
        Line(name, [(float(point.size), point.uses[kind].pss_mb) for point in growth.points], colour, dots=True)
        for name, kind, colour in (("a front door", "frontdoor", _OWN), ("a worker", "worker", _WON))
    ]
    return plot(_sizes(growth), Axis("memory (PSS), MB"), lines)


def _sizes(growth: Growth) -> Axis:
    sizes = [float(point.size) for point in growth.points]
    return Axis(growth.axis, "linear" if sizes[-1] < 10 else "log", sizes)

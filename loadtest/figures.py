"""What was measured, as tables: medians, and ratios taken round by round, for the machine's mood changes between rounds."""

from collections.abc import Callable, Mapping, Sequence
from statistics import median

from loadtest.grids import Grid
from loadtest.records import Bench, Growth, Measured, Point

#: The bare group commit (see `ceiling`) among the contestants.
CEILING = "group commit"


def ratio(measured: Sequence[Measured], other: Sequence[Measured]) -> float:
    """Times as long as the other."""
    return median(m.seconds / o.seconds for m, o in zip(measured, other, strict=True))


def p99_ratio(measured: Sequence[Measured], other: Sequence[Measured]) -> float:
    """Times the other's p99."""
    return median(m.p99 / o.p99 for m, o in zip(measured, other, strict=True))


def per_second(measured: Sequence[Measured]) -> float:
    return median(m.per_second for m in measured)


def kept(growth: Growth) -> list[float]:
    """For each size, the share of the smallest size's throughput that is left.

    Sizes that were measured in turn are compared round by round; others by what each reached of bare aiohttp in its rounds.
    """
    if growth.in_turn:
        first = growth.points[0].lastslot
        return [1 / ratio(point.lastslot, first) for point in growth.points]
    shares = [1 / ratio(point.lastslot, point.bare) for point in growth.points]
    return [share / shares[0] for share in shares]


def scenario_grid(bench: Bench) -> Grid:
    """Every contestant beside bare aiohttp and beside Lastslot."""
    bare, lastslot = bench.rounds["bare"], bench.rounds["lastslot"]
    rows = [
        (
            name,
            f"{median(m.seconds for m in measured):.3f}",
            f"{per_second(measured):,.0f}",
            f"{median(m.p50 for m in measured) * 1e3:,.1f}",
            f"{median(m.p99 for m in measured) * 1e3:,.1f}",
            f"{ratio(measured, bare):.2f}",
            f"{p99_ratio(measured, bare):.2f}",
            f"{ratio(measured, lastslot):.2f}",
            f"{median(m.client_us for m in measured):.0f}",
        )
        for name, measured in bench.rounds.items()
    ]
    head = ("", "seconds", "per second", "p50 ms", "p99 ms", "time × bare", "p99 × bare", "lastslot faster ×", "client µs")
    return Grid(f"{bench.title} ({medians_of(lastslot)})", head, rows)


def medians_of(rounds: Sequence[object]) -> str:
    return f"medians of {len(rounds)}" if len(rounds) > 1 else "one round"


def notes(bench: Bench) -> list[str]:
    """How much was shared: what one script call and one commit carried. And what is left of the bare group commit."""
    measured = bench.rounds["lastslot"]

    def total(name: str) -> float:
        return sum(m.meters.get(f"lastslot_{name}_total", 0.0) for m in measured)

    lines = []
    if CEILING in bench.rounds:
        share = 1 / ratio(measured, bench.rounds[CEILING])
        lines.append(f"claims acknowledged per second ÷ bare group commit: {share:.2f}")
    if total("gate_calls"):
        lines.append(f"gate script calls per 1,000 answers: {total('gate_calls') / total('answers') * 1e3:.1f}")
    if total("limit_calls"):
        lines.append(f"limiter script calls per 1,000 answers: {total('limit_calls') / total('answers') * 1e3:.1f}")
    if total("commits"):
        lines.append(f"commits per 1,000 claims committed: {total('commits') / total('claims_committed') * 1e3:.1f}")
    if bench.memory_mb:
        lines.append("memory in MB: " + ", ".join(f"{kind} {mb:.0f}" for kind, mb in sorted(bench.memory_mb.items())))
    return lines


def growth_grid(growth: Growth) -> Grid:
    """Every size: throughput, what is left of the first one's, and what an answer and a process took."""
    rows = [
        (
            f"{point.size:,}",
            f"{per_second(point.lastslot):,.0f}",
            f"{share:.2f}",
            f"{median(m.p99 for m in point.lastslot) * 1e3:.0f}",
            f"{per_second(point.bare):,.0f}",
            f"{1 / ratio(point.lastslot, point.bare):.2f}",
            *(figure(point) for figure in _USES.values()),
        )
        for point, share in zip(growth.points, kept(growth), strict=True)
    ]
    head = (growth.axis, f"{growth.unit}/s", "kept", "p99 ms", "bare/s", "÷ bare", *_USES)
    title = f"{growth.title}; {growth.people:,} people a round ({medians_of(growth.points[0].lastslot)})"
    return Grid(title, head, rows, words=0)


def _cpu(kind: str) -> Callable[[Point], str]:
    return lambda point: f"{point.uses[kind].cpu_us:.0f}"


def _memory(kind: str) -> Callable[[Point], str]:
    return lambda point: f"{point.uses[kind].pss_mb:.0f}"


_USES: Mapping[str, Callable[[Point], str]] = {
    "doors µs": _cpu("frontdoor"),
    "workers µs": _cpu("worker"),
    "Postgres µs": _cpu("postgres"),
    "Redis µs": _cpu("redis"),
    "a door MB": _memory("frontdoor"),
    "a worker MB": _memory("worker"),
    "at its peak": lambda point: f"{point.uses['worker'].peak_mb:.0f}",
}

"""How latencies are spread, kept small: their values at some percents, closer together where answers are late. No I/O."""

from collections.abc import Iterable, Sequence
from math import ceil

PERCENTS = (0, 1, 5, *range(10, 90, 5), 90, 92, 94, 95, 96, 97, 98, 99, 99.5, 99.9, 100)


def at_percent(ordered: Sequence[float], percent: float) -> float:
    """The value that `percent` of the ordered values stay within (nearest rank)."""
    return ordered[max(0, ceil(len(ordered) * percent / 100) - 1)]


def spread_of(values: Iterable[float]) -> tuple[float, ...]:
    """The values at PERCENTS, to microseconds."""
    ordered = sorted(values)
    return tuple(round(at_percent(ordered, percent), 6) for percent in PERCENTS)

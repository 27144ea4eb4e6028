"""Line plots as SVG text, for a page that needs nothing but itself. Pure.

Light on ink: a few grey rules across, units at the axes, and each line named at its own end.
"""

from collections.abc import Callable, Iterator, Sequence
from html import escape
from math import ceil, floor, log10
from typing import Literal, TypeAlias

import msgspec

#: nines: 90 %, 99 % and 99.9 % stand equally far from each other.
Scale: TypeAlias = Literal["linear", "log", "nines"]

WIDTH, HEIGHT = 560, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 112, 14, 44
_LABEL_APART = 14
_NINES = (50.0, 90.0, 99.0, 99.9)
_HIGHEST_NINES = 99.95


class Axis(msgspec.Struct, frozen=True):
    """`ticks`: where the rules are; by default at round numbers. A linear axis begins at 0."""

    label: str
    scale: Scale = "linear"
    ticks: Sequence[float] = ()


class Line(msgspec.Struct, frozen=True):
    """`steps`: the value holds until the next point, as counts do. `dots`: each point was measured, and is shown."""

    name: str
    points: Sequence[tuple[float, float]]
    colour: str
    steps: bool = False
    dots: bool = False


class _Span(msgspec.Struct, frozen=True):
    """An axis on the paper: its ends in its own measure, and where they are."""

    scale: Scale
    low: float
    high: float
    begins: float
    ends: float

    def place(self, value: float) -> float:
        low, high = _bent(self.scale, self.low), _bent(self.scale, self.high)
        share = (_bent(self.scale, value) - low) / ((high - low) or 1.0)
        return self.begins + share * (self.ends - self.begins)


def plot(x: Axis, y: Axis, lines: Sequence[Line]) -> str:
    """The lines as an SVG element. What a logarithmic axis cannot show (0 and below) is left out."""
    shown = [_on_paper(line, x, y) for line in lines]
    shown = [line for line in shown if line.points]
    if not shown:
        return ""
    across = _span(x, [point[0] for line in shown for point in line.points], _LEFT, WIDTH - _RIGHT)
    up = _span(y, [point[1] for line in shown for point in line.points], HEIGHT - _BOTTOM, _TOP)
    parts = [*_x_axis(x, across), *_y_axis(y, up)]
    parts += [_drawn(line, across, up) for line in shown]
    parts += _names(shown, up)
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" '
        f'xmlns="http://www.w3.org/2000/svg" font-family="system-ui, sans-serif" font-size="12">\n'
        + "\n".join(parts)
        + "\n</svg>"
    )


def ticks(axis: Axis, low: float, high: float) -> list[float]:
    """Round numbers from `low` to `high`: about five, or the powers of ten and, between few of them, 2 and 5."""
    if axis.ticks:
        return [tick for tick in axis.ticks if low <= tick <= high]
    if axis.scale == "nines":
        return [tick for tick in _NINES if low <= tick <= high]
    if axis.scale == "log":
        first, last = floor(log10(low)), ceil(log10(high))
        factors = (1, 2, 5) if log10(high / low) < 2.75 else (1,)
        return [tick for power in range(first, last + 1) for factor in factors if low <= (tick := factor * 10.0**power) <= high]
    step = _round_step((high - low) / 5)
    return [step * number for number in range(ceil(low / step), floor(high / step + 1e-9) + 1)]


def _round_step(rough: float) -> float:
    power: float = 10.0 ** floor(log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)


def _bent(scale: Scale, value: float) -> float:
    match scale:
        case "log":
            return log10(value)
        case "nines":
            return -log10(1 - min(value, _HIGHEST_NINES) / 100)
        case "linear":
            return value


def _on_paper(line: Line, x: Axis, y: Axis) -> Line:
    points = [
        point
        for point in line.points
        if (x.scale != "log" or point[0] > 0) and (y.scale != "log" or point[1] > 0)
        if x.scale != "nines" or point[0] <= _HIGHEST_NINES
    ]
    return msgspec.structs.replace(line, points=points)


def _span(axis: Axis, values: Sequence[float], begins: float, ends: float) -> _Span:
    low, high = min(values), max(values)
    if axis.scale == "linear":
        low = min(0.0, low)
        high = high if high > low else low + 1.0
        step = _round_step((high - low) / 5)
        high = max(high, *axis.ticks) if axis.ticks else (step * ceil(high / step - 1e-9) if begins > ends else high)
    elif axis.scale == "log" and begins > ends:
        # Upwards there is air above and below; across, the first and the last point are the ends.
        low, high = _rounded_down(low), _rounded_up(high)
    elif low == high:
        high = low * 10 if axis.scale == "log" else _HIGHEST_NINES
    return _Span(axis.scale, low, high, begins, ends)


def _rounded_down(value: float) -> float:
    power: float = 10.0 ** floor(log10(value))
    return max(factor * power for factor in (1, 2, 5) if factor * power <= value * 1.001)


def _rounded_up(value: float) -> float:
    power: float = 10.0 ** floor(log10(value))
    return min(factor * power for factor in (1, 2, 5, 10) if factor * power >= value * 0.999)


def _x_axis(axis: Axis, span: _Span) -> Iterator[str]:
    foot = HEIGHT - _BOTTOM
    yield f'<path d="M{_LEFT} {foot}H{WIDTH - _RIGHT}" stroke="#999" fill="none"/>'
    for tick in ticks(axis, span.low, span.high):
        at = f"{span.place(tick):.1f}"
        yield f'<path d="M{at} {foot}v4" stroke="#999"/>'
        yield f'<text x="{at}" y="{foot + 17}" text-anchor="middle" fill="#555">{_number(tick)}</text>'
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    yield f'<text x="{middle:.0f}" y="{HEIGHT - 8}" text-anchor="middle" fill="#333">{escape(axis.label)}</text>'


def _y_axis(axis: Axis, span: _Span) -> Iterator[str]:
    for tick in ticks(axis, span.low, span.high):
        at = span.place(tick)
        yield f'<path d="M{_LEFT} {at:.1f}H{WIDTH - _RIGHT}" stroke="#e8e8e8"/>'
        yield f'<text x="{_LEFT - 6}" y="{at + 4:.1f}" text-anchor="end" fill="#555">{_number(tick)}</text>'
    middle = (_TOP + HEIGHT - _BOTTOM) / 2
    turned = f'transform="rotate(-90 13 {middle:.0f})"'
    yield f'<text x="13" y="{middle:.0f}" text-anchor="middle" {turned} fill="#333">{escape(axis.label)}</text>'


def _drawn(line: Line, across: _Span, up: _Span) -> str:
    places = [(across.place(x), up.place(y)) for x, y in line.points]
    (x, y), rest = places[0], places[1:]
    join: Callable[[float, float], str] = (
        (lambda x, y: f"H{x:.1f}V{y:.1f}") if line.steps else (lambda x, y: f"L{x:.1f} {y:.1f}")
    )
    path = f"M{x:.1f} {y:.1f}" + "".join(join(*place) for place in rest)
    drawn = f'<path d="{path}" stroke="{line.colour}" fill="none" stroke-width="1.8" stroke-linejoin="round"/>'
    dots = places if line.dots else []
    return drawn + "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.6" fill="{line.colour}"/>' for x, y in dots)


def _names(lines: Sequence[Line], up: _Span) -> Iterator[str]:
    """Each at the height of its line's end, moved down where two would meet, and up again from the foot."""
    ends = sorted(((up.place(line.points[-1][1]), line) for line in lines), key=lambda end: end[0])
    heights: list[float] = []
    for height, _ in ends:
        heights.append(max(height, heights[-1] + _LABEL_APART) if heights else height)
    lowest: float = HEIGHT - _BOTTOM
    for place in range(len(heights) - 1, -1, -1):
        heights[place] = min(heights[place], lowest)
        lowest = heights[place] - _LABEL_APART
    for height, (_, line) in zip(heights, ends, strict=True):
        where = f'x="{WIDTH - _RIGHT + 8}" y="{height + 4:.1f}"'
        yield f'<text {where} fill="{line.colour}">{escape(line.name)}</text>'


def _number(value: float) -> str:
    if value >= 1_000_000 and log10(value) == round(log10(value)):
        return f"10{str(round(log10(value))).translate(_RAISED)}"
    return f"{value:,.0f}" if value >= 1_000 else f"{value:.4g}"


_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")

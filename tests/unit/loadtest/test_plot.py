"""Plots are right where a reader reads them: at the ticks, at the ends of the lines, and in what is left out."""

import re
from xml.etree import ElementTree

import pytest

from loadtest.plot import HEIGHT, WIDTH, Axis, Line, plot, ticks

X, Y = Axis("size"), Axis("time, ms")
LOG = Axis("size", "log")


def texts(drawn: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(drawn).iter() if element.tag.endswith("text")]


def path_of(drawn: str, colour: str) -> list[tuple[float, float]]:
    [path] = re.findall(rf'd="M([^"]*)" stroke="{colour}"', drawn)
    return [(float(x), float(y)) for x, y in re.findall(r"([\d.]+) ([\d.]+)", path)]


def heights(drawn: str, *names: str) -> list[float]:
    return [float(re.search(rf'y="([\d.]+)"[^>]*>{name}<', drawn)[1]) for name in names]  # type: ignore[index]


@pytest.mark.parametrize(
    ("axis", "low", "high", "expected"),
    [
        (Axis(""), 0, 10, [0, 2, 4, 6, 8, 10]),
        (Axis(""), 0, 0.7, [0, 0.2, 0.4, 0.6]),
        (Axis("", "log"), 1, 1_000, [1, 10, 100, 1_000]),
        (Axis("", "log"), 3, 70, [5, 10, 20, 50]),
        (Axis("", "nines"), 0, 99.95, [50, 90, 99, 99.9]),
        (Axis("", "log", (1, 16, 5_000)), 1, 100, [1, 16]),
    ],
)
def test_ticks_are_round_and_within_the_axis(axis: Axis, low: float, high: float, expected: list[float]) -> None:
    assert ticks(axis, low, high) == pytest.approx(expected)


def test_both_axes_are_named_with_their_units() -> None:
    assert {"size", "time, ms"} <= set(texts(plot(X, Y, [Line("own", [(0, 1), (1, 2)], "#111111")])))


def test_equal_factors_are_equal_distances_on_a_logarithmic_axis() -> None:
    (first, _), (second, _), (third, _) = path_of(
        plot(LOG, Y, [Line("own", [(10, 1), (100, 1), (1_000, 1)], "#111111")]), "#111111"
    )
    assert second - first == pytest.approx(third - second, abs=0.2)


def test_what_a_logarithmic_axis_cannot_show_is_left_out() -> None:
    assert len(path_of(plot(LOG, Y, [Line("own", [(0, 1), (10, 1), (100, 2)], "#111111")]), "#111111")) == 2


def test_more_is_higher_and_all_is_on_the_paper() -> None:
    points = path_of(plot(X, Y, [Line("own", [(0, 1), (5, 70), (9, 30)], "#111111")]), "#111111")
    assert points[1][1] < points[2][1] < points[0][1]
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in points)


def test_names_of_lines_that_end_together_do_not_cover_each_other() -> None:
    lines = [Line(name, [(0, 1), (1, 5 + nudge)], "#111111") for name, nudge in (("a", 0.0), ("b", 0.01), ("c", 0.02))]
    at = sorted(heights(plot(X, Y, lines), "a", "b", "c"))
    assert at[1] - at[0] >= 14
    assert at[2] - at[1] >= 14


def test_names_at_the_foot_stay_on_the_paper() -> None:
    lines = [Line(name, [(0, 9), (1, 0)], "#111111") for name in ("a", "b", "c")]
    assert max(heights(plot(X, Y, lines), "a", "b", "c")) <= HEIGHT - 36


def test_nothing_measured_draws_nothing() -> None:
    assert plot(X, Y, [Line("own", [], "#111111")]) == ""


def test_a_name_cannot_break_the_page() -> None:
    assert "<&>" in texts(plot(X, Y, [Line("<&>", [(0, 1), (1, 2)], "#111111")]))

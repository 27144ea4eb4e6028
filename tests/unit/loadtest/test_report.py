"""The page and the tables of the documentation say what the records say, and nothing that was not measured."""

from pathlib import Path

import pytest

from loadtest.demands import Records
from loadtest.page import page
from loadtest.records import Bench, Growth, Measured, OpenLoop, Paced, Point, Step, Timeline, Use, save, taken
from loadtest.report import DOCS, with_figures
from loadtest.spread import PERCENTS

WHEN = taken("a machine")
SPREAD = tuple(0.001 * (place + 1) for place in range(len(PERCENTS)))
ROUNDS = [Measured(0.5, 20_000.0, 0.01, 0.02, 17.0, {}, SPREAD)] * 5
PAGE = "Before.\n\n<!-- figures: burst -->\nold\n<!-- end of figures -->\n\nAfter.\n"


def measured(directory: Path) -> Records:
    """A record of every kind."""
    save("burst", Bench(WHEN, "burst", "A <burst>", {"bare": ROUNDS, "lastslot": ROUNDS}, {"frontdoor": 60.0}), directory)
    save("timeline", Timeline(WHEN, 0.02, [0, 3, 1], [5, 0, 0], [(0.015, 4)]), directory)
    paced = Paced(999.0, 0.001, 0.002, 0.003, {201: 999, 503: 1}, 1, 20.0, 0.0, SPREAD)
    steps = [Step("redeem", name, rate, [paced]) for name in ("bare", "lastslot") for rate in (1_000, 2_000)]
    save("open_loop", OpenLoop(WHEN, 4.0, steps), directory)
    uses = dict.fromkeys(("frontdoor", "worker", "postgres", "redis"), Use(10.0, 60.0, 80.0))
    points = [Point(size, ROUNDS, ROUNDS, uses) for size in (1, 1_000)]
    save("growth-campaigns", Growth(WHEN, "campaigns", "Campaigns", "campaigns", "claims", 10_000, True, points), directory)
    return Records(directory)


def test_what_stands_between_the_marks_is_written_from_the_record(tmp_path: Path) -> None:
    written = with_figures(PAGE, measured(tmp_path))
    assert "| **lastslot** | 0.500 | 20,000 |" in written
    assert "a machine" in written
    assert "old" not in written
    assert written.startswith("Before.\n")
    assert written.endswith("After.\n")


def test_writing_twice_changes_nothing(tmp_path: Path) -> None:
    once = with_figures(PAGE, measured(tmp_path))
    assert with_figures(once, Records(tmp_path)) == once


def test_figures_that_were_not_measured_again_stay(tmp_path: Path) -> None:
    assert with_figures(PAGE, Records(tmp_path)) == PAGE


def test_a_record_of_an_earlier_shape_was_not_measured(tmp_path: Path) -> None:
    save("burst", WHEN, tmp_path)
    assert with_figures(PAGE, Records(tmp_path)) == PAGE


def test_a_mark_of_no_benchmark_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        with_figures(PAGE.replace("burst", "blast"), Records(tmp_path))


def test_every_mark_of_the_documentation_is_of_a_benchmark(tmp_path: Path) -> None:
    with_figures(DOCS.read_text(), measured(tmp_path))


def test_the_page_needs_nothing_but_itself(tmp_path: Path) -> None:
    written = page(measured(tmp_path))
    assert written.count("<svg") == 7  # the burst, its timeline twice, an open loop twice, a growth twice
    assert not [word for word in ("src=", "href=", "url(", "@import", "<script") if word in written]


def test_the_page_tells_what_was_shed_and_escapes_what_it_shows(tmp_path: Path) -> None:
    written = page(measured(tmp_path))
    assert "shed 503 1" in written
    assert "A &lt;burst&gt;" in written


def test_a_page_of_nothing_says_that_nothing_was_measured(tmp_path: Path) -> None:
    written = page(Records(tmp_path))
    assert "not measured" in written
    assert "<svg" not in written

"""Whether what is demanded was shown is read from the records, not from what somebody remembers."""

from pathlib import Path

from loadtest.demands import Records, verdicts
from loadtest.records import Bench, Growth, Measured, OpenLoop, Paced, Point, Step, Use, save, taken

WHEN = taken("a machine")
TEXTBOOK_TIME = "burst: times faster than the textbook peer"
BARE_TIME = "burst of 10,000, 1,000 slots: time ÷ bare aiohttp"


def rounds(*seconds: float, times: int = 3) -> list[Measured]:
    return [Measured(each, 10_000 / each, 0.01, each / 10, 20.0, {}) for each in seconds * times]


def burst(directory: Path, lastslot: list[Measured]) -> None:
    times = len(lastslot) // 3
    others = {"bare": rounds(0.5, 1.0, 0.5, times=times), "textbook": rounds(5.0, 10.0, 5.0, times=times)}
    save("burst", Bench(WHEN, "burst", "A burst", {**others, "lastslot": lastslot}, {}), directory)


def seen(directory: Path) -> dict[str, bool | None]:
    return {verdict.what: verdict.holds for verdict in verdicts(Records(directory))}


def test_what_was_never_measured_neither_holds_nor_fails(tmp_path: Path) -> None:
    assert set(seen(tmp_path).values()) == {None}


def test_a_peer_is_compared_with_round_by_round(tmp_path: Path) -> None:
    # In its one slow round everybody was slow: twice bare aiohttp's time at the worst, 1.5 times at the median.
    burst(tmp_path, rounds(0.75, 2.0, 0.75))
    assert seen(tmp_path)[BARE_TIME] is True
    assert seen(tmp_path)[TEXTBOOK_TIME] is True


def test_a_figure_beyond_its_bound_fails(tmp_path: Path) -> None:
    burst(tmp_path, rounds(1.0, 2.0, 1.0))
    assert seen(tmp_path)[BARE_TIME] is False
    assert seen(tmp_path)[TEXTBOOK_TIME] is False


def test_fewer_rounds_than_are_asked_for_show_nothing(tmp_path: Path) -> None:
    burst(tmp_path, rounds(0.75, 2.0, 0.75, times=1))
    assert seen(tmp_path)[BARE_TIME] is None


def test_latency_is_judged_at_the_rate_that_is_demanded(tmp_path: Path) -> None:
    run = Paced(1_000.0, 0.001, 0.004, 0.006, {200: 10}, 0, 20.0, 0.0, ())
    slow = Paced(5_000.0, 0.1, 0.4, 0.6, {200: 10}, 0, 20.0, 0.0, ())
    steps = [Step("validate", "lastslot", 5_000, [slow] * 5), Step("validate", "bare", 1_000, [slow] * 5)]
    save("open_loop", OpenLoop(WHEN, 4.0, steps), tmp_path)
    assert seen(tmp_path)["validate at 1,000/s: p99"] is None
    save("open_loop", OpenLoop(WHEN, 4.0, [*steps, Step("validate", "lastslot", 1_000, [run] * 5)]), tmp_path)
    assert seen(tmp_path)["validate at 1,000/s: p99"] is True


def grown(directory: Path, sizes: list[int], *, in_turn: bool) -> None:
    uses = {"frontdoor": Use(10.0, 90.0, 100.0), "worker": Use(10.0, 90.0, 170.0)}
    # The machine became half as fast between the first size and the last, for bare aiohttp too.
    both = rounds(0.5, times=5), rounds(1.0, times=5)
    points = [Point(size, own, own, uses) for size, own in zip(sizes, both, strict=True)]
    save("growth-redemptions", Growth(WHEN, "redemptions", "", "", "", 10_000, in_turn, points), directory)


def test_sizes_that_took_turns_are_compared_with_each_other(tmp_path: Path) -> None:
    grown(tmp_path, [1_000, 1_000_000], in_turn=True)
    assert seen(tmp_path)["10⁶ redemptions instead of 10³: throughput kept"] is False


def test_sizes_that_did_not_are_compared_by_what_they_reached_of_bare_aiohttp(tmp_path: Path) -> None:
    grown(tmp_path, [1_000, 1_000_000], in_turn=False)
    assert seen(tmp_path)["10⁶ redemptions instead of 10³: throughput kept"] is True


def test_a_growth_that_stopped_early_shows_nothing(tmp_path: Path) -> None:
    grown(tmp_path, [1_000, 100_000], in_turn=True)
    assert seen(tmp_path)["10⁶ redemptions instead of 10³: throughput kept"] is None


def test_memory_is_judged_at_its_peak(tmp_path: Path) -> None:
    grown(tmp_path, [1_000, 1_000_000], in_turn=True)
    assert seen(tmp_path)["memory of a front door at its peak, caches included"] is True
    assert seen(tmp_path)["memory of a worker at its peak"] is False

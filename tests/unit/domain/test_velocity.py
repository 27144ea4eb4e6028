"""The velocity guard pauses what is far beyond its own past, and nothing else."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.velocity import ARMED_AFTER, MINUTE, TRAILING, Launch, Policy, Traffic, excess, trusted_for

POLICY = Policy(factor=100, floor=1_000)
THIS = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
NOW = THIS + timedelta(seconds=30)
HOUR = timedelta(hours=1)
YESTERDAY = THIS - 10 * TRAILING

policies = st.builds(Policy, factor=st.integers(2, 1_000), floor=st.integers(1, 10_000))
rates = st.integers(0, 100_000)


def traffic(attempts: int, before: int = 0, *, first: datetime = YESTERDAY, minute: datetime = THIS) -> Traffic:
    return Traffic(minute, attempts, NOW, first, before)


def usual(rate: int) -> int:
    """What a day of so many attempts a minute makes."""
    return rate * (TRAILING // MINUTE)


@pytest.mark.parametrize(
    ("attempts", "rate", "too_much"),
    [(2_000, 20, True), (1_999, 20, False), (999, 0, False), (1_000, 0, True), (1_000, 10, True), (1_000, 11, False)],
)
def test_a_minute_is_too_much_from_factor_times_the_mean_and_from_the_floor_on(
    attempts: int, rate: int, too_much: bool
) -> None:
    found = excess(traffic(attempts, usual(rate)), [], POLICY)
    assert (found is not None) == too_much
    if found is not None:
        assert (found.minute, found.attempts, found.baseline, found.factor) == (THIS, attempts, rate, 100)


def test_minutes_without_attempts_count() -> None:
    assert excess(traffic(10_000, before=1_440 * 100), [], POLICY) is not None
    assert excess(traffic(10_000, before=1_440 * 100 + 1), [], POLICY) is None


@given(rates, policies, st.integers(0, ARMED_AFTER // MINUTE))
def test_nothing_is_judged_before_there_is_an_hour_to_judge_by(attempts: int, policy: Policy, minutes: int) -> None:
    assert excess(traffic(attempts, first=THIS - minutes * MINUTE), [], policy) is None


def test_after_an_hour_the_mean_is_that_of_the_time_there_was() -> None:
    armed = THIS - MINUTE - ARMED_AFTER
    found = excess(traffic(6_000, before=3_600, first=armed), [], POLICY)
    assert found is not None
    assert found.baseline == 60
    assert excess(traffic(6_000, before=3_600, first=armed + MINUTE), [], POLICY) is None


@pytest.mark.parametrize(
    ("launch", "pauses"),
    [
        (Launch(THIS, THIS + HOUR), False),
        (Launch(THIS - HOUR, THIS + timedelta(seconds=1)), False),
        (Launch(THIS + timedelta(seconds=59), THIS + HOUR), False),
        (Launch(THIS - HOUR, THIS), True),
        (Launch(THIS + MINUTE, THIS + HOUR), True),
    ],
    ids=["covers it", "ends in it", "begins in it", "ended before", "begins later"],
)
def test_a_minute_that_a_launch_touches_is_never_too_much(launch: Launch, pauses: bool) -> None:
    others = [Launch(THIS - 9 * HOUR, THIS - 8 * HOUR)]
    assert (excess(traffic(1_000_000), [*others, launch], POLICY) is not None) == pauses


@given(st.integers(1, 10**6), policies, st.floats(0, 0.999))
def test_what_was_resumed_by_hand_is_left_alone_for_a_while(attempts: int, policy: Policy, part: float) -> None:
    resumed = Traffic(THIS, attempts, NOW, YESTERDAY, 0, NOW - part * trusted_for(policy))
    assert excess(resumed, [], policy) is None


@given(st.integers(1, 10**6), st.integers(2, 1_440), st.integers(0, 3_000))
def test_a_rush_that_keeps_up_after_it_was_resumed_does_not_pause_again(rate: int, factor: int, later: int) -> None:
    policy = Policy(factor, floor=1)
    since = trusted_for(policy) + later * MINUTE
    minutes = min(TRAILING // MINUTE, (since - 2 * MINUTE) // MINUTE)
    rush = Traffic(THIS, rate, NOW, YESTERDAY, minutes * rate, NOW - since)
    assert excess(rush, [], policy) is None


@given(rates, rates, rates, policies)
def test_more_attempts_or_a_quieter_past_never_excuse_a_minute(attempts: int, more: int, before: int, policy: Policy) -> None:
    if excess(traffic(attempts, before), [], policy) is not None:
        assert excess(traffic(attempts + more, before), [], policy) is not None
        assert excess(traffic(attempts, before // 2), [], policy) is not None

"""Buckets against a model that counts calls one by one, the ladder of failures, and who shares a bucket."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.ids import UserId
from shared.domain.limits import BAN_MS, Policy, of_address, of_user

REDEEM = Policy("redeem", 5)
START = 1_000_000


class Model:
    """A bucket as one would draw it: some calls in it, one more every interval, never more than the quota."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._pieces = policy.burst_ms
        self._at = START

    def take(self, now: int) -> bool:
        self._pieces = min(self._policy.burst_ms, self._pieces + now - self._at)
        self._at = now
        enough = self._pieces >= self._policy.interval_ms
        self._pieces -= self._policy.interval_ms if enough else 0
        return enough


@given(st.integers(1, 200), st.lists(st.integers(0, 30_000), max_size=60))
def test_a_bucket_gives_what_the_model_gives(quota: int, pauses: list[int]) -> None:
    policy = Policy("p", quota)
    model, full_at, now = Model(policy), 0, START
    for pause in pauses:
        now += pause
        wait_ms = policy.wait_ms(full_at, now)
        assert (wait_ms == 0) == model.take(now)
        if wait_ms == 0:
            full_at = policy.taken(full_at, now, 1)
        else:
            assert policy.wait_ms(full_at, now + wait_ms) == 0
            assert policy.wait_ms(full_at, now + wait_ms - 1) > 0


@given(st.integers(1, 60_000))
def test_a_full_bucket_holds_its_quota_and_no_minute_gives_more_than_two(quota: int) -> None:
    policy = Policy("p", quota)
    full_at = policy.taken(0, START, quota - 1)
    assert policy.wait_ms(full_at, START) == 0
    full_at = policy.taken(full_at, START, 1)
    assert policy.wait_ms(full_at, START) == policy.interval_ms
    assert policy.burst_ms >= 60_000


def test_the_sixth_redeem_waits_for_a_twelfth_of_a_minute_times_what_is_missing() -> None:
    full_at = REDEEM.taken(0, START, 5)
    assert REDEEM.wait_ms(full_at, START) == 12_000
    assert REDEEM.wait_ms(full_at, START + 2_000) == 10_000


def test_four_failures_are_free_then_the_cooldown_doubles_and_the_tenth_is_a_ban() -> None:
    seconds = [REDEEM.block_ms(failures) // 1000 for failures in range(13)]
    assert seconds == [0, 0, 0, 0, 0, 12, 24, 48, 96, 192, 3600, 3600, 3600]


@given(st.integers(1, 60_000))
def test_a_cooldown_is_never_shorter_than_the_one_before_nor_longer_than_a_ban(quota: int) -> None:
    ladder = Policy("p", quota).ladder_ms
    assert list(ladder) == sorted(ladder)
    assert ladder[-1] == BAN_MS


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"),
        ("2001:DB8:1:2::1", "2001:db8:1:2::1"),
        ("203.0.113.7", "::ffff:203.0.113.7"),
    ],
)
def test_addresses_of_one_line_share_a_bucket(one: str, other: str) -> None:
    assert of_address(one) == of_address(other)


@pytest.mark.parametrize(
    ("one", "other"), [("2001:db8:1:2::1", "2001:db8:1:3::1"), ("203.0.113.7", "203.0.113.8"), ("", "203.0.113.7")]
)
def test_addresses_of_different_lines_do_not(one: str, other: str) -> None:
    assert of_address(one) != of_address(other)


def test_a_user_who_is_named_like_an_address_is_another() -> None:
    assert of_user(UserId("203.0.113.7")) != of_address("203.0.113.7")

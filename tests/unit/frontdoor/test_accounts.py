"""A door's copies of buckets and failures: what is refused from memory, and what is forgotten."""

from frontdoor.accounts import Accounts
from frontdoor.problems import Problem, headers
from shared.domain.limits import BAN_MS, LimitedCall, Policy, Subject

ANN, BOB, CAT = Subject("u:ann"), Subject("u:bob"), Subject("u:cat")
VALIDATE, REDEEM = LimitedCall.VALIDATE, LimitedCall.REDEEM
NOW = 5_000_000


def accounts(most: int = 10) -> Accounts:
    return Accounts((Policy("validate", 10), Policy("redeem", 5)), most)


def waits(problem: Problem | None) -> tuple[str, int | None] | None:
    return None if problem is None else (problem.code, problem.retry_after_s)


def emptied(known: Accounts, subject: Subject) -> None:
    for _ in range(5):
        assert known.refusal(subject, REDEEM, NOW) is None
        known.take(subject, REDEEM, NOW)


def test_the_sixth_is_refused_and_told_when_to_come_back() -> None:
    known = accounts()
    emptied(known, ANN)
    refused = known.refusal(ANN, REDEEM, NOW + 1)
    assert refused is not None
    assert headers(refused) == {
        "Retry-After": "12",
        "RateLimit-Policy": '"redeem";q=5;w=60',
        "RateLimit": '"redeem";r=0;t=12',
    }
    assert known.refusal(ANN, REDEEM, NOW + 12_000) is None


def test_calls_and_subjects_have_buckets_of_their_own() -> None:
    known = accounts()
    emptied(known, ANN)
    assert known.refusal(ANN, VALIDATE, NOW) is None
    assert known.refusal(BOB, REDEEM, NOW) is None


def test_failures_of_both_calls_add_up_and_block_both() -> None:
    known = accounts()
    for call in (VALIDATE, REDEEM, VALIDATE, REDEEM, VALIDATE):
        assert known.refusal(ANN, call, NOW) is None
        known.fail(ANN, call, NOW)
    assert waits(known.refusal(ANN, VALIDATE, NOW)) == ("too_many_failures", 6)
    assert waits(known.refusal(ANN, REDEEM, NOW)) == ("too_many_failures", 6)
    assert known.refusal(ANN, REDEEM, NOW + 6_000) is None


def test_ten_failures_are_a_ban_and_are_forgotten_with_it() -> None:
    known = accounts()
    for _ in range(10):
        known.fail(ANN, REDEEM, NOW)
    refused = known.refusal(ANN, REDEEM, NOW)
    assert waits(refused) == ("too_many_failures", 3600)
    assert refused is not None
    assert headers(refused)["RateLimit-Policy"] == '"failures";q=10;w=3600'
    known.fail(ANN, REDEEM, NOW + BAN_MS)
    assert known.refusal(ANN, REDEEM, NOW + BAN_MS) is None


def test_what_is_heard_stands_for_what_was_guessed_but_for_what_it_does_not_know() -> None:
    known = accounts()
    emptied(known, ANN)
    known.hear(ANN, REDEEM, NOW, taken_since=0)
    assert known.refusal(ANN, REDEEM, NOW) is None
    known.hear(ANN, REDEEM, NOW + 48_000, taken_since=1)
    assert waits(known.refusal(ANN, REDEEM, NOW)) == ("rate_limited", 12)


def test_a_block_ends_no_sooner_than_was_said_before() -> None:
    known = accounts()
    known.hear_of_failures(ANN, 10, NOW + BAN_MS)
    known.hear_of_failures(ANN, 5, NOW + 1)
    assert known.refusal(ANN, REDEEM, NOW + BAN_MS - 1) is not None


def test_waits_beyond_a_hundred_seconds_are_told_in_tens_and_never_too_short() -> None:
    known = accounts()
    known.hear_of_failures(ANN, 8, NOW + 100_001)
    assert waits(known.refusal(ANN, REDEEM, NOW)) == ("too_many_failures", 110)


def test_who_was_not_asked_for_the_longest_is_forgotten_first() -> None:
    known = accounts(most=2)
    emptied(known, ANN)
    emptied(known, BOB)
    known.take(ANN, REDEEM, NOW)
    known.take(CAT, REDEEM, NOW)
    assert known.refusal(ANN, REDEEM, NOW) is not None
    assert known.refusal(BOB, REDEEM, NOW) is None

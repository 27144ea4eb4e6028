"""A certificate refuses nobody who may hold something, and nobody after its time."""

from array import array
from collections.abc import Sequence
from uuid import UUID

import pytest

from frontdoor.certificates import MARKS_MAX, Certificates
from shared.domain.ids import CampaignId, UserId, user_mark
from shared.domain.outcomes import Refusal
from shared.gate import CampaignAsk, CampaignReply

CAMPAIGN = CampaignId(UUID(int=7))
EDITION = b"one"


def marks(*users: str) -> bytes:
    return array("I", [user_mark(UserId(user)) for user in users]).tobytes()


def reply(
    holders: Sequence[str], known: int = 0, *, closed: str = "", certified: bool = True, edition: bytes = EDITION
) -> CampaignReply:
    """What the gate says when `holders` hold something and the caller knows the first `known` of them."""
    return CampaignReply(closed, certified, edition, 4 * len(holders), marks(*holders[known:]))


class Bench:
    def __init__(self, most: int = 10) -> None:
        self.renewed: list[CampaignId] = []
        self.certificates = Certificates(most, self.renewed.append)

    def ask(self, campaign: CampaignId = CAMPAIGN) -> CampaignAsk:
        edition, known = self.certificates.known(campaign)
        return CampaignAsk(campaign, "", edition, known)

    def hear(self, *holders: str, asked_at: float = 0.0, **different: object) -> None:
        """Ask the gate and take its answer."""
        ask = self.ask()
        known = ask.known // 4 if ask.edition == different.get("edition", EDITION) else 0
        self.certificates.take(ask, reply(holders, known, **different), asked_at)  # type: ignore[arg-type]

    def refused(self, user: str, now: float = 0.0) -> Refusal | None:
        return self.certificates.refusal(CAMPAIGN, UserId(user), now)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_everybody_but_the_holders_is_refused(bench: Bench) -> None:
    bench.hear("a", "b")
    assert [bench.refused(user) for user in "abc"] == [None, None, Refusal.EXHAUSTED]


def test_whoever_comes_shortly_before_its_end_has_a_certificate_renewed_and_nobody_else_does(bench: Bench) -> None:
    bench.hear("a", asked_at=10.0)
    bench.refused("x", now=10.3)
    bench.refused("a", now=10.4)
    assert not bench.renewed
    assert [bench.refused(user, now=10.4) for user in "xyz"] == [Refusal.EXHAUSTED] * 3
    assert bench.renewed == [CAMPAIGN]
    bench.hear("a", asked_at=10.4)
    bench.refused("x", now=10.6)
    assert bench.renewed == [CAMPAIGN]
    bench.refused("x", now=10.8)
    assert bench.renewed == [CAMPAIGN, CAMPAIGN]


def test_a_certificate_ends_half_a_second_after_the_gate_was_asked(bench: Bench) -> None:
    bench.hear("a", asked_at=10.0)
    assert bench.refused("x", now=10.499) is Refusal.EXHAUSTED
    assert bench.refused("x", now=10.5) is None


def test_what_is_not_certified_refuses_nobody_and_ends_nothing(bench: Bench) -> None:
    bench.hear("a", certified=False)
    assert bench.refused("x") is None
    bench.hear("a", asked_at=1.0)
    bench.hear("a", "b", certified=False, asked_at=1.2)
    assert bench.refused("x", now=1.4) is Refusal.EXHAUSTED


def test_a_certificate_of_the_own_code_says_nothing_to_who_has_another(bench: Bench) -> None:
    dry = CampaignReply("", False, EDITION, 0, b"", dry=True)
    bench.certificates.take(bench.ask(), dry, 100.0)
    refusals = [bench.certificates.refusal(CAMPAIGN, UserId("x"), 100.0, own_code=own_code) for own_code in (True, False)]
    assert refusals == [Refusal.EXHAUSTED, None]
    bench.certificates.take(bench.ask(), CampaignReply("", True, EDITION, 0, b""), 100.1)
    assert bench.certificates.refusal(CAMPAIGN, UserId("x"), 100.1, own_code=False) is Refusal.EXHAUSTED


def test_the_reason_is_the_gates(bench: Bench) -> None:
    bench.hear("a", closed="campaign_paused")
    assert bench.refused("x") is Refusal.CAMPAIGN_PAUSED
    bench.hear("a")
    assert bench.refused("x") is Refusal.EXHAUSTED


def test_holders_are_told_once_and_never_forgotten(bench: Bench) -> None:
    bench.hear("a", "b")
    assert bench.certificates.known(CAMPAIGN) == (EDITION, 8)
    bench.hear("a", "b", "c", asked_at=100.0)
    assert [bench.refused(user, now=100.0) for user in "abcx"] == [None, None, None, Refusal.EXHAUSTED]


def test_a_set_that_is_not_whole_refuses_nobody(bench: Bench) -> None:
    whole = reply(["a", "b", "c"])
    bench.certificates.take(bench.ask(), CampaignReply("", True, EDITION, 12, whole.marks[:4]), 0.0)
    assert [bench.refused(user) for user in "abcx"] == [None] * 4
    bench.certificates.take(bench.ask(), CampaignReply("", True, EDITION, 12, whole.marks[4:]), 0.0)
    assert [bench.refused(user) for user in "abcx"] == [None, None, None, Refusal.EXHAUSTED]


def test_a_set_that_lost_its_newest_holders_is_not_renewed(bench: Bench) -> None:
    bench.hear("a", asked_at=0.0)
    bench.certificates.take(bench.ask(), CampaignReply("", True, EDITION, 12, marks("b")), 100.0)
    assert bench.refused("c", now=100.0) is None


def test_a_gate_that_was_made_anew_begins_a_new_set(bench: Bench) -> None:
    bench.hear("a", "b")
    bench.hear("c", edition=b"two", asked_at=100.0)
    assert [bench.refused(user, now=100.0) for user in "ac"] == [Refusal.EXHAUSTED, None]
    assert bench.certificates.known(CAMPAIGN) == (b"two", 4)


def test_two_calls_under_way_at_once_count_their_marks_once(bench: Bench) -> None:
    first, second = bench.ask(), bench.ask()
    bench.certificates.take(first, reply(["a", "b"]), 0.0)
    bench.certificates.take(second, reply(["a", "b"]), 0.0)
    assert bench.certificates.known(CAMPAIGN) == (EDITION, 8)
    assert bench.refused("x") is Refusal.EXHAUSTED
    bench.hear("a", "b", "c", "d", asked_at=100.0)
    assert [bench.refused(user, now=100.0) for user in "abcdx"] == [None] * 4 + [Refusal.EXHAUSTED]


@pytest.mark.parametrize("late_first", [True, False])
def test_two_calls_with_different_answers_may_come_in_either_order(bench: Bench, late_first: bool) -> None:
    first, second = bench.ask(), bench.ask()
    answers = [(first, reply(["a", "b"])), (second, reply(["a", "b", "c"]))]
    for ask, answer in reversed(answers) if late_first else answers:
        bench.certificates.take(ask, answer, 0.0)
    bench.hear("a", "b", "c", asked_at=0.1)
    assert [bench.refused(user, now=0.1) for user in "abcx"] == [None, None, None, Refusal.EXHAUSTED]


def test_an_answer_from_before_the_gate_was_made_anew_certifies_nothing(bench: Bench) -> None:
    bench.hear("a", "b")
    old = bench.ask()
    bench.hear("a", "b", "c", edition=b"two", asked_at=100.0)
    bench.certificates.take(old, reply(["a", "b"], known=2), 200.0)
    assert [bench.refused(user, now=200.0) for user in "abcx"] == [None] * 4


def test_a_campaign_with_too_many_holders_is_left_to_the_gate(bench: Bench) -> None:
    bench.certificates.take(bench.ask(), CampaignReply("", True, EDITION, 4 * (MARKS_MAX + 1), b""), 0.0)
    assert bench.refused("x") is None
    assert bench.certificates.known(CAMPAIGN) == (b"", 0)


def test_a_campaign_without_holders_is_certified_for_all(bench: Bench) -> None:
    bench.hear()
    assert bench.refused("x") is Refusal.EXHAUSTED


def test_the_campaign_that_was_heard_of_longest_ago_is_forgotten_first() -> None:
    bench = Bench(most=2)
    campaigns = [CampaignId(UUID(int=number)) for number in range(3)]
    for campaign in campaigns:
        bench.certificates.take(bench.ask(campaign), reply(["a"]), 0.0)
    refusals = [bench.certificates.refusal(campaign, UserId("x"), 0.0) for campaign in campaigns]
    assert refusals == [None, Refusal.EXHAUSTED, Refusal.EXHAUSTED]


def test_the_marks_of_all_campaigns_together_are_bounded_and_what_ended_first_goes_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("frontdoor.certificates.MARKS_IN_ALL_MAX", 5)
    bench = Bench()
    campaigns = [CampaignId(UUID(int=number)) for number in range(3)]

    def hear(number: int, *holders: str, edition: bytes = EDITION, at: float = 0.0) -> None:
        ask = bench.ask(campaigns[number])
        known = ask.known // 4 if ask.edition == edition else 0
        bench.certificates.take(ask, reply(holders, known, edition=edition), at)

    def remembered() -> list[int]:
        return [bench.certificates.known(campaign)[1] // 4 for campaign in campaigns]

    hear(0, "a", "b")
    hear(1, "a", "b", at=0.1)
    hear(0, "a", "b", at=0.2)
    hear(2, "a", at=0.3)
    assert remembered() == [2, 2, 1]
    hear(2, "a", "b", at=0.4)
    assert remembered() == [2, 0, 2]
    assert bench.certificates.refusal(campaigns[0], UserId("x"), 0.4) is Refusal.EXHAUSTED
    # What a new edition takes the place of does not count.
    hear(0, "c", edition=b"two", at=0.5)
    hear(1, "a", "b", at=0.6)
    assert remembered() == [1, 2, 2]


def test_one_campaigns_certificate_says_nothing_of_another(bench: Bench) -> None:
    bench.hear("a")
    assert bench.certificates.refusal(CampaignId(UUID(int=8)), UserId("x"), 0.0) is None

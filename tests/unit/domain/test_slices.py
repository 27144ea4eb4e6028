"""Who is served by which slice, and how budget is shared out: by rules that leave nothing over and invent nothing."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from shared.domain.budgets import Want, wants
from shared.domain.campaign import CampaignStatus
from shared.domain.code import Code
from shared.domain.decide import decide
from shared.domain.discount import Discount
from shared.domain.facts import CodeFacts, Facts, Sibling, SliceFacts
from shared.domain.ids import CampaignId, DoorId, PartitionNo, UserId, claim_id
from shared.domain.operations import SubmitClaim
from shared.domain.outcomes import Granted, Misrouted, Refusal, Refused
from shared.domain.slices import MAX_SLICES, pulled, slice_of, spread

CAMPAIGN, CODE, NOW = CampaignId(UUID(int=7)), Code("BF"), datetime(2026, 11, 27, tzinfo=UTC)
FULL = SliceFacts(
    partition_no=PartitionNo(3),
    budget=3,
    claimed=3,
    code=CODE,
    status=CampaignStatus.ACTIVE,
    starts_at=None,
    ends_at=None,
    per_user_limit=1,
    discount=Discount("amount", 100, "EUR"),
    siblings=(Sibling(slice_no=1, partition_no=PartitionNo(9), budget=5, claimed=1),),
)


def users_of(number: int, slices: int, count: int) -> list[UserId]:
    """The first users that this slice serves."""
    names = (UserId(f"user {n}") for n in range(10_000))
    return [user for user in names if slice_of(user, slices) == number][:count]


def claim(user: UserId, slice_no: int = 0) -> SubmitClaim:
    return SubmitClaim(claim_id(user, "k"), CAMPAIGN, slice_no, user, CODE, "o", None, "k", b"", DoorId("d"))


def facts(terms: SliceFacts) -> Facts:
    return Facts(NOW, {(CAMPAIGN, 0): terms}, {}, {}, {CODE: CodeFacts(1, CODE, CAMPAIGN, "shared", None)})


def wanted(terms: SliceFacts, claims: int = 2) -> Want | None:
    """What the slice wants for so many claims."""
    asked = [claim(user) for user in users_of(0, terms.slices, claims)]
    return wants(decide(asked, facts(terms)), facts(terms)).get((CAMPAIGN, 0))


def test_all_users_of_a_campaign_in_one_piece_are_served_by_it() -> None:
    assert {slice_of(UserId(f"user {n}"), 1) for n in range(100)} == {0}


def test_users_are_served_by_a_slice_each_and_spread_evenly() -> None:
    served = Counter(slice_of(UserId(f"user {n}"), 4) for n in range(10_000))
    assert served.keys() == {0, 1, 2, 3}
    assert min(served.values()) > 2_300


@given(st.text(min_size=1), st.integers(1, MAX_SLICES))
def test_any_name_is_served_by_one_of_the_slices(user: str, slices: int) -> None:
    served = slice_of(UserId(user.encode("utf-8", "replace").decode()), slices)
    assert 0 <= served < slices


@given(st.lists(st.integers(0, 1_000), min_size=1, max_size=MAX_SLICES), st.integers(0, 10_000))
def test_a_budget_is_spread_without_a_rest_and_evenly_above_what_is_held(held: list[int], free: int) -> None:
    budgets = spread(sum(held) + free, held)
    assert sum(budget or 0 for budget in budgets) == sum(held) + free
    left = [(budget or 0) - taken for budget, taken in zip(budgets, held, strict=True)]
    assert 0 <= min(left) <= max(left) <= min(left) + 1


def test_what_has_no_end_has_none_in_any_slice() -> None:
    assert spread(None, [3, 0]) == [None, None]


@given(st.integers(1, 1_000), st.lists(st.integers(0, 1_000), min_size=1, max_size=MAX_SLICES - 1))
def test_a_slice_pulls_what_it_lacks_and_no_more_than_there_is(short: int, free: list[int]) -> None:
    taken = pulled(short, free)
    assert all(0 <= part <= whole for part, whole in zip(taken, free, strict=True))
    assert sum(taken) == min(sum(free), max(short, sum(free) // (len(free) + 1)))


def test_a_slice_that_lacks_nothing_pulls_nothing() -> None:
    assert pulled(0, [5, 7]) == [0, 0]


def test_a_full_slice_wants_what_its_claims_lack_while_a_sibling_has_some() -> None:
    assert wanted(FULL) == Want(2, 0)
    assert wanted(replace(FULL, budget=4)) == Want(1, 0)


@pytest.mark.parametrize(
    "terms",
    [
        replace(FULL, siblings=()),
        replace(FULL, siblings=(replace(FULL.siblings[0], claimed=5),)),
        replace(FULL, budget=5),
        replace(FULL, budget=None, siblings=(replace(FULL.siblings[0], budget=None),)),
        replace(FULL, status=CampaignStatus.PAUSED),
    ],
    ids=["in one piece", "nobody has any", "enough of its own", "no end", "paused"],
)
def test_nothing_is_wanted_that_is_not_lacking_or_not_there(terms: SliceFacts) -> None:
    assert wanted(terms) is None


def test_money_is_wanted_for_all_that_is_lacking_and_not_without_slots() -> None:
    rich = replace(FULL.siblings[0], amount_budget=1_000, amount_claimed=300)
    poor = replace(FULL, budget=9, amount_budget=350, amount_claimed=300, siblings=(rich,))
    assert wanted(poor) == Want(0, 150)
    assert wanted(replace(poor, budget=3, siblings=(replace(rich, claimed=5),))) is None
    assert wanted(replace(poor, siblings=(replace(rich, amount_claimed=1_000),))) is None


def test_what_does_for_none_of_the_claims_is_not_wanted() -> None:
    few = replace(FULL.siblings[0], amount_budget=1_000, amount_claimed=950)
    poor = replace(FULL, budget=9, amount_budget=320, amount_claimed=300, siblings=(few,))
    assert wanted(poor) is None
    assert wanted(replace(poor, amount_budget=350)) == Want(0, 50)


def test_who_can_be_served_is_served_though_there_is_not_enough_for_all() -> None:
    rich = replace(FULL.siblings[0], amount_budget=1_000, amount_claimed=850)
    # A slot for one of two, whose money is all there; money for two of three, whose slots are; one slot here, the money there.
    assert wanted(replace(FULL, amount_budget=0, siblings=(replace(rich, claimed=4),))) == Want(1, 150)
    assert wanted(replace(FULL, amount_budget=50, siblings=(rich,)), claims=3) == Want(3, 150)
    assert wanted(replace(FULL, budget=4, amount_budget=0, siblings=(replace(rich, claimed=5),))) == Want(0, 150)


#: Slots and money of a slice, both scarce.
shares = st.tuples(st.integers(0, 2), st.sampled_from([0, 0, 50, 100, 220]))


@given(shares, st.lists(shares, min_size=1, max_size=2), st.lists(st.sampled_from([0, 60, 100]), min_size=1, max_size=5))
def test_nobody_is_refused_for_lack_of_what_the_campaign_has(
    here: tuple[int, int], there: list[tuple[int, int]], subtotals: list[int]
) -> None:
    siblings = tuple(
        Sibling(slice_no=number, partition_no=PartitionNo(number), budget=slots, claimed=0, amount_budget=amount)
        for number, (slots, amount) in enumerate(there, 1)
    )
    terms = replace(FULL, budget=here[0], claimed=0, amount_budget=here[1], siblings=siblings)
    users = users_of(0, terms.slices, len(subtotals))
    claims = [replace(claim(user), subtotal=subtotal) for user, subtotal in zip(users, subtotals, strict=True)]
    decisions = decide(claims, facts(terms))
    while want := wants(decisions, facts(terms)).get((CAMPAIGN, 0)):
        before, terms = terms, having_pulled(terms, want)
        assert left(terms.siblings) < left(before.siblings)
        decisions = decide(claims, facts(terms))
    slots, amount = left((replace(siblings[0], budget=terms.budget, amount_budget=terms.amount_budget), *terms.siblings))
    granted = [each.outcome.redemption for each in decisions if isinstance(each.outcome, Granted)]
    slots, amount = slots - len(granted), amount - sum(row.amount for row in granted)
    for each in decisions:
        if each.outcome in (Refused(Refusal.EXHAUSTED), Refused(Refusal.BUDGET_INSUFFICIENT)):
            assert not slots or amount < max(1, min(100, each.claim.subtotal or 0))


def having_pulled(terms: SliceFacts, want: Want) -> SliceFacts:
    """The slice with what it takes of its siblings."""
    slots = pulled(want.slots, [other.free for other in terms.siblings])
    money = pulled(want.amount, [other.amount_free for other in terms.siblings])
    siblings = tuple(
        replace(other, budget=other.free - less, amount_budget=other.amount_free - money_less)
        for other, less, money_less in zip(terms.siblings, slots, money, strict=True)
    )
    budget, amount_budget = (terms.budget or 0) + sum(slots), (terms.amount_budget or 0) + sum(money)
    return replace(terms, budget=budget, amount_budget=amount_budget, siblings=siblings)


def left(slices: Sequence[Sibling]) -> tuple[int, int]:
    """Slots and money that these slices could give away."""
    return sum(part.free for part in slices), sum(part.amount_free for part in slices)


def test_a_claim_that_another_slice_serves_is_to_be_routed_again() -> None:
    [ours], [theirs] = users_of(0, 2, 1), users_of(1, 2, 1)
    open_ = replace(FULL, budget=9)
    decisions = decide([claim(ours), claim(theirs)], facts(open_))
    assert isinstance(decisions[0].outcome, Granted)
    assert decisions[1].outcome == Misrouted()


def test_who_is_served_by_a_full_slice_is_refused_when_nobody_has_any() -> None:
    [user] = users_of(0, 2, 1)
    assert decide([claim(user)], facts(FULL))[0].outcome == Refused(Refusal.EXHAUSTED)

"""Claims of several partitions decided at once: on one set of facts, and each only where it lay."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from shared.domain.campaign import CampaignStatus, StackingRules
from shared.domain.code import Code
from shared.domain.decide import decide_together
from shared.domain.discount import Discount
from shared.domain.facts import CodeFacts, Facts, Sibling, SliceFacts
from shared.domain.ids import CampaignId, DoorId, PartitionNo, UserId, claim_id
from shared.domain.operations import SubmitClaim, body_hash
from shared.domain.outcomes import Granted, Heard, Misrouted, Refusal, Refused, Replayed
from shared.domain.settlement import Counts, settlements
from shared.domain.slices import slice_of

HERE, THERE = PartitionNo(3), PartitionNo(11)
ONE, OTHER = CampaignId(UUID(int=1)), CampaignId(UUID(int=2))
CODES = {ONE: Code("ONE"), OTHER: Code("OTHER")}
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
OPEN = SliceFacts(
    partition_no=HERE,
    budget=10,
    claimed=0,
    status=CampaignStatus.ACTIVE,
    starts_at=None,
    ends_at=None,
    per_user_limit=1,
    discount=Discount("percent", 10, "EUR"),
    code=CODES[ONE],
)
#: One campaign here, another there.
TWO = {(ONE, 0): OPEN, (OTHER, 0): replace(OPEN, partition_no=THERE, code=CODES[OTHER])}
#: One campaign, half of it here and half there.
HALVES = {
    (ONE, 0): replace(OPEN, layout=1, siblings=(Sibling(slice_no=1, partition_no=THERE, budget=10, claimed=0),)),
    (ONE, 1): replace(
        OPEN, partition_no=THERE, layout=1, siblings=(Sibling(slice_no=0, partition_no=HERE, budget=10, claimed=0),)
    ),
}


def submit(user: str, campaign: CampaignId = ONE, *, slice_no: int = 0, key: str = "k") -> SubmitClaim:
    name, code = UserId(user), CODES[campaign]
    body = body_hash(code, "o", None)
    return SubmitClaim(claim_id(name, key), campaign, slice_no, name, code, "o", None, key, body, DoorId("d"))


def facts(slices: Any, **different: Any) -> Facts:
    codes = {code: CodeFacts(number, code, campaign, "shared", None) for number, (campaign, code) in enumerate(CODES.items())}
    return replace(Facts(NOW, slices, {}, {}, codes), **different)


def decided(known: Facts, here: list[SubmitClaim], there: list[SubmitClaim]) -> tuple[list[Heard], list[Heard]]:
    found = decide_together({HERE: here, THERE: there}, known)
    return [each.outcome for each in found[HERE]], [each.outcome for each in found[THERE]]


def served_by(slice_no: int, count: int) -> list[str]:
    names = (f"user {number}" for number in range(1_000))
    return [name for name in names if slice_of(UserId(name), 2) == slice_no][:count]


def names(outcomes: list[Heard]) -> list[str]:
    return [type(outcome).__name__ for outcome in outcomes]


def test_each_partition_is_served_by_what_lives_in_it() -> None:
    here, there = decided(facts(TWO), [submit("ann"), submit("bob")], [submit("eve", OTHER)])
    assert (names(here), names(there)) == (["Granted"] * 2, ["Granted"])


def test_a_claim_that_lay_elsewhere_is_routed_again_although_its_slice_is_in_the_same_turn() -> None:
    here, there = decided(facts(TWO), [submit("ann", OTHER)], [submit("ann")])
    assert here == there == [Misrouted()]


def test_the_slots_of_a_slice_are_counted_by_itself() -> None:
    slices = {key: replace(terms, budget=1) for key, terms in HALVES.items()}
    zero, one = served_by(0, 2), served_by(1, 1)
    here, there = decided(facts(slices), [submit(user) for user in zero], [submit(user, slice_no=1) for user in one])
    assert names(here) == ["Granted", "Refused"]
    assert names(there) == ["Granted"]


def test_what_an_order_was_given_in_one_partition_binds_it_in_another() -> None:
    picky = {key: replace(terms, stacking_rules=StackingRules(exclusive=True)) for key, terms in TWO.items()}
    here, there = decided(facts(picky, orders={}), [submit("ann")], [submit("bob", OTHER), submit("ann", OTHER, key="2")])
    assert names(here) == ["Granted"]
    assert there == [Refused(Refusal.NOT_STACKABLE), Refused(Refusal.NOT_STACKABLE, CODES[ONE])]


def test_a_code_of_a_pool_is_given_once_whichever_slice_gives_it() -> None:
    slices = {key: replace(terms, type="pool") for key, terms in HALVES.items()}
    free = {ONE: tuple(CodeFacts(30 + n, Code(f"FREE-{n}"), ONE, "unused", None) for n in range(3))}
    [first], [second] = served_by(0, 1), served_by(1, 1)
    here, there = decided(facts(slices, free_codes=free), [submit(first)], [submit(second, slice_no=1)])
    given = [outcome.redemption.code for outcome in (*here, *there) if isinstance(outcome, Granted)]
    assert given == ["FREE-0", "FREE-1"]


def test_a_claim_that_lay_in_both_mailboxes_takes_one_slot() -> None:
    here, there = decided(facts(TWO), [submit("ann")], [submit("ann")])
    assert names(here) == ["Granted"]
    assert [isinstance(outcome, Replayed) for outcome in there] == [True]


def test_the_gates_of_two_slices_know_of_each_others_slots_and_of_their_own_users() -> None:
    [first], [second] = served_by(0, 1), served_by(1, 1)
    known = facts(HALVES)
    found = decide_together({HERE: [submit(first)], THERE: [submit(second, slice_no=1)]}, known)
    moved = {(ONE, 0): Counts(1, 0), (ONE, 1): Counts(1, 0)}
    told = settlements(known, [each for some in found.values() for each in some], moved, {HERE: 7, THERE: 9})
    [here], [there] = told[HERE], told[THERE]
    assert (here.free, here.seq, here.users) == (18, 7, {first: 1})
    assert (there.free, there.seq, there.users) == (18, 9, {second: 1})

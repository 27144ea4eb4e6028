"""What gates are set to after a batch: what is free as committed, and everybody who holds or ever held something."""

from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest

from shared.domain.campaign import CampaignStatus
from shared.domain.code import Code
from shared.domain.decide import decide
from shared.domain.discount import Applied, Discount
from shared.domain.facts import CodeFacts, Facts, SliceFacts, Use
from shared.domain.ids import CampaignId, ClaimId, DoorId, PartitionNo, UserId, claim_id
from shared.domain.operations import SubmitClaim, body_hash
from shared.domain.outcomes import Refusal
from shared.domain.redemption import Redemption, State
from shared.domain.settlement import Counts, Settlement, settlements

CAMPAIGN, OTHER = CampaignId(UUID(int=7)), CampaignId(UUID(int=8))
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
HERE = PartitionNo(3)
TERMS = SliceFacts(
    partition_no=HERE,
    budget=10,
    claimed=4,
    status=CampaignStatus.ACTIVE,
    starts_at=None,
    ends_at=None,
    per_user_limit=1,
    discount=Discount("percent", 10),
    code=Code("BF"),
)


def submit(user: str, key: str = "k", campaign: CampaignId = CAMPAIGN) -> SubmitClaim:
    name, code = UserId(user), Code("BF" if campaign == CAMPAIGN else "OTHER")
    body = body_hash(code, "o", None)
    return SubmitClaim(claim_id(name, key), campaign, 0, name, code, "o", None, key, body, DoorId("d"), 1)


def facts(*slices: tuple[CampaignId, SliceFacts], uses: dict[str, set[int]] | None = None) -> Facts:
    holders = {
        (CAMPAIGN, UserId(user)): tuple(Use(number, NOW) for number in numbers) for user, numbers in (uses or {}).items()
    }
    codes = {
        Code("BF"): CodeFacts(1, Code("BF"), CAMPAIGN, "shared", None),
        Code("OTHER"): CodeFacts(2, Code("OTHER"), OTHER, "shared", None),
    }
    return Facts(NOW, {(campaign, 0): terms for campaign, terms in slices or [(CAMPAIGN, TERMS)]}, {}, holders, codes)


def settled(known: Facts, *claims: SubmitClaim, claimed: int | None = None, amount_claimed: int = 0) -> Settlement:
    """The settlement of the campaign after a batch that left its counter at `claimed` (None: as it was)."""
    moved = {} if claimed is None else {(CAMPAIGN, 0): Counts(claimed, amount_claimed)}
    found = settlements(known, decide(claims, known), moved, {HERE: 99})[HERE]
    return next(each for each in found if each.campaign_id == CAMPAIGN)


def held(claim: SubmitClaim, state: State) -> dict[ClaimId, Redemption]:
    redemption = Redemption(
        redemption_id=claim.claim_id,
        campaign_id=claim.campaign_id,
        slice_no=0,
        code_id=1,
        code=claim.code,
        user_id=claim.user_id,
        use_no=1,
        user_limit=1,
        order_id=claim.order_id,
        discount_applied=Applied("percent", 10, None, None, None),
        idempotency_key=claim.idempotency_key,
        body_hash=claim.body_hash,
        state=state,
        claimed_at=NOW,
    )
    return {claim.claim_id: redemption}


def test_what_is_free_is_what_the_commit_returned() -> None:
    assert settled(facts(), submit("a"), claimed=7).free == 3


def test_a_batch_that_took_nothing_leaves_what_the_facts_said() -> None:
    known = facts((CAMPAIGN, msgspec.structs.replace(TERMS, claimed=10)))
    assert settled(known, submit("a")).free == 0


def test_an_unlimited_campaign_is_unlimited() -> None:
    assert settled(facts((CAMPAIGN, msgspec.structs.replace(TERMS, budget=None))), submit("a"), claimed=5).free is None


@pytest.mark.parametrize(("amount_claimed", "free"), [(999, 5), (1_000, 0)])
@pytest.mark.parametrize("budget", [10, None])
def test_nothing_is_free_once_the_money_is_spent(amount_claimed: int, free: int, budget: int | None) -> None:
    known = facts((CAMPAIGN, msgspec.structs.replace(TERMS, budget=budget, amount_budget=1_000)))
    found = settled(known, submit("a"), claimed=5, amount_claimed=amount_claimed).free
    assert found == (None if budget is None and free else free)


def test_it_carries_the_sequence_the_limit_and_why_nothing_is_given() -> None:
    terms = msgspec.structs.replace(TERMS, per_user_limit=3, status=CampaignStatus.PAUSED)
    settlement = settled(facts((CAMPAIGN, terms)), submit("a"))
    assert (settlement.seq, settlement.per_user_limit, settlement.closed) == (99, 3, Refusal.CAMPAIGN_PAUSED)


def test_winners_are_counted_with_what_they_held_before() -> None:
    known = facts((CAMPAIGN, msgspec.structs.replace(TERMS, per_user_limit=3)), uses={"a": {1}})
    assert settled(known, submit("a", "1"), submit("a", "2"), submit("b"), claimed=7).users == {"a": 3, "b": 1}


def test_who_is_refused_for_holding_something_is_known_to_hold_it() -> None:
    assert settled(facts(uses={"a": {1}}), submit("a")).users == {"a": 1}


def test_who_won_and_was_then_refused_is_counted_once() -> None:
    assert settled(facts(), submit("a", "1"), submit("a", "2"), claimed=5).users == {"a": 1}


@pytest.mark.parametrize(("state", "active"), [(State.CLAIMED, 1), (State.REDEEMED, 1), (State.RELEASED, 0)])
def test_who_is_shown_a_redemption_stays_known_even_with_nothing(state: State, active: int) -> None:
    claim = submit("a")
    known = facts(uses={"a": {1}} if active else {})
    known = msgspec.structs.replace(known, redemptions=held(claim, state))
    assert settled(known, claim).users == {"a": active}


def test_who_never_held_anything_is_no_holder() -> None:
    full = facts((CAMPAIGN, msgspec.structs.replace(TERMS, claimed=10)))
    assert settled(full, submit("a"), submit("b")).users == {}


def test_campaigns_of_one_batch_keep_their_users_apart() -> None:
    known = facts((CAMPAIGN, TERMS), (OTHER, TERMS))
    found = settlements(known, decide([submit("a"), submit("b", campaign=OTHER)], known), {}, {HERE: 1})[HERE]
    assert {each.campaign_id: each.users for each in found} == {CAMPAIGN: {"a": 1}, OTHER: {"b": 1}}

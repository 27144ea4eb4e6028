"""The decision, in its order of precedence: replay, unknown, closed, already redeemed, exhausted, granted."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from shared.domain.campaign import CampaignStatus
from shared.domain.code import Code
from shared.domain.decide import Facts, SliceFacts, SliceKey, decide
from shared.domain.discount import Applied, Discount
from shared.domain.ids import CampaignId, ClaimId, DoorId, UserId, claim_id
from shared.domain.operations import SubmitClaim, body_hash
from shared.domain.outcomes import Granted, Outcome, Refusal, Refused, Replayed
from shared.domain.redemption import Redemption, State

NOW = datetime(2026, 11, 27, 9, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
CAMPAIGN = CampaignId(UUID(int=1))
OTHER = CampaignId(UUID(int=2))
CODE = Code("BLACKFRI100")
OPEN = SliceFacts(
    budget=10,
    claimed=0,
    status=CampaignStatus.ACTIVE,
    starts_at=None,
    ends_at=None,
    per_user_limit=1,
    discount=Discount("percent", 10, "EUR"),
    code_id=7,
)


def submit(
    user: str, key: str = "k", campaign: CampaignId = CAMPAIGN, order: str = "o", subtotal: int | None = 900
) -> SubmitClaim:
    return SubmitClaim(
        claim_id=claim_id(UserId(user), key),
        campaign_id=campaign,
        slice_no=0,
        user_id=UserId(user),
        code=CODE,
        order_id=order,
        subtotal=subtotal,
        idempotency_key=key,
        body_hash=body_hash(CODE, order, subtotal),
        door=DoorId("door"),
        ticket=1,
    )


def facts(
    terms: SliceFacts | None = OPEN, known: tuple[Redemption, ...] = (), uses: dict[str, set[int]] | None = None
) -> Facts:
    """What is committed: the campaign's terms (None: it has no slice here), redemptions, and the uses that users hold."""
    slices: dict[SliceKey, SliceFacts] = {} if terms is None else {(CAMPAIGN, 0): terms}
    return Facts(
        now=NOW,
        slices=slices,
        redemptions={redemption.redemption_id: redemption for redemption in known},
        uses={(CAMPAIGN, UserId(user)): frozenset(numbers) for user, numbers in (uses or {}).items()},
    )


def outcomes(claims: list[SubmitClaim], committed: Facts) -> list[Outcome]:
    decisions = decide(claims, committed)
    assert [decision.claim for decision in decisions] == claims
    return [decision.outcome for decision in decisions]


def granted(claim: SubmitClaim, committed: Facts | None = None) -> Redemption:
    [outcome] = outcomes([claim], committed or facts())
    assert isinstance(outcome, Granted)
    return outcome.redemption


def reason(outcome: Outcome) -> Refusal | None:
    return outcome.reason if isinstance(outcome, Refused) else None


# One claim, one obstacle after the other. Every row but the last has all the obstacles of the rows below it as well, so
# that each shows who comes first.
PAST, FUTURE = NOW - SECOND, NOW + SECOND
FULL = replace(OPEN, claimed=10)
NOT_YET = replace(FULL, starts_at=FUTURE, ends_at=FUTURE + SECOND)
OVER = replace(FULL, starts_at=PAST - SECOND, ends_at=PAST)
HELD = {"ann": {1}}
OWN = granted(submit("ann"))

PRECEDENCE: list[tuple[str, SubmitClaim, Facts, Outcome]] = [
    (
        "the key with another body, before anything",
        submit("ann", order="other"),
        facts(replace(OVER, status=CampaignStatus.PAUSED), (OWN,), HELD),
        Refused(Refusal.KEY_REUSED),
    ),
    ("a replay, though the slice is unknown", submit("ann"), facts(None, (OWN,), HELD), Replayed(OWN)),
    (
        "a replay, though paused, over, held and full",
        submit("ann"),
        facts(replace(OVER, status=CampaignStatus.PAUSED), (OWN,), HELD),
        Replayed(OWN),
    ),
    (
        "a replay, though ended",
        submit("ann"),
        facts(replace(OVER, status=CampaignStatus.ENDED), (OWN,), HELD),
        Replayed(OWN),
    ),
    ("unknown, though the user holds one", submit("ann", "new"), facts(None, (OWN,), HELD), Refused(Refusal.UNKNOWN_CODE)),
    (
        "paused, before not started",
        submit("ann", "new"),
        facts(replace(NOT_YET, status=CampaignStatus.PAUSED), (OWN,), HELD),
        Refused(Refusal.CAMPAIGN_PAUSED),
    ),
    (
        "ended, before expired",
        submit("ann", "new"),
        facts(replace(OVER, status=CampaignStatus.ENDED), (OWN,), HELD),
        Refused(Refusal.ENDED),
    ),
    ("not started, before held", submit("ann", "new"), facts(NOT_YET, (OWN,), HELD), Refused(Refusal.NOT_STARTED)),
    ("expired, before held", submit("ann", "new"), facts(OVER, (OWN,), HELD), Refused(Refusal.EXPIRED)),
    ("held, before full", submit("ann", "new"), facts(FULL, (OWN,), HELD), Refused(Refusal.ALREADY_REDEEMED)),
    ("full", submit("bob"), facts(FULL, (OWN,), HELD), Refused(Refusal.EXHAUSTED)),
]


@pytest.mark.parametrize(
    ("claim", "committed", "expected"), [row[1:] for row in PRECEDENCE], ids=[row[0] for row in PRECEDENCE]
)
def test_the_first_answer_that_applies_is_given(claim: SubmitClaim, committed: Facts, expected: Outcome) -> None:
    assert outcomes([claim], committed) == [expected]


def test_a_grant_says_all_that_the_claim_and_the_terms_said() -> None:
    claim = submit("ann", "key-1", order="order-9", subtotal=1_000)
    assert granted(claim) == Redemption(
        redemption_id=claim.claim_id,
        campaign_id=CAMPAIGN,
        slice_no=0,
        code_id=7,
        code=CODE,
        user_id=UserId("ann"),
        use_no=1,
        user_limit=1,
        order_id="order-9",
        discount_applied=Applied("percent", 10, "EUR", 1_000, 100),
        idempotency_key="key-1",
        body_hash=claim.body_hash,
        state=State.CLAIMED,
        claimed_at=NOW,
    )


@pytest.mark.parametrize(
    ("starts_at", "ends_at", "refusal"),
    [
        (None, None, None),
        (NOW, None, None),
        (NOW + timedelta(milliseconds=1), None, Refusal.NOT_STARTED),
        (None, NOW, Refusal.EXPIRED),
        (None, NOW + timedelta(milliseconds=1), None),
        (NOW, NOW + timedelta(milliseconds=1), None),
    ],
)
def test_a_window_includes_its_start_and_not_its_end(
    starts_at: datetime | None, ends_at: datetime | None, refusal: Refusal | None
) -> None:
    [outcome] = outcomes([submit("ann")], facts(replace(OPEN, starts_at=starts_at, ends_at=ends_at)))
    assert reason(outcome) == refusal


@pytest.mark.parametrize("state", list(State))
def test_a_replay_shows_the_redemption_as_it_stands(state: State) -> None:
    known = replace(OWN, state=state)
    assert outcomes([submit("ann")], facts(FULL, (known,))) == [Replayed(known)]


@pytest.mark.parametrize("change", [{"order": "other"}, {"subtotal": 901}, {"subtotal": None}])
def test_the_same_key_with_another_body_is_reused(change: dict[str, Any]) -> None:
    assert outcomes([submit("ann", **change)], facts(known=(OWN,))) == [Refused(Refusal.KEY_REUSED)]


def test_a_claim_id_that_belongs_to_another_user_shows_nothing_of_it() -> None:
    stolen = replace(submit("mallory"), claim_id=ClaimId(OWN.redemption_id), body_hash=OWN.body_hash)
    assert outcomes([stolen], facts(known=(OWN,))) == [Refused(Refusal.KEY_REUSED)]


def test_claims_of_one_batch_see_each_other_take_the_last_slots() -> None:
    claims = [submit(user) for user in ("ann", "bob", "cat")]
    assert [reason(outcome) for outcome in outcomes(claims, facts(replace(OPEN, claimed=8)))] == [None, None, Refusal.EXHAUSTED]


def test_one_user_twice_in_one_batch_gets_one() -> None:
    assert [reason(outcome) for outcome in outcomes([submit("ann", "1"), submit("ann", "2")], facts())] == [
        None,
        Refusal.ALREADY_REDEEMED,
    ]


def test_the_same_claim_twice_in_one_batch_is_granted_once_and_replayed() -> None:
    first, second = outcomes([submit("ann"), submit("ann")], facts())
    assert isinstance(first, Granted)
    assert second == Replayed(first.redemption)


def test_the_same_key_with_another_body_in_one_batch_is_reused() -> None:
    first, second = outcomes([submit("ann"), submit("ann", order="other")], facts())
    assert isinstance(first, Granted)
    assert second == Refused(Refusal.KEY_REUSED)


def test_a_refused_claim_is_decided_again_when_it_comes_again() -> None:
    # The slot it was refused for is free by the time the same claim comes again: refusals are not remembered.
    claim = submit("ann")
    assert outcomes([claim], facts(FULL)) == [Refused(Refusal.EXHAUSTED)]
    assert granted(claim).redemption_id == claim.claim_id


def test_a_refusal_takes_neither_a_slot_nor_a_use() -> None:
    claims = [submit("ann", "1"), submit("ann", "2"), submit("bob"), submit("cat")]
    outcome = outcomes(claims, facts(replace(OPEN, claimed=8)))
    assert [reason(each) for each in outcome] == [None, Refusal.ALREADY_REDEEMED, None, Refusal.EXHAUSTED]


def test_a_limit_of_three_gives_exactly_three_uses_in_order() -> None:
    claims = [submit("ann", str(n)) for n in range(5)]
    outcome = outcomes(claims, facts(replace(OPEN, per_user_limit=3)))
    assert [each.redemption.use_no for each in outcome if isinstance(each, Granted)] == [1, 2, 3]
    assert [reason(each) for each in outcome[3:]] == [Refusal.ALREADY_REDEEMED] * 2


@pytest.mark.parametrize(("held", "next_use"), [(set(), 1), ({1}, 2), ({2, 3}, 1), ({1, 3}, 2), ({1, 2}, 3)])
def test_a_released_use_is_the_next_to_be_given(held: set[int], next_use: int) -> None:
    committed = facts(replace(OPEN, per_user_limit=3), uses={"ann": held})
    assert granted(submit("ann", "new"), committed).use_no == next_use


def test_a_user_above_a_lowered_limit_gets_no_more() -> None:
    assert outcomes([submit("ann", "new")], facts(uses={"ann": {2, 3}})) == [Refused(Refusal.ALREADY_REDEEMED)]


def test_a_use_number_above_a_lowered_limit_leaves_the_lower_ones_free() -> None:
    committed = facts(replace(OPEN, per_user_limit=2), uses={"ann": {3}})
    assert granted(submit("ann", "new"), committed).use_no == 1


def test_an_unlimited_campaign_runs_out_for_nobody() -> None:
    claims = [submit(f"user {n}") for n in range(300)]
    committed = facts(replace(OPEN, budget=None, claimed=10**12))
    assert all(isinstance(outcome, Granted) for outcome in outcomes(claims, committed))


def test_a_campaign_without_slots_gives_none() -> None:
    assert outcomes([submit("ann")], facts(replace(OPEN, budget=0))) == [Refused(Refusal.EXHAUSTED)]


def test_campaigns_of_one_batch_do_not_touch_each_other() -> None:
    last = replace(OPEN, claimed=9)
    committed = replace(facts(last), slices={(CAMPAIGN, 0): last, (OTHER, 0): last})
    claims = [submit("ann", "1"), submit("ann", "2", OTHER), submit("bob", "1"), submit("bob", "2", OTHER)]
    assert [reason(each) for each in outcomes(claims, committed)] == [None, None, Refusal.EXHAUSTED, Refusal.EXHAUSTED]


def test_what_a_user_holds_of_one_campaign_counts_for_no_other() -> None:
    committed = replace(facts(uses=HELD), slices={(CAMPAIGN, 0): OPEN, (OTHER, 0): OPEN})
    claims = [submit("ann", "1", OTHER), submit("ann", "2")]
    assert [reason(each) for each in outcomes(claims, committed)] == [None, Refusal.ALREADY_REDEEMED]


def test_deciding_changes_no_fact() -> None:
    committed = facts(replace(OPEN, per_user_limit=3), uses={"ann": {1}})
    claims = [submit("ann", "2"), submit("ann", "3")]
    assert outcomes(claims, committed) == outcomes(claims, committed)


class Model:
    """The rules again, as plainly as they can be said: lists that are searched from end to end."""

    def __init__(self, budget: int | None, per_user_limit: int) -> None:
        self.budget, self.per_user_limit = budget, per_user_limit
        self.rows: list[Redemption] = []

    def active(self, user: UserId | None = None) -> list[Redemption]:
        return [row for row in self.rows if row.released_at is None and user in (None, row.user_id)]

    def answer(self, claim: SubmitClaim) -> str:
        for row in self.rows:
            if row.redemption_id == claim.claim_id:
                return "replayed" if row.body_hash == claim.body_hash else Refusal.KEY_REUSED
        if len(self.active(claim.user_id)) >= self.per_user_limit:
            return Refusal.ALREADY_REDEEMED
        if self.budget is not None and len(self.active()) >= self.budget:
            return Refusal.EXHAUSTED
        return "granted"

    def facts(self) -> Facts:
        uses: dict[str, set[int]] = {}
        for row in self.active():
            uses.setdefault(row.user_id, set()).add(row.use_no)
        terms = replace(OPEN, budget=self.budget, claimed=len(self.active()), per_user_limit=self.per_user_limit)
        return facts(terms, tuple(self.rows), uses)


claims_of_few = st.builds(submit, st.sampled_from("abcd"), st.sampled_from("123"), order=st.sampled_from(["o", "p"]))
batches = st.lists(st.tuples(st.lists(claims_of_few, max_size=8), st.sets(st.integers(0, 20), max_size=2)), max_size=6)


@given(st.none() | st.integers(0, 6), st.integers(1, 3), batches)
def test_batches_with_releases_between_them_answer_as_a_plain_model_does(
    budget: int | None, per_user_limit: int, story: list[tuple[list[SubmitClaim], set[int]]]
) -> None:
    model = Model(budget, per_user_limit)
    for claims, released in story:
        for claim, outcome in zip(claims, outcomes(claims, model.facts()), strict=True):
            expected = model.answer(claim)
            assert (reason(outcome) or type(outcome).__name__.lower()) == expected
            if isinstance(outcome, Granted):
                model.rows.append(outcome.redemption)
        numbers = [(row.user_id, row.use_no) for row in model.active()]
        assert len(set(numbers)) == len(numbers)
        assert all(1 <= number <= per_user_limit for _, number in numbers)
        for index in released & set(range(len(model.rows))):
            model.rows[index] = replace(model.rows[index], state=State.RELEASED, released_at=NOW)

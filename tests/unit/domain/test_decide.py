"""The decision, in its order of precedence: replay, unknown, closed, the user, the cart, the code, the slot, the money."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from shared.domain.campaign import CampaignStatus, StackingRules
from shared.domain.code import Code
from shared.domain.decide import decide
from shared.domain.discount import Applied, Discount
from shared.domain.facts import CodeFacts, Facts, SliceFacts, SliceKey, Use
from shared.domain.ids import CampaignId, ClaimId, DoorId, PartitionNo, UserId, claim_id
from shared.domain.operations import SubmitClaim, body_hash
from shared.domain.outcomes import Granted, Heard, Misrouted, Outcome, Refusal, Refused, Replayed
from shared.domain.redemption import Redemption, State
from shared.domain.stacking import Stacked

NOW = datetime(2026, 11, 27, 9, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
CAMPAIGN = CampaignId(UUID(int=1))
OTHER = CampaignId(UUID(int=2))
CODE = Code("BLACKFRI100")
OPEN = SliceFacts(
    partition_no=PartitionNo(3),
    budget=10,
    claimed=0,
    status=CampaignStatus.ACTIVE,
    starts_at=None,
    ends_at=None,
    per_user_limit=1,
    discount=Discount("percent", 10, "EUR"),
    code=CODE,
)
SHARED = CodeFacts(7, CODE, CAMPAIGN, "shared", None)


def submit(
    user: str,
    key: str = "k",
    campaign: CampaignId = CAMPAIGN,
    order: str = "o",
    subtotal: int | None = 900,
    code: str = CODE,
) -> SubmitClaim:
    return SubmitClaim(
        claim_id=claim_id(UserId(user), key),
        campaign_id=campaign,
        slice_no=0,
        user_id=UserId(user),
        code=Code(code),
        order_id=order,
        subtotal=subtotal,
        idempotency_key=key,
        body_hash=body_hash(Code(code), order, subtotal),
        door=DoorId("door"),
        ticket=1,
    )


def facts(
    terms: SliceFacts | None = OPEN,
    known: tuple[Redemption, ...] = (),
    uses: dict[str, set[int]] | None = None,
    **different: Any,
) -> Facts:
    """What is committed: the campaign's terms (None: it has no slice here), redemptions, and the uses that users hold."""
    slices: dict[SliceKey, SliceFacts] = {} if terms is None else {(CAMPAIGN, 0): terms}
    plain = Facts(
        now=NOW,
        slices=slices,
        redemptions={redemption.redemption_id: redemption for redemption in known},
        uses={
            (CAMPAIGN, UserId(user)): tuple(Use(number, NOW - DAY) for number in numbers)
            for user, numbers in (uses or {}).items()
        },
        codes={CODE: SHARED},
    )
    return replace(plain, **different)


def outcomes(claims: list[SubmitClaim], committed: Facts) -> list[Heard]:
    decisions = decide(claims, committed)
    assert [decision.claim for decision in decisions] == claims
    return [decision.outcome for decision in decisions]


def granted(claim: SubmitClaim, committed: Facts | None = None) -> Redemption:
    [outcome] = outcomes([claim], committed or facts())
    assert isinstance(outcome, Granted)
    return outcome.redemption


def reason(outcome: Heard) -> Refusal | None:
    return outcome.reason if isinstance(outcome, Refused) else None


# One claim, one obstacle after the other. Every row but the last has all the obstacles of the rows below it as well, so
# that each shows who comes first.
PAST, FUTURE = NOW - SECOND, NOW + SECOND
FULL = replace(OPEN, claimed=10)
NOT_YET = replace(FULL, starts_at=FUTURE, ends_at=FUTURE + SECOND)
OVER = replace(FULL, starts_at=PAST - SECOND, ends_at=PAST)
HELD = {"ann": {1}}
OWN = granted(submit("ann"))

PRECEDENCE: list[tuple[str, SubmitClaim, Facts, Heard]] = [
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
    ("elsewhere, though the user holds one", submit("ann", "new"), facts(None, (OWN,), HELD), Misrouted()),
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

# The rules, each with the obstacle it is about to meet; every row has the obstacles of all the rows below it as well.
RULES = StackingRules(exclusive=True)
FREE, TAKEN = CodeFacts(21, Code("ONE-1"), CAMPAIGN, "unused", None), CodeFacts(22, Code("ONE-2"), CAMPAIGN, "claimed", None)
BOBS = CodeFacts(23, Code("ONE-3"), CAMPAIGN, "unused", UserId("bob"))
HARD = SliceFacts(
    partition_no=PartitionNo(3),
    budget=10,
    claimed=10,
    amount_budget=1_000,
    amount_claimed=1_000,
    type="pool",
    code=CODE,
    status=CampaignStatus.ACTIVE,
    timezone="UTC",
    starts_at=None,
    ends_at=None,
    per_user_limit=3,
    per_day_limit=1,
    minimum_subtotal=500,
    stacking_rules=RULES,
    discount=Discount("percent", 10),
)
CODES = {code.code: code for code in (SHARED, FREE, TAKEN, BOBS)}
TODAY = {(CAMPAIGN, UserId("ann")): (Use(1, NOW - SECOND),)}
IN_THE_WAY = {"o": (Stacked(Code("SAVE10"), None, None, OTHER, UserId("ann")),)}


def hard(**different: Any) -> Facts:
    """Everything is in the way, but for what is `different`: of the terms, or of the facts."""
    of_facts = {name: different.pop(name) for name in list(different) if name in Facts.__struct_fields__}
    given = {"codes": CODES, "uses": TODAY, "orders": IN_THE_WAY, **of_facts}
    return replace(facts(replace(HARD, **different)), **given)


LAST_DAY = {"uses": {(CAMPAIGN, UserId("ann")): (Use(1, NOW - DAY),)}}
ALONE: dict[str, Any] = {**LAST_DAY, "orders": {}}
RULED: list[tuple[str, SubmitClaim, Facts, Outcome]] = [
    ("unknown code", submit("ann", code="ONE-9"), hard(), Refused(Refusal.UNKNOWN_CODE)),
    ("another's code does not exist", submit("ann", code="ONE-3"), hard(), Refused(Refusal.UNKNOWN_CODE)),
    (
        "a code of another campaign",
        submit("ann", code="ONE-1"),
        hard(codes={**CODES, Code("ONE-1"): replace(FREE, campaign_id=OTHER)}),
        Refused(Refusal.UNKNOWN_CODE),
    ),
    ("closed", submit("ann", code="ONE-2"), hard(ends_at=NOW), Refused(Refusal.EXPIRED)),
    ("held", submit("ann", code="ONE-2"), hard(per_user_limit=1), Refused(Refusal.ALREADY_REDEEMED)),
    ("enough for a day", submit("ann", code="ONE-2", subtotal=None), hard(), Refused(Refusal.PERIOD_LIMIT_REACHED)),
    ("no subtotal", submit("ann", code="ONE-2", subtotal=None), hard(**LAST_DAY), Refused(Refusal.SUBTOTAL_REQUIRED)),
    ("too small", submit("ann", code="ONE-2", subtotal=499), hard(**LAST_DAY), Refused(Refusal.MINIMUM_NOT_MET)),
    ("not beside another", submit("ann", code="ONE-2"), hard(**LAST_DAY), Refused(Refusal.NOT_STACKABLE, "SAVE10")),
    ("used", submit("ann", code="ONE-2"), hard(**ALONE), Refused(Refusal.CODE_USED)),
    ("no slot", submit("ann", code="ONE-1"), hard(**ALONE), Refused(Refusal.EXHAUSTED)),
    ("no money", submit("ann", code="ONE-1"), hard(**ALONE, claimed=9), Refused(Refusal.EXHAUSTED)),
    (
        "not enough money",
        submit("ann", code="ONE-1"),
        hard(**ALONE, claimed=9, amount_claimed=911),
        Refused(Refusal.BUDGET_INSUFFICIENT),
    ),
    (
        "no free code, though a slot and money",
        submit("ann"),
        hard(**ALONE, claimed=9, amount_claimed=911),
        Refused(Refusal.EXHAUSTED),
    ),
]


@pytest.mark.parametrize(("claim", "committed", "expected"), [row[1:] for row in RULED], ids=[row[0] for row in RULED])
def test_rules_are_asked_in_their_order(claim: SubmitClaim, committed: Facts, expected: Outcome) -> None:
    assert outcomes([claim], committed) == [expected]


def test_what_is_left_when_nothing_is_in_the_way_is_granted() -> None:
    redemption = granted(submit("ann", code="ONE-1"), hard(**ALONE, claimed=9, amount_claimed=910))
    assert (redemption.code, redemption.code_id, redemption.single_use, redemption.amount) == ("ONE-1", 21, True, 90)


@pytest.mark.parametrize(
    ("claim", "committed", "expected"), [row[1:] for row in PRECEDENCE], ids=[row[0] for row in PRECEDENCE]
)
def test_the_first_answer_that_applies_is_given(claim: SubmitClaim, committed: Facts, expected: Heard) -> None:
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
        amount=100,
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


BOTH = {CODE: SHARED, Code("OTHER"): CodeFacts(8, Code("OTHER"), OTHER, "shared", None)}


def elsewhere(user: str, key: str, **different: Any) -> SubmitClaim:
    return submit(user, key, OTHER, code="OTHER", **different)


def test_campaigns_of_one_batch_do_not_touch_each_other() -> None:
    last = replace(OPEN, claimed=9)
    committed = replace(facts(last), slices={(CAMPAIGN, 0): last, (OTHER, 0): last}, codes=BOTH)
    claims = [submit("ann", "1"), elsewhere("ann", "2"), submit("bob", "1"), elsewhere("bob", "2")]
    assert [reason(each) for each in outcomes(claims, committed)] == [None, None, Refusal.EXHAUSTED, Refusal.EXHAUSTED]


def test_what_a_user_holds_of_one_campaign_counts_for_no_other() -> None:
    committed = replace(facts(uses=HELD), slices={(CAMPAIGN, 0): OPEN, (OTHER, 0): OPEN}, codes=BOTH)
    claims = [elsewhere("ann", "1"), submit("ann", "2")]
    assert [reason(each) for each in outcomes(claims, committed)] == [None, Refusal.ALREADY_REDEEMED]


def test_deciding_changes_no_fact() -> None:
    committed = facts(replace(OPEN, per_user_limit=3), uses={"ann": {1}})
    claims = [submit("ann", "2"), submit("ann", "3")]
    assert outcomes(claims, committed) == outcomes(claims, committed)


HOLD = replace(OPEN, hold_ttl_s=60)


def held(age_s: float, terms: SliceFacts = HOLD) -> tuple[Redemption, Facts]:
    """A hold that ann took `age_s` seconds ago, and the facts with it."""
    hold = granted(submit("ann"), replace(facts(terms), now=NOW - timedelta(seconds=age_s)))
    uses = {(CAMPAIGN, UserId("ann")): (Use(1, hold.claimed_at, hold),)}
    return hold, replace(facts(terms, known=(hold,)), uses=uses)


def test_a_hold_ends_when_its_campaign_says() -> None:
    assert granted(submit("ann"), facts(HOLD)).hold_expires_at == NOW + timedelta(seconds=60)
    assert granted(submit("ann")).hold_expires_at is None


def test_a_hold_never_blocks_its_own_owner() -> None:
    hold, committed = held(59.999)
    assert outcomes([submit("ann", "new", order="another")], committed) == [Replayed(hold, Refusal.ALREADY_REDEEMED)]
    assert outcomes([submit("ann", "new")], replace(committed, now=NOW + SECOND)) == [Refused(Refusal.ALREADY_REDEEMED)]


def test_a_hold_of_the_same_batch_is_shown_too() -> None:
    first, second = outcomes([submit("ann", "1"), submit("ann", "2")], facts(HOLD))
    assert isinstance(first, Granted)
    assert second == Replayed(first.redemption, Refusal.ALREADY_REDEEMED)


def test_a_hold_that_took_the_last_slot_is_shown_to_its_owner() -> None:
    hold, committed = held(10, replace(HOLD, per_user_limit=2, budget=1))
    full = replace(committed, slices={(CAMPAIGN, 0): replace(HOLD, per_user_limit=2, budget=1, claimed=1)})
    claims = [submit("ann", "new"), submit("bob")]
    assert outcomes(claims, full) == [Replayed(hold, Refusal.EXHAUSTED), Refused(Refusal.EXHAUSTED)]


def test_a_hold_of_a_code_is_shown_to_its_owner_who_asks_for_that_code_again() -> None:
    committed = pool_facts(per_user_limit=3, hold_ttl_s=60, minimum_subtotal=5, stacking_rules=RULES)
    claims = [submit("ann", code="FREE-0"), submit("ann", "2", code="FREE-0", subtotal=None), submit("bob", code="FREE-0")]
    first, second, third = outcomes(claims, replace(committed, orders={}))
    assert isinstance(first, Granted)
    assert (second, third) == (Replayed(first.redemption, Refusal.CODE_USED), Refused(Refusal.CODE_USED))
    elsewhere = submit("ann", "3", code="FREE-1", order="p")
    assert isinstance(outcomes([*claims, elsewhere], committed)[3], Granted), "another code is another claim"


def test_a_hold_of_today_is_not_what_another_claim_of_today_gets() -> None:
    _, committed = held(10, replace(HOLD, per_user_limit=5, per_day_limit=1))
    assert outcomes([submit("ann", "new")], committed) == [Refused(Refusal.PERIOD_LIMIT_REACHED)]


@pytest.mark.parametrize(
    ("limits", "claimed_at", "refused"),
    [
        ({"per_day_limit": 1}, "2026-11-27T00:00:00+00:00", True),
        ({"per_day_limit": 1}, "2026-11-26T23:59:59+00:00", False),
        ({"per_day_limit": 2}, "2026-11-27T00:00:00+00:00", False),
        ({"per_week_limit": 1}, "2026-11-23T00:00:00+00:00", True),
        ({"per_week_limit": 1}, "2026-11-22T23:59:59+00:00", False),
        ({"per_month_limit": 1}, "2026-11-01T00:00:00+00:00", True),
        ({"per_month_limit": 1}, "2026-10-31T23:59:59+00:00", False),
        ({"per_day_limit": 1, "timezone": "Asia/Tokyo"}, "2026-11-26T15:00:00+00:00", True),
        ({"per_day_limit": 1, "timezone": "Asia/Tokyo"}, "2026-11-26T14:59:59+00:00", False),
    ],
)
def test_a_period_counts_what_was_claimed_in_it(limits: dict[str, Any], claimed_at: str, refused: bool) -> None:
    uses = {(CAMPAIGN, UserId("ann")): (Use(1, datetime.fromisoformat(claimed_at)),)}
    [outcome] = outcomes([submit("ann", "new")], replace(facts(replace(OPEN, per_user_limit=9, **limits)), uses=uses))
    assert reason(outcome) == (Refusal.PERIOD_LIMIT_REACHED if refused else None)


def test_a_period_counts_the_batch_as_well() -> None:
    claims = [submit("ann", "1"), submit("ann", "2"), submit("bob")]
    outcome = outcomes(claims, facts(replace(OPEN, per_user_limit=9, per_day_limit=1)))
    assert [reason(each) for each in outcome] == [None, Refusal.PERIOD_LIMIT_REACHED, None]


POOL = replace(OPEN, type="pool")
FREE_CODES = tuple(CodeFacts(30 + n, Code(f"FREE-{n}"), CAMPAIGN, "unused", None) for n in range(3))


def pool_facts(**different: Any) -> Facts:
    codes = {code.code: code for code in (SHARED, *FREE_CODES)}
    return replace(facts(replace(POOL, **different)), codes=codes, free_codes={CAMPAIGN: FREE_CODES})


def test_the_public_code_of_a_pool_gives_the_next_free_one() -> None:
    outcome = outcomes([submit("ann"), submit("bob", code="FREE-1"), submit("cat"), submit("dan")], pool_facts())
    assert [each.redemption.code for each in outcome if isinstance(each, Granted)] == ["FREE-0", "FREE-1", "FREE-2"]
    assert reason(outcome[3]) is Refusal.EXHAUSTED


def test_a_code_that_the_batch_gave_away_is_used() -> None:
    outcome = outcomes([submit("ann"), submit("bob", code="FREE-0"), submit("cat", code="FREE-1")], pool_facts())
    assert [reason(each) for each in outcome] == [None, Refusal.CODE_USED, None]


def test_a_refused_claim_gives_no_code_away() -> None:
    terms: dict[str, Any] = {"minimum_subtotal": 500}
    outcome = outcomes([submit("ann", subtotal=1), submit("bob")], pool_facts(**terms))
    assert isinstance(outcome[1], Granted)
    assert outcome[1].redemption.code == "FREE-0"


def test_a_code_made_for_somebody_is_given_to_nobody_else() -> None:
    committed = replace(facts(POOL), codes=CODES)
    assert reason(outcomes([submit("ann", code="ONE-3")], committed)[0]) is Refusal.UNKNOWN_CODE
    assert granted(submit("bob", code="ONE-3"), committed).code == "ONE-3"


def test_money_is_given_as_long_as_it_does() -> None:
    terms = replace(OPEN, discount=Discount("amount", 400, "EUR"), amount_budget=1_000)
    claims = [submit(user, subtotal=subtotal) for user, subtotal in (("a", 900), ("b", None), ("c", 900), ("d", 200), ("e", 1))]
    assert [reason(each) for each in outcomes(claims, facts(terms))] == [
        None,
        None,
        Refusal.BUDGET_INSUFFICIENT,
        None,
        Refusal.EXHAUSTED,
    ]


@pytest.mark.parametrize(
    ("terms", "refusal"),
    [
        ({}, None),
        ({"amount_budget": 1_000}, Refusal.SUBTOTAL_REQUIRED),
        ({"amount_budget": 1_000, "discount": Discount("amount", 5, "EUR")}, None),
        ({"minimum_subtotal": 0, "discount": Discount("amount", 5, "EUR")}, Refusal.SUBTOTAL_REQUIRED),
    ],
)
def test_a_subtotal_is_asked_for_where_something_depends_on_it(terms: dict[str, Any], refusal: Refusal | None) -> None:
    assert reason(outcomes([submit("ann", subtotal=None)], facts(replace(OPEN, **terms)))[0]) == refusal


def test_what_the_batch_gave_to_an_order_stands_in_the_way_of_the_next() -> None:
    slices = {(CAMPAIGN, 0): OPEN, (OTHER, 0): replace(OPEN, code=Code("OTHER"), stacking_rules=StackingRules((CODE,)))}
    committed = replace(facts(), slices=slices, codes=BOTH, orders={})
    claims = [submit("ann", "1"), elsewhere("ann", "2"), elsewhere("bob", "1", order="p"), submit("bob", "2", order="p")]
    assert outcomes(claims, committed)[1::2] == [Refused(Refusal.NOT_STACKABLE, CODE), Refused(Refusal.NOT_STACKABLE, "OTHER")]
    # It is named to nobody but the user who has it.
    assert outcomes([claims[0], elsewhere("bob", "3")], committed)[1] == Refused(Refusal.NOT_STACKABLE)


def test_where_no_campaign_has_rules_nobody_looks_at_orders() -> None:
    assert granted(submit("ann"), facts(replace(OPEN, stacking_rules=RULES), orders=None)).order_id == "o"


def test_a_pool_is_excluded_by_the_codes_it_would_give() -> None:
    committed = replace(pool_facts(), orders={"o": (Stacked(Code("VIP"), None, StackingRules(("FREE-?",))),)})
    assert outcomes([submit("ann")], committed) == [Refused(Refusal.NOT_STACKABLE)]


def test_a_pool_gives_the_next_code_that_goes_with_the_order() -> None:
    committed = replace(pool_facts(), orders={"o": (Stacked(Code("VIP"), None, StackingRules(("FREE-0",))),)})
    outcome = outcomes([submit("ann"), submit("bob", order="p"), submit("cat"), submit("dan")], committed)
    assert [each.redemption.code for each in outcome if isinstance(each, Granted)] == ["FREE-1", "FREE-0", "FREE-2"]
    assert reason(outcome[3]) is Refusal.EXHAUSTED


def test_two_codes_of_one_exclusive_pool_do_not_share_an_order() -> None:
    committed = replace(pool_facts(per_user_limit=2, stacking_rules=RULES), orders={})
    outcome = outcomes([submit("ann"), submit("ann", "2"), submit("ann", "3", order="p")], committed)
    assert [reason(each) for each in outcome] == [None, Refusal.NOT_STACKABLE, None]


class Model:
    """The rules again, as plainly as they can be said: lists that are searched from end to end."""

    def __init__(self, terms: SliceFacts, codes: tuple[CodeFacts, ...]) -> None:
        self.terms, self.codes, self.now = terms, codes, NOW
        self.rows: list[Redemption] = []

    def active(self, which: Callable[[Redemption], bool] = lambda _: True) -> list[Redemption]:
        return [row for row in self.rows if row.released_at is None and which(row)]

    def free(self) -> list[CodeFacts]:
        used = {row.code for row in self.active()}
        return [code for code in self.codes if code.state == "unused" and code.code not in used]

    def answer(self, claim: SubmitClaim) -> str:
        for row in self.rows:
            if row.redemption_id == claim.claim_id:
                return "replayed" if row.body_hash == claim.body_hash else Refusal.KEY_REUSED
        asked = [code for code in self.codes if code.code == claim.code and code.intended_user in (None, claim.user_id)]
        if not asked:
            return Refusal.UNKNOWN_CODE
        mine = self.active(lambda row: row.user_id == claim.user_id)
        today = [row for row in mine if row.claimed_at.date() == self.now.date()]
        day_limit = self.terms.per_day_limit or 99
        if len(mine) >= self.terms.per_user_limit:
            return self.or_hold(Refusal.ALREADY_REDEEMED, mine)
        if len(today) >= day_limit:
            return Refusal.PERIOD_LIMIT_REACHED
        if shown := self.or_hold("", [row for row in mine if row.single_use and row.code == claim.code]):
            return shown
        if claim.subtotal is None and self.terms.amount_budget is not None:
            return Refusal.SUBTOTAL_REQUIRED
        beside = self.active(lambda row: row.order_id == claim.order_id and row.code != claim.code)
        if self.terms.stacking_rules and (beside or claim.order_id == "taken"):
            return Refusal.NOT_STACKABLE
        if asked[0].state == "unused" and asked[0] not in self.free():
            return Refusal.CODE_USED
        return self.left(claim, asked[0], mine)

    def left(self, claim: SubmitClaim, asked: CodeFacts, mine: list[Redemption]) -> str:
        open_to_all = [code for code in self.free() if code.intended_user is None]
        if asked.state == "shared" and self.terms.type == "pool" and not open_to_all:
            return self.or_hold(Refusal.EXHAUSTED, mine)
        if self.terms.budget is not None and len(self.active()) >= self.terms.budget:
            return self.or_hold(Refusal.EXHAUSTED, mine)
        spent, amount = sum(row.amount for row in self.active()), (claim.subtotal or 0) // 10
        if self.terms.amount_budget is not None and spent + max(amount, 1) > self.terms.amount_budget:
            sold_out = spent >= self.terms.amount_budget
            return self.or_hold(Refusal.EXHAUSTED, mine) if sold_out else Refusal.BUDGET_INSUFFICIENT
        return "granted"

    def or_hold(self, refusal: str, own: list[Redemption]) -> str:
        held = any(row.hold_expires_at and row.state is State.CLAIMED for row in own)
        return "replayed" if held else refusal

    def facts(self) -> Facts:
        uses: dict[tuple[CampaignId, UserId], tuple[Use, ...]] = {}
        for row in self.active():
            use = Use(row.use_no, row.claimed_at, row if row.hold_expires_at and row.state is State.CLAIMED else None)
            uses[CAMPAIGN, row.user_id] = (*uses.get((CAMPAIGN, row.user_id), ()), use)
        orders: dict[str, tuple[Stacked, ...]] = {}
        for row in self.active():
            stacked = Stacked(row.code, CODE, self.terms.stacking_rules, CAMPAIGN, row.user_id)
            orders[row.order_id] = (*orders.get(row.order_id, ()), stacked)
        orders["taken"] = (*orders.get("taken", ()), Stacked(Code("ELSEWHERE"), None, None, OTHER))
        free = self.free()
        codes = [replace(code, state="claimed") if code.state == "unused" and code not in free else code for code in self.codes]
        return Facts(
            now=self.now,
            slices={
                (CAMPAIGN, 0): replace(
                    self.terms, claimed=len(self.active()), amount_claimed=sum(row.amount for row in self.active())
                )
            },
            redemptions={row.redemption_id: row for row in self.rows},
            uses=uses,
            codes={code.code: code for code in codes},
            free_codes={CAMPAIGN: tuple(code for code in free if code.intended_user is None)},
            orders=orders if self.terms.stacking_rules else None,
        )


claims_of_few = st.builds(
    submit,
    st.sampled_from("abcd"),
    st.sampled_from("123"),
    order=st.sampled_from(["o", "p", "taken"]),
    subtotal=st.sampled_from([None, 100, 300]),
    code=st.sampled_from([CODE, "FREE-0", "FREE-1", "ONE-3", "NONE"]),
)
terms_of_some = st.builds(
    SliceFacts,
    budget=st.none() | st.integers(0, 6),
    claimed=st.just(0),
    amount_budget=st.none() | st.integers(0, 60),
    type=st.sampled_from(["shared", "pool"]),
    code=st.just(CODE),
    status=st.just(CampaignStatus.ACTIVE),
    starts_at=st.none(),
    ends_at=st.none(),
    per_user_limit=st.integers(1, 3),
    per_day_limit=st.none() | st.integers(1, 2),
    stacking_rules=st.none() | st.just(RULES),
    hold_ttl_s=st.none() | st.just(10 * 86_400),
    discount=st.just(Discount("percent", 10)),
)
FINISHED = {State.REDEEMED: {"redeemed_at": NOW}, State.RELEASED: {"released_at": NOW}}
ends = st.dictionaries(st.integers(0, 20), st.sampled_from(list(FINISHED)), max_size=3)
batches = st.lists(st.tuples(st.lists(claims_of_few, max_size=8), ends, st.booleans()), max_size=6)


@given(terms_of_some, batches)
def test_batches_with_an_order_of_events_between_them_answer_as_a_plain_model_does(
    terms: SliceFacts, story: list[tuple[list[SubmitClaim], dict[int, State], bool]]
) -> None:
    model = Model(terms, (SHARED, *FREE_CODES, BOBS))
    for claims, ended, next_day in story:
        for claim, outcome in zip(claims, outcomes(claims, model.facts()), strict=True):
            expected = model.answer(claim)
            assert (reason(outcome) or type(outcome).__name__.lower()) == expected
            if isinstance(outcome, Granted):
                model.rows.append(outcome.redemption)
        numbers = [(row.user_id, row.use_no) for row in model.active()]
        assert len(set(numbers)) == len(numbers)
        assert all(1 <= number <= terms.per_user_limit for _, number in numbers)
        single = [row.code for row in model.active(lambda row: row.single_use)]
        assert len(set(single)) == len(single)
        for index, state in ended.items():
            if index < len(model.rows) and model.rows[index].released_at is None:
                model.rows[index] = replace(model.rows[index], state=state, **FINISHED[state])
        model.now += DAY * next_day

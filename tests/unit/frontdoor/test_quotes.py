"""What validate answers, in which order of precedence."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from frontdoor.directory import Found
from frontdoor.eligibility import NO_SEGMENTS, Person
from frontdoor.problems import Problem
from frontdoor.quotes import Cart, Circumstances, quote, stacked, stands, unruled
from frontdoor.shapes import Invalid, Valid
from shared.catalogue import KnownCode
from shared.domain.campaign import Campaign, CampaignStatus, StackingRules
from shared.domain.code import Code
from shared.domain.discount import Discount, apply
from shared.domain.draft import CampaignDraft, planned
from shared.domain.ids import CampaignId, ClaimId, UserId
from shared.domain.outcomes import Refusal
from shared.domain.redemption import Redemption, State

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
PERCENT = Discount("percent", 10, "EUR")
NOT_ADULT = Person(UserId("ann"), {"age": 17}, first_order=False)
ADULT = {">=": [{"var": "attrs.age"}, 18]}


def found(code: str = "BF", single_use: bool = False, spelling: str | None = None, number: int = 1, **terms: Any) -> Found:
    draft = CampaignDraft(name="n", type="shared", code=code, discount=PERCENT, total_limit=10, **terms)
    campaign = planned(draft, CampaignId(UUID(int=number)))
    assert isinstance(campaign, Campaign), campaign
    return Found(KnownCode(Code(code), number, campaign.campaign_id, single_use, None, spelling), campaign)


def held(of: Found, **changed: Any) -> Redemption:
    redemption = Redemption(
        redemption_id=ClaimId(UUID(int=9)),
        campaign_id=of.campaign.campaign_id,
        slice_no=0,
        code_id=of.code.code_id,
        code=of.code.code,
        user_id=UserId("ann"),
        use_no=1,
        user_limit=1,
        order_id="o",
        discount_applied=apply(Discount("amount", 700, "EUR"), 5_000),
        idempotency_key="k",
        body_hash=b"",
        state=State.CLAIMED,
        claimed_at=NOW,
    )
    return msgspec.structs.replace(redemption, **changed)


def told(
    of: Found,
    cart: Cart = Cart(None, (), ()),  # noqa: B008 (frozen)
    who: Person | None = None,
    used: bool = False,
    nothing: Refusal | None = None,
    first_order: bool | None = None,
) -> Valid | str:
    """The quote, or the code of the problem, or the reason."""
    answer = quote(of, cart, Circumstances(who, NO_SEGMENTS, used, nothing, NOW, first_order))
    match answer:
        case Problem():
            return answer.code
        case Invalid():
            return answer.reason
        case Valid():
            return answer


def cart(subtotal: int | None = None, *beside: Found, held: Redemption | None = None) -> Cart:
    return Cart(subtotal, [stacked(each) for each in beside], [] if held is None else [held])


def test_a_code_that_can_be_redeemed_shows_its_discount() -> None:
    shown = told(found(), cart(1_250))
    assert isinstance(shown, Valid)
    assert (shown.code, shown.discount.amount) == ("BF", 125)


def test_an_exact_code_is_shown_as_it_has_to_be_written() -> None:
    shown = told(found("BF", spelling="bF"))
    assert isinstance(shown, Valid)
    assert shown.code == "bF"


def test_what_the_order_has_already_outranks_every_refusal_and_keeps_its_discount() -> None:
    over = found(audience_filter=False)
    over = Found(over.code, msgspec.structs.replace(over.campaign, status=CampaignStatus.ENDED))
    shown = told(over, cart(held=held(over)), NOT_ADULT, used=True, nothing=Refusal.EXHAUSTED)
    assert isinstance(shown, Valid)
    assert (shown.already_redeemed_for_this_order, shown.discount.amount) == (True, 700)


def test_what_the_order_holds_of_another_campaign_is_not_this_code() -> None:
    one = found()
    assert told(one, cart(held=held(one, campaign_id=CampaignId(UUID(int=3)))), nothing=Refusal.EXHAUSTED) == "exhausted"


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, True),
        ({"released_at": NOW, "state": State.RELEASED}, False),
        ({"hold_expires_at": NOW}, False),
        ({"hold_expires_at": NOW + timedelta(seconds=1)}, True),
        ({"hold_expires_at": NOW, "state": State.REDEEMED}, True),
    ],
)
def test_what_was_released_or_not_confirmed_in_time_does_not_stand(changed: dict[str, Any], expected: bool) -> None:
    assert stands(held(found(), **changed), NOW) is expected


def test_a_pools_public_code_stands_for_whichever_code_was_given_out() -> None:
    public, particular = found("POOL"), found("POOL", single_use=True)
    given_out = held(public, code=Code("POOL-1"), hold_expires_at=NOW + timedelta(seconds=1))
    assert isinstance(told(public, cart(held=given_out), used=True), Valid)
    assert told(particular, cart(held=given_out), used=True) == "code_used"


def test_a_stranger_is_told_that_a_code_for_others_is_unknown_and_a_user_that_it_is_not_for_them() -> None:
    adults = found(audience_filter=ADULT)
    assert told(adults) == "unknown_code"
    assert told(adults, who=NOT_ADULT) == "audience_mismatch"


def test_a_strangers_first_order_is_what_they_say_and_a_users_what_the_token_says() -> None:
    first = found(first_order_only=True)
    for said in (None, True):
        shown = told(first, first_order=said)
        assert isinstance(shown, Valid)
        assert shown.first_order_only is True
    assert told(first, first_order=False) == "not_first_order"
    assert told(first, who=NOT_ADULT, first_order=True) == "not_first_order"
    assert isinstance(told(found(), first_order=False), Valid)
    assert told(found(first_order_only=True, audience_filter=ADULT), first_order=False) == "unknown_code"


def test_what_is_so_for_good_is_told_before_what_the_cart_can_mend() -> None:
    one = found(minimum_subtotal=500, audience_filter=ADULT)
    paused = Found(one.code, msgspec.structs.replace(one.campaign, status=CampaignStatus.PAUSED))
    grown = Person(UserId("ann"), {"age": 18}, first_order=False)
    assert told(paused, cart(499), NOT_ADULT, used=True, nothing=Refusal.EXHAUSTED) == "audience_mismatch"
    assert told(paused, cart(499), grown, used=True, nothing=Refusal.EXHAUSTED) == "campaign_paused"
    assert told(one, cart(499), grown, used=True, nothing=Refusal.EXHAUSTED) == "code_used"
    assert told(one, cart(499), grown, nothing=Refusal.EXHAUSTED) == "exhausted"
    assert told(one, cart(499), grown) == "minimum_not_met"
    assert told(one, cart(None), grown) == "subtotal_required"
    assert isinstance(told(one, cart(500), grown), Valid)


def test_a_window_is_judged_to_the_moment() -> None:
    one = found(starts_at="2026-11-27T12:00", ends_at="2026-11-28T00:00")
    before = Found(one.code, msgspec.structs.replace(one.campaign, starts_at=NOW + timedelta(microseconds=1)))
    after = Found(one.code, msgspec.structs.replace(one.campaign, ends_at=NOW, starts_at=None))
    assert isinstance(told(one), Valid)
    assert (told(before), told(after)) == ("not_started", "expired")


def test_rules_of_stacking_bind_both_ways_and_codes_without_rules_go_with_each_other() -> None:
    shy, plain = found("SHY", stacking_rules=StackingRules(("SAVE*",)), number=2), found("SAVE10", number=3)
    alone = found("ALONE", stacking_rules=StackingRules(exclusive=True), number=4)
    assert told(shy, cart(None, plain)) == "not_stackable_with_SAVE10"
    assert told(plain, cart(None, shy)) == "not_stackable_with_SHY"
    assert told(plain, cart(None, shy, alone)) == "not_stackable_with_SHY"
    assert isinstance(told(plain, cart(None, found("OTHER"))), Valid)
    assert told(alone, Cart(None, [unruled(Code("ANY"))], ())) == "not_stackable_with_ANY"


def test_a_code_that_is_on_the_cart_already_is_not_in_its_own_way() -> None:
    alone = found("ALONE", stacking_rules=StackingRules(exclusive=True))
    assert isinstance(told(alone, cart(None, alone)), Valid)


def test_a_small_cart_is_told_before_a_crowded_one() -> None:
    alone = found("ALONE", stacking_rules=StackingRules(exclusive=True), minimum_subtotal=10)
    assert told(alone, cart(1, found("OTHER", number=2))) == "minimum_not_met"

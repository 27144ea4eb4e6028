from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest

from shared.domain.campaign import Campaign, CampaignStatus, Slice, StackingRules, budget
from shared.domain.discount import MAX_SUBTOTAL, Discount
from shared.domain.draft import (
    MAX_HOLD_TTL_S,
    MAX_NUMBER,
    CampaignChange,
    CampaignDraft,
    Fault,
    frees_slots,
    planned,
    revised,
)
from shared.domain.ids import CampaignId, home_partition

ID = CampaignId(UUID(int=7))
DRAFT = CampaignDraft(
    name="Black Friday",
    type="shared",
    code=" blackfri100 ",
    discount=Discount("amount", 1000, "USD"),
    total_limit=1000,
    timezone="America/New_York",
    starts_at="2026-11-27T00:00",
    ends_at="2026-11-28T00:00",
)


def campaign(**different: Any) -> Campaign:
    made = planned(DRAFT, ID)
    assert isinstance(made, Campaign)
    return msgspec.structs.replace(made, **different)


def faults(made: Campaign | list[Fault]) -> list[str]:
    assert isinstance(made, list)
    return [fault.field for fault in made]


def test_a_draft_becomes_an_active_campaign_at_home_with_its_window_in_utc() -> None:
    made = planned(DRAFT, ID)
    assert isinstance(made, Campaign)
    assert made.code == "BLACKFRI100"
    assert made.starts_at == datetime(2026, 11, 27, 5, tzinfo=UTC)
    assert made.ends_at == datetime(2026, 11, 28, 5, tzinfo=UTC)
    assert made.status is CampaignStatus.ACTIVE
    assert made.slices == (Slice(0, home_partition(ID)),)
    assert (made.per_user_limit, made.release_on_failure, made.release_on_refund) == (1, False, False)


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("name", ""),
        ("name", "   "),
        ("name", "x" * 201),
        ("name", "nul\0"),
        ("name", "two\nlines"),
        ("name", "half \ud83d"),
        ("code", "  "),
        ("code", "two words"),
        ("code", "x" * 65),
        ("code", "nul\0"),
        ("total_limit", -1),
        ("total_limit", 2**63),
        ("total_limit", MAX_NUMBER + 1),
        ("amount_limit", -1),
        ("minimum_subtotal", MAX_SUBTOTAL + 1),
        ("hold_ttl_s", 0),
        ("hold_ttl_s", MAX_HOLD_TTL_S + 1),
        ("per_day_limit", 0),
        ("per_week_limit", 1001),
        ("per_month_limit", 0),
        ("ends_on", "2026-11-30"),
        ("per_user_limit", 0),
        ("per_user_limit", 1001),
        ("per_user_limit", 2**31),
        ("timezone", "Mars/Olympus"),
        ("timezone", "\0"),
        ("starts_at", "tomorrow"),
        ("starts_at", "2026-11-28T00:00"),
        ("ends_at", "2026-03-08T02:30"),
        ("ends_at", "2026-11-01T01:30"),
    ],
)
def test_a_wrong_field_is_named(field: str, wrong: object) -> None:
    draft = msgspec.structs.replace(DRAFT, **{field: wrong})
    named = "ends_at" if (field, wrong) == ("starts_at", "2026-11-28T00:00") else field
    assert faults(planned(draft, ID)) == [named]


@pytest.mark.parametrize(
    "discount",
    [Discount("amount", 0, "USD"), Discount("percent", 101), Discount("amount", 2**63, "USD"), Discount("free_shipping", 5)],
)
def test_a_wrong_discount_is_named(discount: Discount) -> None:
    assert faults(planned(msgspec.structs.replace(DRAFT, discount=discount), ID)) == ["discount.value"]


def test_all_faults_are_told_at_once() -> None:
    draft = msgspec.structs.replace(DRAFT, name="", code="", total_limit=-1, per_user_limit=0, ends_at="soon")
    assert sorted(faults(planned(draft, ID))) == ["code", "ends_at", "name", "per_user_limit", "total_limit"]


def test_names_are_free_text_of_any_script() -> None:
    assert isinstance(planned(msgspec.structs.replace(DRAFT, name="ブラック　フライデー 👩‍👧"), ID), Campaign)


@pytest.mark.parametrize("limit", [None, 0, MAX_NUMBER])
def test_unlimited_none_and_very_many_are_limits(limit: int | None) -> None:
    assert isinstance(planned(msgspec.structs.replace(DRAFT, total_limit=limit), ID), Campaign)


def test_a_limit_left_out_is_not_taken_for_unlimited() -> None:
    body = msgspec.to_builtins(DRAFT)
    del body["total_limit"]
    with pytest.raises(msgspec.ValidationError, match="total_limit"):
        msgspec.convert(body, CampaignDraft)


@pytest.mark.parametrize("field", ["status", "minted", "version", "campaign_id"])
def test_fields_of_no_meaning_here_are_refused(field: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=field):
        msgspec.convert({**msgspec.to_builtins(DRAFT), field: None}, CampaignDraft)
    with pytest.raises(msgspec.ValidationError, match=field):
        msgspec.convert({field: None}, CampaignChange)


def test_a_change_touches_only_what_it_names() -> None:
    assert revised(campaign(), CampaignChange(name="Cyber Monday")) == campaign(name="Cyber Monday")
    assert revised(campaign(), CampaignChange()) == campaign()


def test_null_takes_the_limit_and_the_window_away() -> None:
    after = revised(campaign(), CampaignChange(total_limit=None, starts_at=None, ends_at=None))
    assert after == campaign(total_limit=None, starts_at=None, ends_at=None)


def test_a_changed_time_is_read_in_the_campaigns_own_zone() -> None:
    after = revised(campaign(), CampaignChange(ends_at="2026-11-27T12:00"))
    assert after == campaign(ends_at=datetime(2026, 11, 27, 17, tzinfo=UTC))


def test_a_change_is_judged_with_what_it_leaves_as_it_was() -> None:
    assert faults(revised(campaign(), CampaignChange(starts_at="2026-11-29T00:00"))) == ["ends_at"]
    assert faults(revised(campaign(), CampaignChange(per_user_limit=0, name="\0"))) == ["name", "per_user_limit"]


@pytest.mark.parametrize(
    ("before", "after", "freed"),
    [
        ({"total_limit": 5}, {"total_limit": 6}, True),
        ({"total_limit": 5}, {"total_limit": None}, True),
        ({"total_limit": 5}, {"total_limit": 4}, False),
        ({"total_limit": None}, {"total_limit": 5}, False),
        ({"total_limit": 5}, {"total_limit": 5, "name": "other"}, False),
        ({"amount_limit": 5}, {"amount_limit": 6}, True),
        ({"amount_limit": 5}, {"amount_limit": None}, True),
        ({"amount_limit": 6}, {"amount_limit": 5}, False),
        ({"amount_limit": None}, {"amount_limit": 5}, False),
        ({"type": "pool", "minted": 3}, {"type": "pool", "minted": 4}, True),
        ({"type": "pool", "minted": 3, "total_limit": 3}, {"type": "pool", "minted": 4, "total_limit": 3}, False),
        ({"type": "pool", "minted": 3, "total_limit": 3}, {"type": "pool", "minted": 3, "total_limit": 9}, False),
        ({"status": CampaignStatus.PAUSED}, {"status": CampaignStatus.ACTIVE}, True),
        ({"status": CampaignStatus.PAUSED, "total_limit": None}, {"status": CampaignStatus.ACTIVE, "total_limit": None}, True),
        ({"status": CampaignStatus.ACTIVE}, {"status": CampaignStatus.PAUSED}, False),
    ],
)
def test_slots_are_freed_by_a_raised_limit_and_by_resuming(before: dict[str, Any], after: dict[str, Any], freed: bool) -> None:
    assert frees_slots(campaign(**before), campaign(**after)) is freed


def draft(**different: Any) -> CampaignDraft:
    return msgspec.structs.replace(DRAFT, **different)


@pytest.mark.parametrize(
    ("kind", "code", "wrong"),
    [
        ("shared", "BF", False),
        ("shared", None, True),
        ("pool", "BF", False),
        ("pool", None, False),
        ("unique", None, False),
        ("unique", "BF", True),
    ],
)
def test_who_shares_a_code_names_it_and_who_does_not_names_none(kind: str, code: str | None, wrong: bool) -> None:
    made = planned(draft(type=kind, code=code), ID)
    assert faults(made) == ["code"] if wrong else isinstance(made, Campaign) and made.code == code


@pytest.mark.parametrize("field", ["type", "code", "exact", "timezone"])
def test_what_codes_were_made_by_stays(field: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=field):
        msgspec.convert({field: None}, CampaignChange)


def test_a_last_day_ends_when_it_is_over_in_the_campaigns_zone() -> None:
    made = planned(draft(ends_at=None, ends_on="2026-11-30"), ID)
    assert isinstance(made, Campaign)
    assert made.ends_at == datetime(2026, 12, 1, 5, tzinfo=UTC)
    assert revised(made, CampaignChange(ends_on="2026-11-28")) == campaign(ends_at=datetime(2026, 11, 29, 5, tzinfo=UTC))
    assert revised(made, CampaignChange(ends_on=None)) == campaign(ends_at=None)
    assert faults(revised(made, CampaignChange(ends_on="2026-11-28", ends_at="2026-11-28T00:00"))) == ["ends_on"]
    assert faults(revised(made, CampaignChange(ends_on="28.11.2026"))) == ["ends_on"]


def test_money_can_only_run_out_where_the_discount_is_money() -> None:
    assert faults(planned(draft(discount=Discount("free_shipping"), amount_limit=5), ID)) == ["amount_limit"]
    assert faults(revised(campaign(amount_limit=5), CampaignChange(discount=Discount("free_shipping")))) == ["amount_limit"]
    assert isinstance(planned(draft(discount=Discount("percent", 5), amount_limit=5), ID), Campaign)


def test_globs_are_kept_as_codes_are() -> None:
    made = planned(draft(stacking_rules=StackingRules((" save* ", "vip?"), category="sitewide")), ID)
    assert isinstance(made, Campaign)
    assert made.stacking_rules == StackingRules(("SAVE*", "VIP?"), category="sitewide")


def test_rules_that_demand_nothing_are_none() -> None:
    made = planned(draft(stacking_rules=StackingRules()), ID)
    assert isinstance(made, Campaign)
    assert made.stacking_rules is None
    after = revised(campaign(stacking_rules=StackingRules(exclusive=True)), CampaignChange(stacking_rules=StackingRules()))
    assert isinstance(after, Campaign)
    assert after.stacking_rules is None


@pytest.mark.parametrize(
    ("rules", "wrong"),
    [
        (StackingRules(("two words",)), "stacking_rules.excludes"),
        (StackingRules(("",)), "stacking_rules.excludes"),
        (StackingRules(("A",) * 101), "stacking_rules.excludes"),
        (StackingRules(category=""), "stacking_rules.category"),
        (StackingRules(category="nul\0"), "stacking_rules.category"),
    ],
)
def test_rules_that_could_match_nothing_are_refused(rules: StackingRules, wrong: str) -> None:
    assert faults(planned(draft(stacking_rules=rules), ID)) == [wrong]
    assert faults(revised(campaign(), CampaignChange(stacking_rules=rules))) == [wrong]


@pytest.mark.parametrize(
    ("kind", "total_limit", "minted", "slots"),
    [("shared", 5, 0, 5), ("shared", None, 0, None), ("pool", 5, 3, 3), ("pool", 5, 8, 5), ("unique", None, 3, 3)],
)
def test_single_use_codes_are_a_limit_of_their_own(kind: str, total_limit: int | None, minted: int, slots: int | None) -> None:
    assert budget(campaign(type=kind, total_limit=total_limit, minted=minted)) == slots


@pytest.mark.parametrize("wrong", [{"frobnicate": 1}, "everybody", {}])
def test_a_filter_that_is_no_rule_is_a_fault_also_of_a_change(wrong: Any) -> None:
    assert faults(planned(msgspec.structs.replace(DRAFT, audience_filter=wrong), ID)) == ["audience_filter"]
    assert faults(revised(campaign(), CampaignChange(audience_filter=wrong))) == ["audience_filter"]


def test_a_filter_may_be_any_rule_and_be_taken_away() -> None:
    rule = {"==": [{"var": "attrs.country"}, "DE"]}
    limited = campaign(audience_filter=rule)
    assert campaign().audience_filter is None
    assert planned(msgspec.structs.replace(DRAFT, audience_filter=rule), ID) == limited
    assert revised(limited, CampaignChange(audience_filter=None)) == campaign()

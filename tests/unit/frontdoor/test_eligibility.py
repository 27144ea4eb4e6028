"""Whom a call is for, and who may say what of them."""

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest

from frontdoor.eligibility import NO_SEGMENTS, Person, for_everybody, in_audience, person, reads_segments, unfit
from frontdoor.problems import Problem
from frontdoor.tokens import SERVICE, Identity
from shared.domain.campaign import Campaign
from shared.domain.discount import Discount
from shared.domain.draft import CampaignDraft, planned
from shared.domain.ids import CampaignId, UserId
from shared.domain.outcomes import Refusal

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
ANN, BOB = UserId("ann"), UserId("bob")
ADULT = {">=": [{"var": "attrs.age"}, 18]}
LOYAL = {"<": [{"var": "segments.loyal"}, "2026-01-01"]}


def identity(*scopes: str, **attrs: Any) -> Identity:
    return Identity(ANN, frozenset(scopes), 0.0, attrs)


def campaign(**terms: Any) -> Campaign:
    draft = CampaignDraft(name="n", type="shared", code="BF", discount=Discount("percent", 10), total_limit=10, **terms)
    made = planned(draft, CampaignId(UUID(int=7)))
    assert isinstance(made, Campaign), made
    return made


def test_a_token_speaks_for_its_own_user() -> None:
    assert person(identity(age=30), None, None, None) == Person(ANN, {"age": 30}, first_order=False)
    assert person(identity(age=30), ANN, None, None) == Person(ANN, {"age": 30}, first_order=False)
    assert person(identity(first_order=True), None, None, None) == Person(ANN, {"first_order": True}, first_order=True)


@pytest.mark.parametrize("said", [1, "true", False, None])
def test_only_true_is_a_first_order(said: Any) -> None:
    assert person(identity(first_order=said), None, None, None) == Person(ANN, {"first_order": said}, first_order=False)


@pytest.mark.parametrize(
    ("named", "attrs", "first_order", "code"),
    [
        (BOB, None, None, "user_mismatch"),
        (None, {}, None, "scope_required"),
        (None, None, True, "scope_required"),
        (None, None, False, "scope_required"),
        (BOB, {"age": 30}, None, "user_mismatch"),
    ],
)
def test_a_user_says_nothing_of_themselves_that_their_token_does_not(
    named: UserId | None, attrs: dict[str, Any] | None, first_order: bool | None, code: str
) -> None:
    problem = person(identity("admin", age=30), named, attrs, first_order)
    assert isinstance(problem, Problem)
    assert (problem.status, problem.code) == (403, code)


def test_a_service_says_what_it_knows_of_the_user_it_names() -> None:
    service = identity(SERVICE, age=30)
    assert person(service, BOB, {"age": 17}, None) == Person(BOB, {"age": 17}, first_order=False)
    assert person(service, BOB, None, True) == Person(BOB, {}, first_order=True)
    assert person(service, None, {"first_order": True}, None) == Person(ANN, {"first_order": True}, first_order=True)


def test_what_a_services_token_says_is_said_of_the_service_alone() -> None:
    assert person(identity(SERVICE, age=30, first_order=True), BOB, None, None) == Person(BOB, {}, first_order=False)


def test_a_plain_campaign_is_for_everybody() -> None:
    assert for_everybody(campaign())
    assert not for_everybody(campaign(audience_filter=False))
    assert not for_everybody(campaign(first_order_only=True))


def test_segments_are_read_only_where_the_filter_names_them() -> None:
    assert [reads_segments(campaign(audience_filter=rule)) for rule in (None, ADULT, LOYAL)] == [False, False, True]


def test_the_audience_is_told_before_the_first_order() -> None:
    both = campaign(audience_filter=ADULT, first_order_only=True)
    adult, child = ({"age": age} for age in (18, 17))
    assert unfit(both, Person(ANN, child, first_order=False), NO_SEGMENTS, NOW) is Refusal.AUDIENCE_MISMATCH
    assert unfit(both, Person(ANN, adult, first_order=False), NO_SEGMENTS, NOW) is Refusal.NOT_FIRST_ORDER
    assert unfit(both, Person(ANN, adult, first_order=True), NO_SEGMENTS, NOW) is None


def test_segments_are_dates_to_the_filter() -> None:
    ann = Person(ANN, {}, first_order=False)
    assert in_audience(campaign(audience_filter=LOYAL), ann, {"loyal": date(2025, 6, 1)}, NOW)
    assert not in_audience(campaign(audience_filter=LOYAL), ann, {"loyal": date(2026, 6, 1)}, NOW)
    assert not in_audience(campaign(audience_filter=LOYAL), ann, NO_SEGMENTS, NOW)


def test_of_nobody_in_particular_nothing_is_known() -> None:
    assert in_audience(campaign(), None, NO_SEGMENTS, NOW)
    assert not in_audience(campaign(audience_filter=ADULT), None, NO_SEGMENTS, NOW)
    assert in_audience(campaign(audience_filter={"!": {"var": "attrs.employee"}}), None, NO_SEGMENTS, NOW)

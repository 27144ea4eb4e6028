"""What people read of the time that is left."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest

from frontdoor.render import expires_text, invalid, valid
from shared.domain.campaign import Campaign
from shared.domain.code import Code
from shared.domain.discount import Discount, apply
from shared.domain.draft import CampaignDraft, planned
from shared.domain.ids import CampaignId
from shared.domain.outcomes import Refusal

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = 60, 3_600, 86_400


@pytest.mark.parametrize(
    ("left_s", "text"),
    [
        (0, "has ended"),
        (1, "ends in less than a minute"),
        (MINUTE - 1, "ends in less than a minute"),
        (MINUTE, "ends in 1 minute"),
        (2 * MINUTE, "ends in 2 minutes"),
        (HOUR - 1, "ends in 59 minutes"),
        (HOUR, "ends in 1 hour"),
        (2 * HOUR - 1, "ends in 1 hour"),
        (3 * HOUR, "ends in 3 hours"),
        (DAY, "ends in 24 hours"),
        (2 * DAY - 1, "ends in 47 hours"),
        (2 * DAY, "ends in 2 days"),
        (400 * DAY, "ends in 400 days"),
    ],
)
def test_time_left_is_told_in_the_largest_unit_and_never_as_more_than_there_is(left_s: int, text: str) -> None:
    assert expires_text(left_s) == text


def campaign_ending(ends_at: datetime | None) -> Campaign:
    draft = CampaignDraft(name="n", type="shared", code="BF", discount=Discount("percent", 10), total_limit=10)
    campaign = planned(draft, CampaignId(UUID(int=7)))
    assert isinstance(campaign, Campaign)
    return msgspec.structs.replace(campaign, ends_at=ends_at)


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (None, (None, None)),
        (timedelta(hours=3, microseconds=1), (3 * HOUR, "ends in 3 hours")),
        (timedelta(milliseconds=999), (0, "has ended")),
        (timedelta(seconds=-5), (0, "has ended")),
    ],
)
def test_seconds_and_words_say_the_same(left: timedelta | None, expected: tuple[int | None, str | None]) -> None:
    campaign = campaign_ending(None if left is None else NOW + left)
    shown = valid(campaign, "BF", apply(campaign.discount, None), NOW)
    assert (shown.expires_in_s, shown.expires_text) == expected


def test_only_what_the_order_has_already_is_said_to_be() -> None:
    campaign = campaign_ending(None)
    applied = apply(campaign.discount, 500)
    shown, kept = (valid(campaign, "BF", applied, NOW, kept=kept) for kept in (False, True))
    assert "already_redeemed_for_this_order" not in msgspec.to_builtins(shown)
    assert msgspec.to_builtins(kept)["already_redeemed_for_this_order"] is True


def test_what_the_cart_can_mend_is_named_with_what_it_takes() -> None:
    assert msgspec.to_builtins(invalid("BF", Refusal.MINIMUM_NOT_MET, 5_000)) == {
        "valid": False,
        "code": "BF",
        "reason": "minimum_not_met",
        "detail": "The subtotal is below what this code asks for.",
        "minimum_subtotal": 5_000,
    }
    assert msgspec.to_builtins(invalid("BF", Refusal.NOT_STACKABLE, other=Code("SAVE10"))) == {
        "valid": False,
        "code": "BF",
        "reason": "not_stackable_with_SAVE10",
        "detail": "This code cannot be combined with SAVE10.",
        "with": "SAVE10",
    }

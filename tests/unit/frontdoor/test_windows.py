"""A door's clock refuses only what is beyond doubt."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest

from frontdoor.windows import MARGIN, shut
from shared import clock
from shared.domain.campaign import Campaign
from shared.domain.discount import Discount
from shared.domain.draft import CampaignDraft, planned
from shared.domain.ids import CampaignId
from shared.domain.outcomes import Refusal

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
TICK = timedelta(milliseconds=1)


@pytest.fixture(autouse=True)
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "utc_now", lambda: NOW)


def open_between(starts_at: datetime | None, ends_at: datetime | None) -> Campaign:
    draft = CampaignDraft(name="Black Friday", type="shared", code="BF", discount=Discount("percent", 10), total_limit=10)
    campaign = planned(draft, CampaignId(UUID(int=7)))
    assert isinstance(campaign, Campaign)
    return msgspec.structs.replace(campaign, starts_at=starts_at, ends_at=ends_at)


def test_the_margin_is_two_seconds() -> None:
    assert timedelta(seconds=2) == MARGIN


def test_a_campaign_without_a_window_is_never_shut() -> None:
    assert shut(open_between(None, None)) is None


@pytest.mark.parametrize(
    ("starts_at", "expected"), [(NOW + MARGIN + TICK, Refusal.NOT_STARTED), (NOW + MARGIN, None), (NOW - MARGIN, None)]
)
def test_a_start_is_refused_only_beyond_the_margin(starts_at: datetime, expected: Refusal | None) -> None:
    assert shut(open_between(starts_at, None)) is expected
    assert shut(open_between(starts_at, NOW + timedelta(days=1))) is expected


@pytest.mark.parametrize(
    ("ends_at", "expected"),
    [(NOW - MARGIN, Refusal.EXPIRED), (NOW - MARGIN + TICK, None), (NOW, None), (NOW + MARGIN, None)],
)
def test_an_end_is_refused_only_beyond_the_margin(ends_at: datetime, expected: Refusal | None) -> None:
    assert shut(open_between(None, ends_at)) is expected
    assert shut(open_between(NOW - timedelta(days=1), ends_at)) is expected

"""Campaigns as administrators read them. Pure values, which are also what the API document shows."""

from datetime import datetime

import msgspec

from shared.domain.campaign import Campaign, CampaignStatus, CampaignType
from shared.domain.discount import Discount
from shared.domain.ids import CampaignId


class CampaignShown(msgspec.Struct, frozen=True):
    """A campaign as committed. `claimed` slots are held; a limit of null is none, and so is what remains of it.

    Times are in UTC; `timezone` is where its author reads the clock.
    """

    campaign_id: CampaignId
    name: str
    type: CampaignType
    code: str | None
    status: CampaignStatus
    discount: Discount
    total_limit: int | None
    claimed: int
    remaining: int | None
    per_user_limit: int
    timezone: str
    starts_at: datetime | None
    ends_at: datetime | None
    release_on_failure: bool
    release_on_refund: bool
    version: int


class CampaignPage(msgspec.Struct, frozen=True):
    """Campaigns, the newest first. With `next_after` given as `after`, the list goes on; null ends it."""

    campaigns: list[CampaignShown]
    next_after: CampaignId | None


def shown(campaign: Campaign, claimed: int) -> CampaignShown:
    """A campaign with `claimed` slots held."""
    return CampaignShown(
        campaign_id=campaign.campaign_id,
        name=campaign.name,
        type=campaign.type,
        code=campaign.code,
        status=campaign.status,
        discount=campaign.discount,
        total_limit=campaign.total_limit,
        claimed=claimed,
        remaining=None if campaign.total_limit is None else campaign.total_limit - claimed,
        per_user_limit=campaign.per_user_limit,
        timezone=campaign.timezone,
        starts_at=campaign.starts_at,
        ends_at=campaign.ends_at,
        release_on_failure=campaign.release_on_failure,
        release_on_refund=campaign.release_on_refund,
        version=campaign.version,
    )

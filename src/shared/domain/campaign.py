"""A campaign as everybody but its author needs it: what it gives, to how many, when."""

from datetime import datetime
from enum import StrEnum
from typing import Literal

import msgspec

from shared.domain.code import Code
from shared.domain.discount import Discount
from shared.domain.ids import CampaignId, PartitionNo
from shared.domain.outcomes import Refusal

CampaignType = Literal["shared"]


class CampaignStatus(StrEnum):
    ACTIVE = "active"
    PAUSED = "paused"
    ENDED = "ended"


class Slice(msgspec.Struct, frozen=True, gc=False):
    """The part of a campaign's limit that lives in one partition."""

    slice_no: int
    partition_no: PartitionNo


class Campaign(msgspec.Struct, frozen=True):
    """A committed version of a campaign. `total_limit` None: unlimited. Times are aware, in UTC; None: open-ended."""

    campaign_id: CampaignId
    name: str
    type: CampaignType
    code: Code
    discount: Discount
    total_limit: int | None
    per_user_limit: int
    timezone: str
    starts_at: datetime | None
    ends_at: datetime | None
    status: CampaignStatus
    release_on_failure: bool
    release_on_refund: bool
    version: int
    slices: tuple[Slice, ...]


def closed_by_status(status: CampaignStatus) -> Refusal | None:
    """Why a campaign in this status gives nothing; None when it does."""
    match status:
        case CampaignStatus.ACTIVE:
            return None
        case CampaignStatus.PAUSED:
            return Refusal.CAMPAIGN_PAUSED
        case CampaignStatus.ENDED:
            return Refusal.ENDED


def closed_by_window(starts_at: datetime | None, ends_at: datetime | None, now: datetime) -> Refusal | None:
    """Why a window [starts_at, ends_at) is shut at `now`; None when it is open."""
    if starts_at is not None and now < starts_at:
        return Refusal.NOT_STARTED
    if ends_at is not None and now >= ends_at:
        return Refusal.EXPIRED
    return None

"""A campaign as everybody but its author needs it: what it gives, to how many, when."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

import msgspec

from shared.domain.code import Code
from shared.domain.discount import Discount
from shared.domain.ids import CampaignId, PartitionNo, UserId
from shared.domain.outcomes import Refusal
from shared.domain.slices import slice_of

CampaignType = Literal["shared", "unique", "pool"]


class CampaignStatus(StrEnum):
    ACTIVE = "active"
    PAUSED = "paused"
    ENDED = "ended"


class Slice(msgspec.Struct, frozen=True, gc=False):
    """The part of a campaign's limit that lives in one partition.

    `layout`: the version of the campaign that cut its slices so and put them there; 0 as it was created.
    """

    slice_no: int
    partition_no: PartitionNo
    layout: int = 0


class StackingRules(msgspec.Struct, frozen=True):
    """What a campaign demands of the other codes of an order (see `stacking`). `excludes` are globs of normal-form codes."""

    excludes: tuple[str, ...] = ()
    exclusive: bool = False
    category: str | None = None


class Campaign(msgspec.Struct, frozen=True):
    """A committed version of a campaign. A limit of None is none. Times are aware, in UTC; None: open-ended.

    `code`: what everybody types; a pool may have none, a campaign of unique codes has none. `exact`: its codes are told apart
    by their spelling as well. `minted`: how many single-use codes it has. Money is in minor units.
    """

    campaign_id: CampaignId
    name: str
    type: CampaignType
    code: Code | None
    exact: bool
    discount: Discount
    total_limit: int | None
    minted: int
    per_user_limit: int
    per_day_limit: int | None
    per_week_limit: int | None
    per_month_limit: int | None
    amount_limit: int | None
    minimum_subtotal: int | None
    first_order_only: bool
    audience_filter: Any
    stacking_rules: StackingRules | None
    timezone: str
    starts_at: datetime | None
    ends_at: datetime | None
    status: CampaignStatus
    release_on_failure: bool
    release_on_refund: bool
    hold_ttl_s: int | None
    version: int
    slices: tuple[Slice, ...]

    def slice_for(self, user: UserId) -> Slice:
        """The slice that serves this user."""
        return self.slices[slice_of(user, len(self.slices))]

    def slice_in(self, partition: PartitionNo) -> Slice:
        """The slice that lives in this partition. Raises LookupError when none does."""
        for part in self.slices:
            if part.partition_no == partition:
                return part
        raise LookupError(partition)

    def __hash__(self) -> int:
        """By what names a version: the filter is any JSON, which has no hash."""
        return hash((self.campaign_id, self.version))


def budget(campaign: Campaign) -> int | None:
    """How many slots there are in all, None for any number: single-use codes end when there are no more of them."""
    if campaign.type == "shared":
        return campaign.total_limit
    return campaign.minted if campaign.total_limit is None else min(campaign.total_limit, campaign.minted)


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


def closed_by_subtotal(
    discount: Discount, amount_limit: int | None, minimum_subtotal: int | None, subtotal: int | None
) -> Refusal | None:
    """Why a cart of `subtotal` (None: not said) gets nothing; None when it may. A share of limited money needs a subtotal."""
    if subtotal is None:
        needed = minimum_subtotal is not None or (amount_limit is not None and discount.type == "percent")
        return Refusal.SUBTOTAL_REQUIRED if needed else None
    if minimum_subtotal is not None and subtotal < minimum_subtotal:
        return Refusal.MINIMUM_NOT_MET
    return None

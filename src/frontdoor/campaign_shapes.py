"""Campaigns as administrators write and read them. Pure values, which are also what the API document shows."""

from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from shared.campaign_reading import Known
from shared.domain.campaign import CampaignStatus, CampaignType, StackingRules, budget
from shared.domain.discount import Discount
from shared.domain.draft import CampaignChange, CampaignDraft
from shared.domain.ids import CampaignId
from shared.domain.velocity import Launch
from shared.velocity import GuardPause


class CampaignShown(msgspec.Struct, frozen=True):
    """A campaign as committed. `claimed` slots are held; a limit of null is none, and so is what remains of it.

    What remains is bounded by the codes that are minted, too. Money is in minor units. Times are in UTC; `timezone` is where
    its author reads the clock. `partitions`: where its slices live; one, unless it was split.
    """

    campaign_id: CampaignId
    name: str
    type: CampaignType
    code: str | None
    exact: bool
    status: CampaignStatus
    discount: Discount
    total_limit: int | None
    minted: int
    claimed: int
    remaining: int | None
    per_user_limit: int
    per_day_limit: int | None
    per_week_limit: int | None
    per_month_limit: int | None
    amount_limit: int | None
    amount_claimed: int
    minimum_subtotal: int | None
    first_order_only: bool
    audience_filter: Any
    stacking_rules: StackingRules | None
    timezone: str
    starts_at: datetime | None
    ends_at: datetime | None
    release_on_failure: bool
    release_on_refund: bool
    hold_ttl_s: int | None
    version: int
    partitions: list[int]


class CampaignMoved(CampaignShown, frozen=True):
    """A campaign as it was cut into slices, or moved. Meanwhile nobody was let in for so long."""

    admission_paused_ms: int


class CampaignInFull(CampaignShown, frozen=True):
    """A campaign with what is announced for it, and the velocity guard's pause that it has not been resumed from, if any."""

    launches: list[Launch]
    paused_by_guard: GuardPause | None


class CampaignPage(msgspec.Struct, frozen=True):
    """Campaigns, the newest first. With `next_after` given as `after`, the list goes on; null ends it."""

    campaigns: list[CampaignShown]
    next_after: CampaignId | None


class StrictDiscount(Discount, frozen=True, forbid_unknown_fields=True):
    """A discount as its author writes it. As it is kept it may say more, when a newer release has written it."""


class StrictRules(StackingRules, frozen=True, forbid_unknown_fields=True):
    """Rules as their author writes them; kept, they may say more as well."""


class DraftBody(CampaignDraft, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A campaign as its author describes it. Times are local to `timezone` unless they carry an offset.

    `ends_on`, a date, says the same as an `ends_at` at the end of that day. Limits per day, week (from Monday) and month are of
    each user, and follow the clocks of `timezone`. Money is in minor units.
    """

    discount: StrictDiscount
    stacking_rules: StrictRules | None = None


class ChangeBody(CampaignChange, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be different about a campaign; what is left out stays. Null takes a limit or an end of the window away.

    Nobody loses what they hold: a lower per-user limit, like another discount, is for the claims to come.
    """

    discount: StrictDiscount | UnsetType = UNSET
    stacking_rules: StrictRules | UnsetType | None = UNSET


class SplitBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Into how many slices a campaign is to be cut."""

    slices: int


class MoveBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a campaign is to live."""

    partition: int


def shown(known: Known) -> CampaignShown:
    """A campaign and what is held of it."""
    return CampaignShown(**_fields(known))


def in_full(known: Known, launches: list[Launch], paused_by_guard: GuardPause | None) -> CampaignInFull:
    """The same, and what is announced for it."""
    return CampaignInFull(**_fields(known), launches=launches, paused_by_guard=paused_by_guard)


def moved(known: Known, paused_ms: int) -> CampaignMoved:
    """The same, and for how long nobody was let in while it was moved."""
    return CampaignMoved(**_fields(known), admission_paused_ms=paused_ms)


def _fields(known: Known) -> dict[str, Any]:
    campaign, slots = known.campaign, budget(known.campaign)
    fields = {name: getattr(campaign, name) for name in campaign.__struct_fields__ if name != "slices"}
    return fields | {
        "claimed": known.claimed,
        "remaining": None if slots is None else max(0, slots - known.claimed),
        "amount_claimed": known.amount_claimed,
        "partitions": [part.partition_no for part in campaign.slices],
    }

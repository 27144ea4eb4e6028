"""What claims are decided on: all that was committed about them when their partition was locked."""

from datetime import datetime
from typing import Literal

import msgspec

from shared.domain.campaign import CampaignStatus, CampaignType, StackingRules
from shared.domain.code import Code
from shared.domain.discount import Discount
from shared.domain.ids import CampaignId, ClaimId, PartitionNo, UserId
from shared.domain.redemption import Redemption, is_overdue
from shared.domain.stacking import Stacked

SliceKey = tuple[CampaignId, int]
Holder = tuple[CampaignId, UserId]


class Sibling(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Another slice of a campaign, as committed; it may move on unless its partition is locked, too."""

    slice_no: int
    partition_no: PartitionNo
    budget: int | None
    claimed: int
    amount_budget: int | None = None
    amount_claimed: int = 0

    @property
    def free(self) -> int:
        """Slots that it could give away; 0 where there is no end of them."""
        return 0 if self.budget is None else self.budget - self.claimed

    @property
    def amount_free(self) -> int:
        """Money that it could give away; 0 where there is no end of it."""
        return 0 if self.amount_budget is None else self.amount_budget - self.amount_claimed


class SliceFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A slice and the terms of its campaign, as committed. A budget or limit of None is none. `code`: the campaign's own.

    `partition_no`: where it lives; that partition is locked. `siblings`: the campaign's other slices; `layout`: see
    `campaign.Slice`. `held`: the gate lets nobody in, for slices are about to move.
    """

    partition_no: PartitionNo
    budget: int | None
    claimed: int
    amount_budget: int | None = None
    amount_claimed: int = 0
    type: CampaignType = "shared"
    code: Code | None
    status: CampaignStatus
    timezone: str = "UTC"
    starts_at: datetime | None
    ends_at: datetime | None
    per_user_limit: int
    per_day_limit: int | None = None
    per_week_limit: int | None = None
    per_month_limit: int | None = None
    minimum_subtotal: int | None = None
    stacking_rules: StackingRules | None = None
    hold_ttl_s: int | None = None
    discount: Discount
    siblings: tuple[Sibling, ...] = ()
    layout: int = 0
    held: bool = False

    @property
    def slices(self) -> int:
        """How many slices the campaign has."""
        return 1 + len(self.siblings)


class CodeFacts(msgspec.Struct, frozen=True, gc=False):
    """A code as committed. `state`: "shared" by all users, or good for one claim, which has or has not taken it.

    `spelling`: as it was made, where its campaign is exact.
    """

    code_id: int
    code: Code
    campaign_id: CampaignId
    state: Literal["shared", "unused", "claimed"]
    intended_user: UserId | None
    spelling: str | None = None


class Use(msgspec.Struct, frozen=True, gc=False):
    """One of a user's active redemptions of a campaign. `hold`: the redemption, if it has to be confirmed in time."""

    use_no: int
    claimed_at: datetime
    hold: Redemption | None = None


class Facts(msgspec.Struct, frozen=True):
    """All that claims are decided on, read after their partitions were locked. `now` is Postgres's clock then.

    `uses`: for `decide`, without holds that are overdue (see `overdue_holds`). `free_codes`: of pools with a public code, in
    the order in which they are to be given; more than the claims can take, if there are so many. `orders`: what else their
    orders hold; None: no campaign has stacking rules.
    """

    now: datetime
    slices: dict[SliceKey, SliceFacts]
    redemptions: dict[ClaimId, Redemption]
    uses: dict[Holder, tuple[Use, ...]]
    codes: dict[Code, CodeFacts]
    free_codes: dict[CampaignId, tuple[CodeFacts, ...]] = {}
    orders: dict[str, tuple[Stacked, ...]] | None = None


def overdue_holds(facts: Facts) -> dict[PartitionNo, list[ClaimId]]:
    """Holds of the claims' users whose time has run out, in the way of whatever they ask for, by where their slots live.

    Who has a hold in another slice than the one that serves him had it before the campaign was split. The hold of who asks
    for a campaign that does not live here (any more) is left to where it does.
    """
    places = {key: terms.partition_no for key, terms in facts.slices.items()}
    for (campaign, _), terms in facts.slices.items():
        places.update(((campaign, other.slice_no), other.partition_no) for other in terms.siblings)
    held = (use.hold for uses in facts.uses.values() for use in uses if use.hold is not None)
    found: dict[PartitionNo, list[ClaimId]] = {}
    for hold in held:
        place = places.get((hold.campaign_id, hold.slice_no))
        if place is not None and is_overdue(hold, facts.now):
            found.setdefault(place, []).append(hold.redemption_id)
    return found

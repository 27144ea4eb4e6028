"""Outcomes as bodies. Pure: what a caller reads is made of values alone."""

from datetime import datetime

from msgspec import UNSET

from frontdoor import shapes
from shared.domain import discount
from shared.domain.campaign import Campaign
from shared.domain.ids import ClaimId, PartitionNo
from shared.domain.redemption import Redemption


def redemption(row: Redemption) -> shapes.Redemption:
    """A redemption as its user and the shop see it."""
    return shapes.Redemption(
        claim_id=row.redemption_id,
        redemption_id=row.redemption_id,
        campaign_id=row.campaign_id,
        code=row.code,
        user_id=row.user_id,
        order_id=row.order_id,
        state=row.state,
        discount_applied=row.discount_applied,
        claimed_at=row.claimed_at,
        redeemed_at=row.redeemed_at or UNSET,
        released_at=row.released_at or UNSET,
        released_reason=row.released_reason or UNSET,
    )


def pending(claim: ClaimId, partition: PartitionNo) -> shapes.Pending:
    """A claim that is not decided yet; its partition goes into the address, where it saves a search."""
    return shapes.Pending(claim_id=claim, state="pending", location=f"/api/v1/claims/{claim}?partition={partition}")


def valid(campaign: Campaign, subtotal: int | None, now: datetime) -> shapes.Valid:
    """What `validate` says of a code that can be redeemed at `now`."""
    ends_at = campaign.ends_at
    return shapes.Valid(
        valid=True,
        code=campaign.code or "",
        campaign_id=campaign.campaign_id,
        name=campaign.name,
        discount=discount.apply(campaign.discount, subtotal),
        per_user_limit=campaign.per_user_limit,
        expires_at=ends_at,
        expires_in_s=None if ends_at is None else max(0, int((ends_at - now).total_seconds())),
    )

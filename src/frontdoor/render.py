"""Outcomes as bodies. Pure: what a caller reads is made of values alone."""

from datetime import datetime

from msgspec import UNSET

from frontdoor import shapes
from frontdoor.problems import refusal
from shared.domain.campaign import Campaign
from shared.domain.discount import Applied
from shared.domain.ids import ClaimId, PartitionNo
from shared.domain.outcomes import Refusal, Refused
from shared.domain.redemption import Redemption


def redemption(row: Redemption) -> shapes.Redemption:
    """A redemption as its user and the shop see it."""
    return shapes.Redemption(
        claim_id=row.redemption_id,
        redemption_id=row.redemption_id,
        campaign_id=row.campaign_id,
        code=row.written,
        user_id=row.user_id,
        order_id=row.order_id,
        state=row.state,
        discount_applied=row.discount_applied,
        claimed_at=row.claimed_at,
        hold_expires_at=row.hold_expires_at or UNSET,
        redeemed_at=row.redeemed_at or UNSET,
        released_at=row.released_at or UNSET,
        released_reason=row.released_reason or UNSET,
    )


def pending(claim: ClaimId, partition: PartitionNo) -> shapes.Pending:
    """A claim that is not decided yet; its partition goes into the address, where it saves a search."""
    return shapes.Pending(claim_id=claim, state="pending", location=f"/api/v1/claims/{claim}?partition={partition}")


def valid(campaign: Campaign, code: str, applied: Applied, now: datetime, *, kept: bool = False) -> shapes.Valid:
    """What `validate` says of a code that can be redeemed at `now`, or that the order has redeemed already (`kept`)."""
    ends_at = campaign.ends_at
    left_s = None if ends_at is None else max(0, int((ends_at - now).total_seconds()))
    return shapes.Valid(
        valid=True,
        code=code,
        campaign_id=campaign.campaign_id,
        name=campaign.name,
        discount=applied,
        per_user_limit=campaign.per_user_limit,
        expires_at=ends_at,
        expires_in_s=left_s,
        expires_text=None if left_s is None else expires_text(left_s),
        first_order_only=True if campaign.first_order_only else UNSET,
        already_redeemed_for_this_order=True if kept else UNSET,
    )


def invalid(code: str, reason: Refusal, minimum_subtotal: int | None = None, other: str | None = None) -> shapes.Invalid:
    """What `validate` says of a code that a change of the cart would make valid; `other`: the code it does not go with."""
    problem = refusal(Refused(reason, other))
    return shapes.Invalid(
        valid=False,
        code=code,
        reason=reason.value if other is None else f"{reason}_with_{other}",
        detail=problem.detail,
        minimum_subtotal=UNSET if minimum_subtotal is None else minimum_subtotal,
        other=UNSET if other is None else other,
    )


def expires_text(left_s: int) -> str:
    """How long there is still time, in the largest unit that people would count in, and never more than there is."""
    for unit, seconds, least in (("day", 86_400, 2), ("hour", 3_600, 1), ("minute", 60, 1)):
        count = left_s // seconds
        if count >= least:
            return f"ends in {count} {unit}{'s' if count > 1 else ''}"
    return "ends in less than a minute" if left_s > 0 else "has ended"

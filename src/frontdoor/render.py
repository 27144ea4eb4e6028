"""Outcomes as bodies. Pure: what a caller reads is made of values alone."""

from datetime import datetime
from typing import Any

import msgspec

from shared.domain import discount
from shared.domain.campaign import Campaign
from shared.domain.redemption import Redemption


def redemption(shown: Redemption) -> dict[str, Any]:
    """A redemption as its user and the shop see it."""
    body: dict[str, Any] = {
        "claim_id": shown.redemption_id,
        "redemption_id": shown.redemption_id,
        "campaign_id": shown.campaign_id,
        "code": shown.code,
        "user_id": shown.user_id,
        "order_id": shown.order_id,
        "state": shown.state,
        "discount_applied": shown.discount_applied,
        "claimed_at": shown.claimed_at,
    }
    if shown.redeemed_at is not None:
        body["redeemed_at"] = shown.redeemed_at
    if shown.released_at is not None:
        body |= {"released_at": shown.released_at, "released_reason": shown.released_reason}
    return body


def pending(claim_id: object, location: str) -> dict[str, Any]:
    """A claim that is not decided yet."""
    return {"claim_id": claim_id, "state": "pending", "location": location}


def valid(campaign: Campaign, subtotal: int | None, now: datetime) -> dict[str, Any]:
    """What `validate` says of a code that can be redeemed at `now`."""
    applied = discount.apply(campaign.discount, subtotal)
    ends_at = campaign.ends_at
    return {
        "valid": True,
        "code": campaign.code,
        "campaign_id": campaign.campaign_id,
        "name": campaign.name,
        "discount": applied,
        "per_user_limit": campaign.per_user_limit,
        "expires_at": ends_at,
        "expires_in_s": None if ends_at is None else max(0, int((ends_at - now).total_seconds())),
    }


def encode(body: dict[str, Any]) -> bytes:
    """JSON in UTF-8; times in RFC 3339."""
    return msgspec.json.encode(body)

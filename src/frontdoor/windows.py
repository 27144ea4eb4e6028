"""What this machine's clock may say of a campaign's window: only what is beyond doubt. Postgres's clock judges at commit."""

from datetime import timedelta

from shared import clock
from shared.domain.campaign import Campaign
from shared.domain.outcomes import Refusal

#: How far this machine's clock may be from Postgres's.
MARGIN = timedelta(seconds=2)


def shut(campaign: Campaign) -> Refusal | None:
    """Why the window is shut for certain; None when the commit must judge."""
    if campaign.starts_at is None and campaign.ends_at is None:
        return None
    now = clock.utc_now()
    if campaign.starts_at is not None and now < campaign.starts_at - MARGIN:
        return Refusal.NOT_STARTED
    if campaign.ends_at is not None and now >= campaign.ends_at + MARGIN:
        return Refusal.EXPIRED
    return None

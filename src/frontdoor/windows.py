"""What this machine's clock may say of a campaign's window: only what is beyond doubt. Postgres's clock judges at commit."""

from datetime import timedelta

from shared import clock
from shared.domain.campaign import Campaign, closed_by_window
from shared.domain.outcomes import Refusal

#: How far this machine's clock may be from Postgres's.
MARGIN = timedelta(seconds=2)


def shut(campaign: Campaign) -> Refusal | None:
    """Why the window is shut wherever in the margin the time may be; None when the commit must judge."""
    now = clock.utc_now()
    earliest, latest = (closed_by_window(campaign.starts_at, campaign.ends_at, at) for at in (now - MARGIN, now + MARGIN))
    return earliest if earliest is latest else None

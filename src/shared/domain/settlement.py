"""What a gate is set to, computed from what was just committed."""

import msgspec

from shared.domain.ids import CampaignId, UserId
from shared.domain.outcomes import Refusal


class Settlement(msgspec.Struct, frozen=True):
    """The gate of one campaign's slice as the ledger's row `seq` left it.

    `free`: slots that nobody holds, None for unlimited. `closed`: why nothing is given whatever is free. `hold_ms`: how long
    free slots must still be held back, because a front door may hold a certificate from before they were freed. `users`:
    active redemptions of each user whose number may have changed (all of them, 0 included, when a gate is seeded).
    """

    campaign_id: CampaignId
    seq: int
    free: int | None
    per_user_limit: int
    closed: Refusal | None
    hold_ms: int
    users: dict[UserId, int]

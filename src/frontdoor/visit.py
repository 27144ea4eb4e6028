"""A call of the coupons as it came in, by whichever way: past the wicket, or through aiohttp."""

import msgspec
from multidict import CIMultiDictProxy

from shared.domain.ids import CampaignId, ClaimId, UserId


class Attempt(msgspec.Struct, gc=False):
    """What is kept of a visit (see `attempts`), filled in on the way to its answer, as far as that goes.

    `code`: as typed; None as long as nobody has read the form and the token.
    """

    code: str | None = None
    user_id: UserId | None = None
    campaign_id: CampaignId | None = None
    claim_id: ClaimId | None = None
    arrived_at: float = 0.0
    ip: str = ""
    call: str = ""
    result: str = ""


class Visit(msgspec.Struct, frozen=True, gc=False):
    """What was sent, from which address (see `client_ip`), and when.

    `arrived_at` is in seconds of the event loop, which all that is timed by it is measured in.
    """

    headers: CIMultiDictProxy[str]
    body: bytes
    ip: str
    arrived_at: float
    attempt: Attempt = msgspec.field(default_factory=Attempt)

"""What can be asked of a campaign's slots."""

from hashlib import blake2b

import msgspec

from shared.domain.code import Code
from shared.domain.ids import CampaignId, ClaimId, DoorId, UserId


class SubmitClaim(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One user asks for one slot. This is what an entry of a mailbox carries.

    `door` and `ticket` say whom to tell: the front door that waits, and its own number for this ask of the gate. `ip` and
    `typed` are for the record of attempts: where it was asked from, and the code as it was typed; "" from an older door.
    """

    claim_id: ClaimId
    campaign_id: CampaignId
    slice_no: int
    user_id: UserId
    code: Code
    order_id: str
    subtotal: int | None
    idempotency_key: str
    body_hash: bytes
    door: DoorId
    ticket: int = 0
    ip: str = ""
    typed: str = ""


def body_hash(code: Code, order_id: str, subtotal: int | None) -> bytes:
    """Sixteen bytes that tell two request bodies apart: the same claim id with another body is a reused key."""
    return blake2b(f"{code}\0{order_id}\0{subtotal}".encode(), digest_size=16).digest()

"""Every answer a claim can get. A refusal is a value with a stable name; what a user reads is made of it elsewhere."""

from enum import StrEnum

import msgspec

from shared.domain.redemption import Redemption


class Refusal(StrEnum):
    """Why a claim was not granted. The value is the machine `code` that callers see."""

    UNKNOWN_CODE = "unknown_code"
    KEY_REUSED = "key_reused"
    CAMPAIGN_PAUSED = "campaign_paused"
    NOT_STARTED = "not_started"
    ENDED = "ended"
    EXPIRED = "expired"
    ALREADY_REDEEMED = "already_redeemed"
    EXHAUSTED = "exhausted"
    CLAIM_REJECTED = "claim_rejected"


class Granted(msgspec.Struct, frozen=True, tag="granted"):
    """The claim took a slot just now."""

    redemption: Redemption


class Replayed(msgspec.Struct, frozen=True, tag="replayed"):
    """The claim had taken its slot before; the redemption is shown as it stands."""

    redemption: Redemption


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """The claim took nothing. Refusals are not remembered: asked again, it is decided again."""

    reason: Refusal


Outcome = Granted | Replayed | Refused

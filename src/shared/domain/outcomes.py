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
    AUDIENCE_MISMATCH = "audience_mismatch"
    NOT_FIRST_ORDER = "not_first_order"
    ALREADY_REDEEMED = "already_redeemed"
    PERIOD_LIMIT_REACHED = "period_limit_reached"
    SUBTOTAL_REQUIRED = "subtotal_required"
    MINIMUM_NOT_MET = "minimum_not_met"
    NOT_STACKABLE = "not_stackable"
    CODE_USED = "code_used"
    EXHAUSTED = "exhausted"
    BUDGET_INSUFFICIENT = "budget_insufficient"
    CLAIM_REJECTED = "claim_rejected"


class Granted(msgspec.Struct, frozen=True, tag="granted"):
    """The claim took a slot just now."""

    redemption: Redemption


class Replayed(msgspec.Struct, frozen=True, tag="replayed"):
    """The claim had taken its slot before; the redemption is shown as it stands.

    `instead_of`: the claim took nothing and would be refused so, but the redemption is a hold of the same user's.
    """

    redemption: Redemption
    instead_of: Refusal | None = None


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """The claim took nothing. Refusals are not remembered: asked again, it is decided again.

    `about`: the other code that a code cannot be combined with, if it is the user's own.
    """

    reason: Refusal
    about: str | None = None


class Misrouted(msgspec.Struct, frozen=True, tag="misrouted"):
    """Nothing was decided: the slice that serves the user lives in another partition now. The claim is to be routed again."""


Outcome = Granted | Replayed | Refused

#: What a front door hears of a claim.
Heard = Outcome | Misrouted

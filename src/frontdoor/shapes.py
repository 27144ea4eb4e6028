"""The bodies of answers: what is sent, and therefore what the API document shows. Members that are unset are left out."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec

from shared.domain.discount import Applied
from shared.domain.draft import Fault
from shared.domain.redemption import State


class Redemption(msgspec.Struct, frozen=True, gc=False):
    """One user's taking of one slot. `claim_id` and `redemption_id` are the same id by two names.

    `hold_expires_at`: by when it has to be confirmed, or its slot is given back; without it, never.
    """

    claim_id: UUID
    redemption_id: UUID
    campaign_id: UUID
    code: str
    user_id: str
    order_id: str
    state: State
    discount_applied: Applied
    claimed_at: datetime
    hold_expires_at: datetime | msgspec.UnsetType = msgspec.UNSET
    redeemed_at: datetime | msgspec.UnsetType = msgspec.UNSET
    released_at: datetime | msgspec.UnsetType = msgspec.UNSET
    released_reason: str | msgspec.UnsetType = msgspec.UNSET


class Pending(msgspec.Struct, frozen=True, gc=False):
    """A claim that is not decided yet; `location` is where to ask."""

    claim_id: UUID
    state: Literal["pending"]
    location: str


class Valid(msgspec.Struct, frozen=True, gc=False):
    """What a code would give now. It promises nothing: only a redeem takes a slot."""

    valid: Literal[True]
    code: str
    campaign_id: UUID
    name: str
    discount: Applied
    per_user_limit: int
    expires_at: datetime | None
    expires_in_s: int | None
    expires_text: str | None
    first_order_only: Literal[True] | msgspec.UnsetType = msgspec.UNSET
    already_redeemed_for_this_order: Literal[True] | msgspec.UnsetType = msgspec.UNSET


class Invalid(msgspec.Struct, frozen=True, gc=False):
    """Why a code gives nothing to this cart, when the cart can mend it.

    `reason`: subtotal_required, minimum_not_met (below `minimum_subtotal`), or not_stackable_with_<the code in `with`>.
    """

    valid: Literal[False]
    code: str
    reason: str
    detail: str
    minimum_subtotal: int | msgspec.UnsetType = msgspec.UNSET
    other: str | msgspec.UnsetType = msgspec.field(default=msgspec.UNSET, name="with")


class Kept(msgspec.Struct, frozen=True):
    """A redemption that a refund leaves as it is; `code` is what releasing it would be refused with."""

    redemption_id: UUID
    code: str


class OrderRefunded(msgspec.Struct, frozen=True):
    """All redemptions of a refunded order as they stand, and those of them that were not given back."""

    order_id: str
    redemptions: list[Redemption]
    kept: list[Kept]


class OrderRedemptions(msgspec.Struct, frozen=True):
    """Everything that an order holds or held."""

    order_id: str
    redemptions: list[Redemption]


class Health(msgspec.Struct, frozen=True):
    status: Literal["ok"]


class Readiness(msgspec.Struct, frozen=True):
    ready: bool
    checks: dict[str, bool]


class ProblemDetails(msgspec.Struct, frozen=True):
    """Why a request was refused (RFC 9457). Decide by `code`; some problems carry further members."""

    type: str
    title: str
    status: Annotated[int, msgspec.Meta(ge=400, le=599)]
    detail: str
    code: str
    field: Annotated[str, msgspec.Meta(description="Which field, of field_invalid.")] | msgspec.UnsetType = msgspec.UNSET
    reason: Annotated[str, msgspec.Meta(description="Why the token, of token_invalid.")] | msgspec.UnsetType = msgspec.UNSET
    scope: Annotated[str, msgspec.Meta(description="Which scope, of scope_required.")] | msgspec.UnsetType = msgspec.UNSET
    request_id: Annotated[str, msgspec.Meta(description="What to report, of internal.")] | msgspec.UnsetType = msgspec.UNSET
    claimed: Annotated[int, msgspec.Meta(description="Slots held, of limit_below_claimed.")] | msgspec.UnsetType = msgspec.UNSET
    faults: Annotated[list[Fault], msgspec.Meta(description="All faults of a campaign.")] | msgspec.UnsetType = msgspec.UNSET
    amount_claimed: Annotated[int, msgspec.Meta(description="Money given, likewise.")] | msgspec.UnsetType = msgspec.UNSET
    line: Annotated[int, msgspec.Meta(description="Which line, of csv_invalid.")] | msgspec.UnsetType = msgspec.UNSET
    max: Annotated[int, msgspec.Meta(description="How many, of too_many_codes.")] | msgspec.UnsetType = msgspec.UNSET
    space: Annotated[int, msgspec.Meta(description="Possible codes, of pattern_too_small.")] | msgspec.UnsetType = msgspec.UNSET
    other: Annotated[str, msgspec.Meta(description="The other code, of not_stackable.")] | msgspec.UnsetType = msgspec.field(
        default=msgspec.UNSET, name="with"
    )

"""What may become of a redemption, as a table. The database repeats it (see the migrations); a test holds the two together."""

from datetime import datetime
from enum import StrEnum

import msgspec

from shared.domain.code import Code
from shared.domain.discount import Applied
from shared.domain.ids import CampaignId, ClaimId, UserId


class State(StrEnum):
    CLAIMED = "claimed"
    REDEEMED = "redeemed"
    RELEASED = "released"


class Step(StrEnum):
    CONFIRM = "confirm"
    RELEASE_FOR_FAILURE = "failure"
    RELEASE_FOR_REFUND = "refund"


TRANSITIONS: dict[tuple[State, Step], State] = {
    (State.CLAIMED, Step.CONFIRM): State.REDEEMED,
    (State.CLAIMED, Step.RELEASE_FOR_FAILURE): State.RELEASED,
    (State.REDEEMED, Step.RELEASE_FOR_REFUND): State.RELEASED,
}


class Redemption(msgspec.Struct, frozen=True):
    """One user's taking of one slot, as its row in `redemptions` stands. Active means `released_at` is None."""

    redemption_id: ClaimId
    campaign_id: CampaignId
    slice_no: int
    code_id: int
    code: Code
    user_id: UserId
    use_no: int
    user_limit: int
    order_id: str
    discount_applied: Applied
    idempotency_key: str
    body_hash: bytes
    state: State
    claimed_at: datetime
    redeemed_at: datetime | None = None
    released_at: datetime | None = None
    released_reason: str | None = None


class Policy(msgspec.Struct, frozen=True):
    """What a campaign gives back."""

    release_on_failure: bool
    release_on_refund: bool


class Stay(StrEnum):
    """Why a step leaves a redemption as it stands. DONE: it was taken before, by whoever asked first."""

    DONE = "done"
    NOT_ALLOWED = "release_not_allowed"
    NOT_CLAIMED = "not_claimed"
    NOT_REDEEMED = "not_redeemed"


def next_state(state: State, step: Step, policy: Policy) -> State | Stay:
    """Where `step` takes a redemption in `state`: idempotence first, then the campaign's policy, then the table."""
    if state is (State.REDEEMED if step is Step.CONFIRM else State.RELEASED):
        return Stay.DONE
    if (step is Step.RELEASE_FOR_FAILURE and not policy.release_on_failure) or (
        step is Step.RELEASE_FOR_REFUND and not policy.release_on_refund
    ):
        return Stay.NOT_ALLOWED
    following = TRANSITIONS.get((state, step))
    if following is None:
        return Stay.NOT_REDEEMED if step is Step.RELEASE_FOR_REFUND else Stay.NOT_CLAIMED
    return following

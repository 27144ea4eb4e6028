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
    EXPIRE = "expiry"


TRANSITIONS: dict[tuple[State, Step], State] = {
    (State.CLAIMED, Step.CONFIRM): State.REDEEMED,
    (State.CLAIMED, Step.RELEASE_FOR_FAILURE): State.RELEASED,
    (State.REDEEMED, Step.RELEASE_FOR_REFUND): State.RELEASED,
    (State.CLAIMED, Step.EXPIRE): State.RELEASED,
}


class Redemption(msgspec.Struct, frozen=True):
    """One user's taking of one slot, as its row in `redemptions` stands. Active means `released_at` is None.

    `amount`: what it takes of its campaign's money. `single_use`: its code is gone with it. `hold_expires_at`: by when it has
    to be confirmed, or its slot is given back; None: never. `spelling`: the code as it was made, where its campaign is exact.
    """

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
    amount: int = 0
    single_use: bool = False
    hold_expires_at: datetime | None = None
    redeemed_at: datetime | None = None
    released_at: datetime | None = None
    released_reason: str | None = None
    spelling: str | None = None

    @property
    def written(self) -> str:
        """The code as it was made, which is as it has to be typed."""
        return self.spelling or self.code


def is_open_hold(redemption: Redemption, now: datetime) -> bool:
    """Whether the slot is held for a checkout that may still be confirmed, and will be given up if it is not."""
    return redemption.state is State.CLAIMED and redemption.hold_expires_at is not None and now < redemption.hold_expires_at


def is_overdue(redemption: Redemption, now: datetime) -> bool:
    """Whether the time to confirm has run out, though nobody has given the slot back yet."""
    return redemption.state is State.CLAIMED and redemption.hold_expires_at is not None and now >= redemption.hold_expires_at


class Policy(msgspec.Struct, frozen=True):
    """What a campaign gives back. The slot of a hold that has expired always is."""

    release_on_failure: bool
    release_on_refund: bool


class Stay(StrEnum):
    """Why a step leaves a redemption as it stands. DONE: it was taken before, by whoever asked first."""

    DONE = "done"
    NOT_ALLOWED = "release_not_allowed"
    NOT_CLAIMED = "not_claimed"
    NOT_REDEEMED = "not_redeemed"
    HOLD_EXPIRED = "hold_expired"


def step_at(redemption: Redemption, step: Step, now: datetime) -> Step:
    """What `step` comes to at `now`: whoever lets go of a hold that is over finds it expired."""
    return Step.EXPIRE if step is Step.RELEASE_FOR_FAILURE and is_overdue(redemption, now) else step


def next_state(redemption: Redemption, step: Step, policy: Policy, now: datetime) -> State | Stay:
    """Where `step` takes a redemption: idempotence first, then the hold, then the campaign's policy, then the table.

    A hold that is over at `now` cannot be confirmed, whether or not its slot has been given back yet.
    """
    if redemption.state is (State.REDEEMED if step is Step.CONFIRM else State.RELEASED):
        return Stay.DONE
    if step is Step.CONFIRM and (redemption.released_reason == Step.EXPIRE or is_overdue(redemption, now)):
        return Stay.HOLD_EXPIRED
    if (step is Step.RELEASE_FOR_FAILURE and not policy.release_on_failure) or (
        step is Step.RELEASE_FOR_REFUND and not policy.release_on_refund
    ):
        return Stay.NOT_ALLOWED
    following = TRANSITIONS.get((redemption.state, step))
    if following is None:
        return Stay.NOT_REDEEMED if step is Step.RELEASE_FOR_REFUND else Stay.NOT_CLAIMED
    return following

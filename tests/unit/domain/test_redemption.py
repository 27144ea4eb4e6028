"""What may become of a redemption, as its table says."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from msgspec.structs import replace

from shared.domain.code import Code
from shared.domain.discount import Applied
from shared.domain.ids import CampaignId, ClaimId, UserId
from shared.domain.redemption import (
    TRANSITIONS,
    Policy,
    Redemption,
    State,
    Stay,
    Step,
    is_open_hold,
    is_overdue,
    next_state,
    step_at,
)

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)
CLAIMED = Redemption(
    redemption_id=ClaimId(UUID(int=1)),
    campaign_id=CampaignId(UUID(int=2)),
    slice_no=0,
    code_id=1,
    code=Code("BF"),
    user_id=UserId("ann"),
    use_no=1,
    user_limit=1,
    order_id="o",
    discount_applied=Applied("percent", 10, None, None, None),
    idempotency_key="k",
    body_hash=b"",
    state=State.CLAIMED,
    claimed_at=NOW,
)
OPEN, OVERDUE = replace(CLAIMED, hold_expires_at=NOW + TICK), replace(CLAIMED, hold_expires_at=NOW)
REDEEMED = replace(CLAIMED, state=State.REDEEMED, redeemed_at=NOW, hold_expires_at=NOW)
RELEASED = replace(CLAIMED, state=State.RELEASED, released_at=NOW, released_reason="failure")
EXPIRED = replace(RELEASED, released_reason="expiry")
ALL, NOTHING = Policy(True, True), Policy(False, False)


def test_a_redemption_begins_claimed_and_ends_released() -> None:
    reached = set(TRANSITIONS.values())
    left = {state for state, _ in TRANSITIONS}
    assert set(State) - reached == {State.CLAIMED}
    assert set(State) - left == {State.RELEASED}


def test_each_step_leads_from_one_state_to_another() -> None:
    assert [step for _, step in TRANSITIONS] == list(Step)
    assert all(before is not after for (before, _), after in TRANSITIONS.items())


def test_what_is_released_stays_released() -> None:
    assert not [step for state, step in TRANSITIONS if state is State.RELEASED]


def test_only_what_was_redeemed_can_be_refunded() -> None:
    assert [state for state, step in TRANSITIONS if step is Step.RELEASE_FOR_REFUND] == [State.REDEEMED]


def test_a_hold_is_open_until_the_moment_it_expires() -> None:
    assert [is_open_hold(each, NOW) for each in (OPEN, OVERDUE, CLAIMED, REDEEMED)] == [True, False, False, False]
    assert [is_overdue(each, NOW) for each in (OPEN, OVERDUE, CLAIMED, REDEEMED)] == [False, True, False, False]


def test_who_lets_go_of_a_hold_that_is_over_finds_it_expired() -> None:
    steps = [step_at(each, Step.RELEASE_FOR_FAILURE, NOW) for each in (OPEN, OVERDUE, CLAIMED, EXPIRED)]
    assert steps == [Step.RELEASE_FOR_FAILURE, Step.EXPIRE, Step.RELEASE_FOR_FAILURE, Step.RELEASE_FOR_FAILURE]
    assert step_at(OVERDUE, Step.CONFIRM, NOW) is Step.CONFIRM


@pytest.mark.parametrize(
    ("before", "step", "policy", "expected"),
    [
        (CLAIMED, Step.CONFIRM, NOTHING, State.REDEEMED),
        (OPEN, Step.CONFIRM, NOTHING, State.REDEEMED),
        (OVERDUE, Step.CONFIRM, ALL, Stay.HOLD_EXPIRED),
        (EXPIRED, Step.CONFIRM, ALL, Stay.HOLD_EXPIRED),
        (RELEASED, Step.CONFIRM, ALL, Stay.NOT_CLAIMED),
        (REDEEMED, Step.CONFIRM, NOTHING, Stay.DONE),
        (OPEN, Step.RELEASE_FOR_FAILURE, ALL, State.RELEASED),
        (OPEN, Step.RELEASE_FOR_FAILURE, NOTHING, Stay.NOT_ALLOWED),
        (OVERDUE, Step.EXPIRE, NOTHING, State.RELEASED),
        (REDEEMED, Step.EXPIRE, NOTHING, Stay.NOT_CLAIMED),
        (EXPIRED, Step.EXPIRE, NOTHING, Stay.DONE),
        (EXPIRED, Step.RELEASE_FOR_FAILURE, ALL, Stay.DONE),
        (CLAIMED, Step.RELEASE_FOR_REFUND, ALL, Stay.NOT_REDEEMED),
        (REDEEMED, Step.RELEASE_FOR_REFUND, NOTHING, Stay.NOT_ALLOWED),
        (REDEEMED, Step.RELEASE_FOR_REFUND, ALL, State.RELEASED),
    ],
)
def test_where_a_step_leads(before: Redemption, step: Step, policy: Policy, expected: State | Stay) -> None:
    assert next_state(before, step, policy, NOW) == expected

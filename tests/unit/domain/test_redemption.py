"""What may become of a redemption, as its table says."""

from shared.domain.redemption import TRANSITIONS, State, Step


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

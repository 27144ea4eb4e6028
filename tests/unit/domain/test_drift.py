"""What differs is named by its type; what is the same at two looks, and only that, is drift."""

import random
from uuid import UUID

import pytest

from shared.domain.drift import (
    OF_GATES,
    Drift,
    DriftKind,
    GateState,
    MarkSum,
    confirmed,
    gate_drifts,
    marks_drifts,
    user_drifts,
)
from shared.domain.ids import CampaignId, PartitionNo, UserId
from shared.domain.outcomes import Refusal
from shared.domain.settlement import Settlement

PARTITION = PartitionNo(3)
CAMPAIGN = CampaignId(UUID(int=7))
SHOULD = Settlement(CAMPAIGN, 12, 5, 1, None, {})


def gate(*terms: str | None, seq: int = 12) -> GateState:
    return GateState(CAMPAIGN, seq, terms, users=0)


def kinds(drifts: list[Drift]) -> list[DriftKind]:
    return [drift.kind for drift in drifts]


def test_a_gate_that_says_what_postgres_says_has_not_drifted() -> None:
    assert gate_drifts(PARTITION, SHOULD, gate("5", "1", "", "0", "0")) == []
    endless = Settlement(CAMPAIGN, 12, None, 3, Refusal.ENDED, {}, dry=True)
    assert gate_drifts(PARTITION, endless, gate("unlimited", "3", "ended", "1", "0", seq=2)) == []


@pytest.mark.parametrize(
    ("terms", "kind"),
    [
        (("6", "1", "", "0", "0"), DriftKind.GATE_FREE_DIFFERS),
        ((None, "1", "", "0", "0"), DriftKind.GATE_FREE_DIFFERS),
        (("unlimited", "1", "", "0", "0"), DriftKind.GATE_FREE_DIFFERS),
        (("5", "2", "", "0", "0"), DriftKind.GATE_LIMIT_DIFFERS),
        (("5", "1", "campaign_paused", "0", "0"), DriftKind.GATE_CLOSED_DIFFERS),
        (("5", "1", "", "1", "0"), DriftKind.GATE_DRY_DIFFERS),
        (("5", "1", "", "0", "7"), DriftKind.GATE_LAYOUT_DIFFERS),
    ],
)
def test_each_term_of_a_gate_has_its_type(terms: tuple[str | None, ...], kind: DriftKind) -> None:
    assert kinds(gate_drifts(PARTITION, SHOULD, gate(*terms))) == [kind]


def test_of_several_slices_a_gate_may_not_have_heard_yet_what_the_others_gave() -> None:
    assert gate_drifts(PARTITION, SHOULD, gate("6", "1", "", "0", "0"), slices=2) == []
    for found in ("4", "-6", "many", "unlimited"):
        assert kinds(gate_drifts(PARTITION, SHOULD, gate(found, "1", "", "0", "0"), slices=2)) == [DriftKind.GATE_FREE_DIFFERS]
    assert kinds(gate_drifts(PARTITION, SHOULD, gate("6", "2", "", "0", "0"), slices=2)) == [DriftKind.GATE_LIMIT_DIFFERS]


def test_a_gate_that_knows_of_rows_which_are_not_written_is_ahead_whatever_else_it_says() -> None:
    assert kinds(gate_drifts(PARTITION, SHOULD, gate("9", "9", "", "0", "0", seq=13))) == [DriftKind.GATE_AHEAD]


def test_a_gate_of_another_partitions_campaign_is_stray_unless_it_is_shut() -> None:
    assert kinds(gate_drifts(PARTITION, None, gate("5", "1", "", "0", "0"))) == [DriftKind.GATE_STRAY]
    assert gate_drifts(PARTITION, None, gate("5", "1", "ended", "0")) == []


def test_users_are_missing_or_miscounted_and_their_sequence_is_no_matter() -> None:
    active = {UserId(user): number for user, number in {"ann": 1, "bob": 1, "cat": 0, "dan": 1, "eve": 2}.items()}
    held = {UserId("ann"): "1:7", UserId("bob"): None, UserId("cat"): "1:9", UserId("dan"): "garbage", UserId("eve"): "2:12"}
    drifts = user_drifts(PARTITION, CAMPAIGN, active, held)
    assert [(drift.subject, drift.kind) for drift in drifts] == [
        ("bob", DriftKind.USER_MISSING),
        ("cat", DriftKind.USER_MISCOUNTED),
        ("dan", DriftKind.USER_MISCOUNTED),
    ]


def test_what_was_given_back_in_another_slice_is_no_drift_of_the_one_that_serves_the_user() -> None:
    active = {UserId("ann"): 0, UserId("bob"): 1, UserId("cat"): 1}
    held = {UserId("ann"): "1:7", UserId("bob"): "0:8", UserId("cat"): None}
    drifts = user_drifts(PARTITION, CAMPAIGN, active, held, slices=2)
    assert [(drift.subject, drift.kind) for drift in drifts] == [
        ("bob", DriftKind.USER_MISCOUNTED),
        ("cat", DriftKind.USER_MISSING),
    ]


def test_marks_are_the_same_in_any_order_and_any_pages_and_differ_by_any_one() -> None:
    marks = [random.Random(7).getrandbits(32) for _ in range(1_000)]
    other = sorted(marks)
    there, here = MarkSum().plus(marks), MarkSum().plus(other[:300]).plus(other[300:])
    assert marks_drifts(PARTITION, CAMPAIGN, there, here) == []
    # Two that change against each other keep the sum.
    moved = MarkSum().plus([other[0] + 1, *other[1:-1], other[-1] - 1])
    assert kinds(marks_drifts(PARTITION, CAMPAIGN, there, moved)) == [DriftKind.MARKS_DIFFER]


def test_what_moved_between_two_looks_is_no_drift() -> None:
    def free(expected: int, found: str, seq: int) -> list[Drift]:
        settled = Settlement(CAMPAIGN, 99, expected, 1, None, {})
        return gate_drifts(PARTITION, settled, gate(found, "1", "", "0", "0", seq=seq))

    assert confirmed(free(5, "6", 12), free(5, "6", 12)) == free(5, "6", 12)
    assert confirmed(free(5, "6", 12), free(4, "6", 12)) == []
    assert confirmed(free(5, "6", 12), free(5, "6", 13)) == []
    assert confirmed(free(5, "6", 12), free(5, "5", 13)) == []


def test_what_is_wrong_with_a_gate_is_told_from_what_no_gate_can_help() -> None:
    assert DriftKind.USER_MISSING in OF_GATES
    assert OF_GATES.isdisjoint({DriftKind.SLOTS_MISCOUNTED, DriftKind.CODE_MISSTATED, DriftKind.MAILBOX_UNSETTLED})

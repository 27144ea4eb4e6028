"""Histories by seed: whatever goes wrong in them, nothing is lost, doubled or leaked."""

from tests.simulation.histories import SOMETIMES, play

HISTORIES = 20_000


def test_nothing_is_lost_or_leaked_whatever_goes_wrong() -> None:
    played = play(range(HISTORIES), yielding=True)
    assert not played.broken
    assert played.histories == HISTORIES
    assert played.seen.keys() >= SOMETIMES

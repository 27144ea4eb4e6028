"""Histories by seed: whatever goes wrong in them, nothing is lost, doubled or leaked. In two files, to run side by side."""

import pytest

from tests.simulation.histories import SOMETIMES, play

HISTORIES = 5_000


@pytest.mark.parametrize("first", range(0, 10000, HISTORIES))
def test_nothing_is_lost_or_leaked_whatever_goes_wrong(first: int) -> None:
    seen = play(first, HISTORIES)
    assert seen.keys() >= SOMETIMES

import pytest

from lastslot.supervisor import FIRST_PAUSE_S, LONGEST_PAUSE_S, ending, next_pause_s


def test_pauses_double_up_to_the_longest() -> None:
    pauses = [0.0]
    for _ in range(10):
        pauses.append(next_pause_s(pauses[-1], lived_s=0.1))
    assert pauses[1:4] == [FIRST_PAUSE_S, 2 * FIRST_PAUSE_S, 4 * FIRST_PAUSE_S]
    assert pauses[-1] == LONGEST_PAUSE_S


def test_who_had_lived_a_while_is_started_again_soon() -> None:
    assert next_pause_s(LONGEST_PAUSE_S, lived_s=LONGEST_PAUSE_S + 1) == FIRST_PAUSE_S


@pytest.mark.parametrize(
    ("code", "says"), [(0, "ended with exit code 0"), (3, "ended with exit code 3"), (-9, "was killed by signal 9")]
)
def test_an_ending_is_told_in_words(code: int, says: str) -> None:
    assert ending(code) == says

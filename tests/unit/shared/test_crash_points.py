"""A process dies where it is told to, as often as it is told, and nowhere else."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shared.crash_points import POINTS, arm, crash_point
from shared.errors import SettingInvalid

SOURCES = Path(__file__).parents[3] / "src"

PASSING = """
import sys
from shared.crash_points import arm, crash_point
arm(sys.argv[1])
for turn in range(1, 7):
    crash_point("W2")
    crash_point("W3")
    print(turn, flush=True)
"""


def passed(told: str) -> tuple[int, list[str]]:
    """How a process ended that passes two points six times, and how often it had passed both."""
    argv = [sys.executable, "-c", PASSING, told]
    done = subprocess.run(argv, cwd=SOURCES, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.split()


@pytest.mark.parametrize(("told", "turns"), [("W3", 0), ("W3:5", 4), ("W3:6", 5)])
def test_a_process_dies_at_once_where_and_when_it_is_told_to(told: str, turns: int) -> None:
    assert passed(told) == (-signal.SIGKILL, [str(turn) for turn in range(1, turns + 1)])


@pytest.mark.parametrize("told", ["W3:7", "F1"])
def test_what_is_not_reached_kills_nobody(told: str) -> None:
    assert passed(told) == (0, list("123456"))


def test_without_being_armed_a_point_is_passed() -> None:
    arm(None)
    for label in POINTS:
        crash_point(label)


def test_a_point_that_is_not_there_is_no_setting() -> None:
    with pytest.raises(SettingInvalid, match="no point W4, but F1"):
        arm("W4")


def test_every_point_stands_in_the_code_once() -> None:
    text = "".join(file.read_text() for file in SOURCES.rglob("*.py"))
    assert sorted(re.findall(r'crash_point\("(\w+)"\)', text)) == sorted(POINTS)

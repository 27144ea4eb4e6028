"""What processes take is the kernel's word, by their kind."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from loadtest.processes import takings

_HOLDS = "import sys; held = bytearray(%d * 2**20); print('held', flush=True); del held; sys.stdin.read()"


@contextmanager
def process(kind: str, megabytes: int) -> Iterator[None]:
    """One that looks like a process of a stack, once held so much, and let it go."""
    argv = [kind, "-c", _HOLDS % megabytes]
    running = subprocess.Popen(argv, executable=sys.executable, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        if running.stdout is None or running.stdin is None or running.stdout.readline() != b"held\n":
            raise RuntimeError(f"{kind} did not start")
        yield
        running.stdin.close()
        running.wait(10)
        running.stdout.close()
    finally:
        running.kill()
        running.wait()


def test_a_peak_is_remembered_when_the_memory_is_given_back() -> None:
    # More than the session's own Redis ever takes, which is a process of this kind as well.
    with process("redis-server", 300):
        taking = takings()["redis"]
    assert taking.peak_mb > 300 > taking.pss_mb > 1


def test_memory_is_that_of_the_largest_of_a_kind() -> None:
    with process("postgres: one", 1), process("postgres: two", 60):
        assert takings()["postgres"].peak_mb > 60


def test_what_is_no_part_of_a_stack_is_left_out() -> None:
    before = set(takings())
    with process("somebody-else", 1):
        assert set(takings()) == before

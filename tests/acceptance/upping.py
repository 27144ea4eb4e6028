"""`lastslot up` as a process of its own, for tests that look at it from outside."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psutil

from lastslot.ports import free_port
from lastslot.running import Stack

_SOURCES = Path(__file__).parents[2] / "src"


class Up:
    """One `lastslot up`; `printed` is what it has said so far, on both streams."""

    def __init__(self, directory: Path, *flags: str, environment: dict[str, str] | None = None) -> None:
        self.data_dir = directory / "data"
        self.port = free_port()
        self._log = directory / f"up-{self.port}.log"
        argv = ("-m", "lastslot", "up", "--port", str(self.port), "--data-dir", str(self.data_dir), *flags)
        with self._log.open("wb") as log:
            self.process = psutil.Popen(
                [sys.executable, *argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": str(_SOURCES), **(environment or {})},
            )

    @property
    def printed(self) -> str:
        return self._log.read_text()

    @property
    def ready(self) -> bool:
        return "\nready http://" in self.printed

    def stack(self) -> Stack:
        return msgspec.json.decode((self.data_dir / "stack.json").read_bytes(), type=Stack)

    def children(self) -> list[psutil.Process]:
        """Every process below it, Postgres's own included."""
        found: list[psutil.Process] = self.process.children(recursive=True)
        return found

    def child(self, *words: str) -> psutil.Process:
        """The first child whose command line holds these words."""
        for child in self.process.children():
            if set(words) <= set(_command(child)):
                return child
        raise LookupError(f"no child {words}")

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        code: int = self.process.wait(60)
        return code


@contextmanager
def serving(directory: Path, *flags: str) -> Iterator[Up]:
    """A stack on `directory` that is ready; stopped afterwards, unless the test has ended it."""
    up = Up(directory, *flags)
    try:
        until(lambda: up.ready or up.process.poll() is not None)
        assert up.ready, up.printed
        yield up
    finally:
        if up.process.poll() is None:
            up.stop()


def until(holds: Callable[[], bool], within_s: float = 60.0) -> None:
    """Wait for a condition, looking often; a test whose condition never holds fails."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "it did not come to hold"
        time.sleep(0.02)


def gone(processes: list[psutil.Process]) -> bool:
    """None of them runs any more."""
    return not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes)


def _command(process: psutil.Process) -> list[str]:
    try:
        words: list[str] = process.cmdline()
    except psutil.NoSuchProcess:
        return []
    return words

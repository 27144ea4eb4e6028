"""Stacks as users start them: `lastslot up` as a process, on a directory and a port of its own.

Tests kill parts of it, so they need to know which process is which; they are told apart by what they were started as.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree

import msgspec
import psutil

from lastslot.embedded import free_port
from lastslot.running import Stack

#: A cold start on a busy machine, and an orderly stop of everything.
UP_WITHIN_S = 90
DOWN_WITHIN_S = 60


class RunningStack:
    """`lastslot up`, and what it started."""

    def __init__(self, directory: Path, process: subprocess.Popen[bytes], stack: Stack) -> None:
        self.directory = directory
        self.process = process
        self.stack = stack

    def processes(self, role: str) -> list[psutil.Process]:
        """The living processes that were started as `lastslot <role>`."""
        children = psutil.Process(self.process.pid).children()
        return [child for child in children if _role(child) == role]

    def owner(self, partition_owner: str) -> psutil.Process:
        """The worker that calls itself by this shard id, as its log tells."""
        for log in self.directory.rglob("*.log"):
            for line in log.read_text(errors="replace").splitlines():
                if partition_owner in line and "shard_started" in line and (pid := re.search(r'pid"?[=:] ?(\d+)', line)):
                    return psutil.Process(int(pid.group(1)))
        raise LookupError(f"no log tells of {partition_owner}")

    def stop(self) -> None:
        """Stop it as users do, and see that it took everything along that it had started."""
        family = psutil.Process(self.process.pid).children(recursive=True)
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(DOWN_WITHIN_S)
        _, left = psutil.wait_procs(family, timeout=5)
        for process in left:
            process.kill()
        assert (code, left) == (0, []), "a stack that was told to stop left something behind, or failed"


@contextmanager
def started_stack(*options: str) -> Iterator[RunningStack]:
    """A fresh stack of two front doors and two workers, rate limits off, stopped and wiped afterwards."""
    # Not pytest's directory: as root, Postgres runs as another account, which must be able to pass through.
    directory = Path(tempfile.mkdtemp(prefix="lastslot-acceptance-"))
    port = free_port()
    words = ("up", "--port", str(port), "--data-dir", str(directory / "data"), "--frontdoors", "2", "--workers", "2", *options)
    with (directory / "up.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "lastslot", *words],
            env={**os.environ, "LASTSLOT_RATE_LIMITS": "off", "LASTSLOT_LOG_FORMAT": "json"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
    try:
        await_line(process, b"ready http://", directory / "up.log")
        stack = msgspec.json.decode((directory / "data" / "stack.json").read_bytes(), type=Stack)
        running = RunningStack(directory, process, stack)
        yield running
        running.stop()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
        rmtree(directory, ignore_errors=True)


@contextmanager
def extra_door(stack: Stack) -> Iterator[str]:
    """One more front door on a port of its own, started by hand against the stack's servers; its base URL."""
    port = free_port()
    settings = {
        "LASTSLOT_POSTGRES_DSN": stack.postgres_dsn,
        "LASTSLOT_REDIS_URL": stack.redis_url,
        "LASTSLOT_JWT_SECRET": stack.jwt_secret,
        "LASTSLOT_PORT": str(port),
        "LASTSLOT_RATE_LIMITS": "off",
        "LASTSLOT_LOG_FORMAT": "json",
    }
    process = launch("frontdoor", settings)
    try:
        await_line(process, b"door_open", None)
        yield f"http://127.0.0.1:{port}"
        process.send_signal(signal.SIGTERM)
        assert process.wait(DOWN_WITHIN_S) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def launch(role: str, settings: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """`lastslot <role>`; its log is its output."""
    return subprocess.Popen(
        [sys.executable, "-m", "lastslot", role],
        env={**os.environ, **settings},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def await_line(process: subprocess.Popen[bytes], word: bytes, log: Path | None) -> None:
    """Read what it prints until it says `word`; fail with all that it said when it ends without."""
    heard = b""
    for line in process.stdout or ():
        heard += line
        if word in line:
            return
    told = heard if log is None else heard + log.read_bytes()
    raise AssertionError(f"it ended (code {process.wait()}) without saying {word!r}:\n{told.decode(errors='replace')[-3000:]}")


def _role(process: psutil.Process) -> str:
    try:
        return process.cmdline()[-1]
    except (psutil.Error, IndexError):
        return ""

"""Stacks as users start them: `lastslot up` as a process, on a directory and a port of its own.

Tests kill parts of it, so they need to know which process is which; they are told apart by what they were started as.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psutil

from lastslot.ports import free_port
from lastslot.running import Stack
from shared.clock import monotonic
from tests.places import directory_for_servers

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

    def server(self, name: str) -> psutil.Process:
        """The embedded server whose executable has this name: `postgres` or `redis-server`."""
        children = psutil.Process(self.process.pid).children()
        [server] = [child for child in children if child.name() == name]
        return server

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
def started_stack(*options: str, rate_limits: str = "off") -> Iterator[RunningStack]:
    """A fresh stack of two front doors and two workers, stopped and wiped afterwards.

    Without rate limits, unless they are asked for: tests let one user do what nobody may.
    """
    with directory_for_servers() as directory, _up(directory, *options, rate_limits=rate_limits) as running:
        yield running
        running.stop()


@contextmanager
def _up(directory: Path, *options: str, rate_limits: str) -> Iterator[RunningStack]:
    port = free_port()
    words = ("up", "--port", str(port), "--data-dir", str(directory / "data"), "--frontdoors", "2", "--workers", "2", *options)
    with (directory / "up.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "lastslot", *words],
            env={**os.environ, "LASTSLOT_LOG_FORMAT": "json", "LASTSLOT_RATE_LIMITS": rate_limits},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
    try:
        _await_ready(process, directory / "up.log")
        stack = msgspec.json.decode((directory / "data" / "stack.json").read_bytes(), type=Stack)
        yield RunningStack(directory, process, stack)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


@contextmanager
def extra_door(stack: Stack, **told: str) -> Iterator[str]:
    """One more front door on a port of its own, started by hand against the stack's servers; its base URL.

    `told`: settings by which it differs from the others.
    """
    port = free_port()
    settings = {
        "LASTSLOT_POSTGRES_DSN": stack.postgres_dsn,
        "LASTSLOT_REDIS_URL": stack.redis_url,
        "LASTSLOT_RATE_LIMITS": "off",
        "LASTSLOT_PORT": str(port),
        "LASTSLOT_ADMIN_PORT": str(free_port()),
        **(told or {"LASTSLOT_JWT_SECRET": stack.jwt_secret}),
    }
    with tempfile.TemporaryFile() as log:
        door = subprocess.Popen(
            [sys.executable, "-m", "lastslot", "frontdoor"],
            env={**os.environ, **settings},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            _await_listener(door, port)
            yield f"http://127.0.0.1:{port}"
            door.send_signal(signal.SIGTERM)
            assert door.wait(DOWN_WITHIN_S) == 0
        finally:
            door.kill()
            door.wait()


def _await_listener(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = monotonic() + UP_WITHIN_S
    while process.poll() is None and monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"nothing listens on {port} (exit code {process.poll()})")


def _await_ready(process: subprocess.Popen[bytes], log: Path) -> None:
    """Read what `up` prints until it is ready; fail with what it said when it ends without."""
    for line in process.stdout or ():
        if line.startswith(b"ready http://"):
            return
    raise AssertionError(f"it ended (exit code {process.wait()}) without being ready:\n{log.read_text()[-3000:]}")


def _role(process: psutil.Process) -> str:
    try:
        return process.cmdline()[-1]
    except (psutil.Error, IndexError):
        return ""

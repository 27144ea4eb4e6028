"""An embedded Postgres and Redis: real servers out of PyPI wheels, run as children on a directory of their own.

Each is a `Program` with an address and a way to ask whether it answers. `up` hands the program to its supervisor; a test starts
and stops the server by itself. Both listen on loopback only, ask for a password, and lose nothing they have acknowledged.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from lastslot.binaries import postgres_binary, redis_binary
from lastslot.cluster import UNPRIVILEGED, ensure_cluster
from lastslot.ports import free_port
from lastslot.program import Program
from lastslot.stores import postgres_fault, redis_fault
from shared import clock
from shared.errors import LastslotError

#: Postgres for a machine of two cores and some gigabytes. What makes an acknowledged claim durable is spelled out.
_POSTGRES_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "256MB",
    "max_connections": "200",
    "wal_buffers": "16MB",
    "wal_compression": "on",
    "min_wal_size": "256MB",
    "max_wal_size": "2GB",
    "checkpoint_completion_target": "0.9",
    "log_checkpoints": "off",
}

_REDIS_SETTINGS = """\
bind 127.0.0.1
port {port}
dir {directory}
pidfile {directory}/redis.pid
requirepass {password}
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
"""

_READY_WITHIN_S = 60.0
_STOP_WITHIN_S = 30.0


class ServerFailed(LastslotError):
    """An embedded server did not come up or did not go down."""


class EmbeddedServer:
    """One server on its directory: `url` leads to it, `program` is what a supervisor runs; or start and stop it here."""

    def __init__(self, *, url: str, directory: Path, pid_file: Path, program: Program, fault: Callable[[], str | None]) -> None:
        self.url = url
        self.directory = directory
        self.program = program
        self._pid_file = pid_file
        self._fault = fault
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process number of a server that was started here."""
        if self._process is None:
            raise ServerFailed(f"{self.program.name} was not started")
        return self._process.pid

    def start(self) -> None:
        """Start it (again) and wait until it answers. Raises ServerFailed, with the end of its log, when it will not."""
        if self._process is not None:
            # It has ended, but its end may have been somebody else's to see: what nobody here waited for counts as running.
            self._process.wait(_STOP_WITHIN_S)
        with self.program.log.open("ab") as log:
            process = subprocess.Popen(self.program.argv, stdout=log, stderr=log, **self.program.options())
        self._process = process
        self.wait_until_ready(alive=lambda: process.poll() is None)

    def stop(self) -> None:
        """Ask it to stop, and wait until it has; one that takes too long is killed."""
        if self._process is None:
            return
        self._process.send_signal(self.program.stop_signal)
        try:
            self._process.wait(_STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()

    def wait_until_ready(self, alive: Callable[[], bool]) -> None:
        """Block until it answers; `alive` says whether its process still runs."""
        deadline = clock.monotonic() + _READY_WITHIN_S
        while (fault := self._fault()) is not None:
            if not alive() or clock.monotonic() > deadline:
                words = self.program.last_words()
                raise ServerFailed(f"{self.program.name} did not come up ({fault}); {self.program.log} ends with:\n{words}")
            time.sleep(0.02)

    def orphan(self) -> psutil.Process | None:
        """A server of an earlier run that is still on this directory; both servers work inside theirs."""
        try:
            process = psutil.Process(int(self._pid_file.read_text().split()[0]))
            return process if Path(process.cwd()) == self.directory else None
        except (OSError, ValueError, IndexError, psutil.Error):
            return None

    def end_orphan(self) -> int | None:
        """Stop what an earlier run left here, and give its process number. Call only as holder of the directory."""
        orphan = self.orphan()
        if orphan is None:
            return None
        try:
            orphan.send_signal(self.program.stop_signal)
            orphan.wait(_STOP_WITHIN_S)
        except psutil.NoSuchProcess:
            pass
        except psutil.TimeoutExpired:
            raise ServerFailed(
                f"{self.program.name} of an earlier run (pid {orphan.pid}) does not stop; end it and try again"
            ) from None
        return orphan.pid


def postgres_server(directory: Path, password: str, log: Path, port: int | None = None) -> EmbeddedServer:
    """Postgres on `directory`, which is made into a cluster with this password when it is not one yet."""
    directory = directory.resolve()
    ensure_cluster(directory, password)
    port = port or free_port()
    url = f"postgresql://postgres:{password}@127.0.0.1:{port}/lastslot?sslmode=disable"
    given = (f"--{name}={value}" for name, value in _POSTGRES_SETTINGS.items())
    program = Program(
        name="postgres",
        argv=(str(postgres_binary("postgres")), "-D", str(directory), f"--port={port}", *given),
        log=log,
        account=UNPRIVILEGED if os.geteuid() == 0 else None,
        stop_signal=signal.SIGINT,  # "fast": it hangs up on clients and closes in order, where SIGTERM would wait for them
        insist_signal=signal.SIGQUIT,  # "immediate": as after a crash, but no process is left behind
        orphan_signal=signal.SIGINT,
    )
    return EmbeddedServer(
        url=url,
        directory=directory,
        pid_file=directory / "postmaster.pid",
        program=program,
        fault=lambda: postgres_fault(url),
    )


def redis_server(directory: Path, password: str, log: Path) -> EmbeddedServer:
    """Redis on `directory`, with every write in its append-only file and nothing ever evicted."""
    directory = directory.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    port = free_port()
    config = directory / "redis.conf"
    config.touch(mode=0o600)
    config.write_text(_REDIS_SETTINGS.format(port=port, directory=directory, password=password))
    url = f"redis://:{password}@127.0.0.1:{port}/0"
    program = Program(name="redis", argv=(str(redis_binary()), str(config)), log=log, orphan_signal=signal.SIGTERM)
    return EmbeddedServer(
        url=url, directory=directory, pid_file=directory / "redis.pid", program=program, fault=lambda: redis_fault(url)
    )

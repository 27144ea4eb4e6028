"""A stack that runs: what it tells of itself, and one of our own for a while."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import msgspec

from frontdoor.tokens import issue
from lastslot.program import Program
from shared.clock import monotonic
from shared.errors import LastslotError

_POLL_S = 0.05


class StackFailed(LastslotError):
    """The stack did not come up."""


class Stack(msgspec.Struct, frozen=True, omit_defaults=True):
    """What `stack.json` of a data directory says of the stack that serves it; the admin API is served at `admin_url` alone."""

    base_url: str
    admin_url: str
    postgres_dsn: str
    redis_url: str
    jwt_secret: str
    admin_token: str
    jwt_audience: str | None = None
    jwt_issuer: str | None = None

    def token(self, user: str, scopes: Iterable[str] = (), ttl_s: float = 86_400) -> str:
        """A token that this stack believes."""
        return issue(self.jwt_secret, user, scopes, ttl_s, audience=self.jwt_audience, issuer=self.jwt_issuer)


def address(url: str) -> tuple[str, int]:
    """Host and port of an http URL."""
    parts = urlsplit(url)
    return parts.hostname or "127.0.0.1", parts.port or 80


@asynccontextmanager
async def own_stack(*options: str) -> AsyncIterator[Stack]:
    """A fresh stack on a directory and a port of its own; stopped and wiped on the way out.

    `options` go to `lastslot up`. SIGTERM is a way out too. Raises StackFailed, with the end of what it printed, when it does
    not come up.
    """
    with TemporaryDirectory(prefix="lastslot-", ignore_cleanup_errors=True) as directory, _stopped_by_sigterm():
        data_dir = Path(directory, "data")
        program = _up(data_dir, Path(directory, "up.log"), options)
        with program.log.open("wb") as log:
            process = await asyncio.create_subprocess_exec(*program.argv, stdout=log, stderr=log, **program.options())
        try:
            await _ready(process, program)
            yield msgspec.json.decode((data_dir / "stack.json").read_bytes(), type=Stack)
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


def _up(data_dir: Path, log: Path, options: tuple[str, ...]) -> Program:
    where = ("--port", "0", "--data-dir", str(data_dir))
    return Program(
        name="lastslot up",
        argv=(sys.executable, "-m", "lastslot", "up", *where, *options),
        log=log,
        orphan_signal=signal.SIGTERM,
    )


async def _ready(process: asyncio.subprocess.Process, program: Program, within_s: float = 120.0) -> None:
    deadline = monotonic() + within_s
    while "\nready http://" not in (printed := "\n" + _text(program.log)):
        if process.returncode is not None or monotonic() > deadline:
            raise StackFailed(f"`lastslot up` did not become ready:\n{printed[-2000:]}")
        await asyncio.sleep(_POLL_S)


def _text(log: Path) -> str:
    return log.read_text(errors="replace")


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    # Its default would end us with no chance to stop the stack and wipe its directory.
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    if task is not None:
        loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGTERM)

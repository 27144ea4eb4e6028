"""A stack that runs: the one that serves a data directory, or one of our own for a while."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import msgspec

from lastslot.ports import free_port
from shared.clock import monotonic
from shared.errors import LastslotError

_POLL_S = 0.05


class StackFailed(LastslotError):
    """The stack did not come up."""


class Stack(msgspec.Struct, frozen=True):
    """What `stack.json` of a data directory says of the stack that serves it."""

    base_url: str
    admin_url: str
    postgres_dsn: str
    redis_url: str
    jwt_secret: str
    admin_token: str


def address(url: str) -> tuple[str, int]:
    """Host and port of an http URL."""
    parts = urlsplit(url)
    return parts.hostname or "127.0.0.1", parts.port or 80


async def find_stack(data_dir: Path) -> Stack | None:
    """The stack that serves this directory; None when none does, whatever its last one left lying there."""
    try:
        stack = msgspec.json.decode((data_dir / "stack.json").read_bytes(), type=Stack)
        _, writer = await asyncio.open_connection(*address(stack.base_url))
    except OSError:
        return None
    writer.close()
    return stack


@asynccontextmanager
async def own_stack(*options: str) -> AsyncIterator[Stack]:
    """A fresh stack on a directory and a port of its own, rate limits off; stopped and wiped on the way out.

    `options` go to `lastslot up`. Raises StackFailed, with the end of what it printed, when it does not come up.
    """
    with TemporaryDirectory(prefix="lastslot-", ignore_cleanup_errors=True) as directory:
        data_dir, log = Path(directory, "data"), Path(directory, "up.log")
        process = await _up(data_dir, log, options)
        try:
            await _ready(process, log)
            yield msgspec.json.decode((data_dir / "stack.json").read_bytes(), type=Stack)
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def _up(data_dir: Path, log: Path, options: tuple[str, ...]) -> asyncio.subprocess.Process:
    with log.open("wb") as printed:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "lastslot", "up", "--port", str(free_port()), "--data-dir", str(data_dir), *options),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=printed,
            stderr=printed,
            env={**os.environ, "LASTSLOT_RATE_LIMITS": "off"},
            start_new_session=True,  # Ctrl-C is for us to hear, and then to stop it in order
        )


async def _ready(process: asyncio.subprocess.Process, log: Path, within_s: float = 120.0) -> None:
    deadline = monotonic() + within_s
    while "\nready http://" not in (printed := "\n" + _text(log)):
        if process.returncode is not None or monotonic() > deadline:
            raise StackFailed(f"`lastslot up` did not become ready:\n{printed[-2000:]}")
        await asyncio.sleep(_POLL_S)


def _text(log: Path) -> str:
    return log.read_text(errors="replace")

"""A data directory: whose it is, what it keeps from one stack to the next, and what it tells about this one."""

import asyncio
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from lastslot.running import Stack, address
from shared.errors import LastslotError

T = TypeVar("T", bound=msgspec.Struct)


class DirectoryHeld(LastslotError):
    """Another `lastslot up` serves this data directory."""


class NoStack(LastslotError):
    """No stack was started on this data directory."""


class Secrets(msgspec.Struct, frozen=True):
    """Made once per directory, so that tokens and connection strings of before go on working."""

    jwt_secret: str
    postgres_password: str
    redis_password: str


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """Be the one who serves this directory. Raises DirectoryHeld, naming who does.

    The kernel drops the lock with the process that has it, however that ends; the process number in it is only for people.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "up.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise DirectoryHeld(
                f"{directory} is held by another `lastslot up` (pid {lock.read().strip() or 'not known yet'}); "
                "stop that one, or choose another --data-dir"
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def secrets_of(directory: Path) -> Secrets:
    """The directory's secrets; made when it has none yet."""
    try:
        return known_secrets(directory)
    except NoStack:
        made = Secrets(secrets.token_hex(32), secrets.token_hex(16), secrets.token_hex(16))
        _put(directory / "secrets.json", made)
        return made


def known_secrets(directory: Path) -> Secrets:
    """The directory's secrets. Raises NoStack when nothing was ever started on it."""
    return _get(directory / "secrets.json", Secrets)


def stack_of(directory: Path) -> Stack:
    """The stack that was last started on the directory. Raises NoStack when none was."""
    return _get(directory / "stack.json", Stack)


async def find_stack(directory: Path) -> Stack | None:
    """The stack that serves this directory now; None when none does, whatever its last one left lying there."""
    try:
        stack = stack_of(directory)
        _, writer = await asyncio.open_connection(*address(stack.base_url))
    except (NoStack, OSError):
        return None
    writer.close()
    return stack


def tell_stack(directory: Path, stack: Stack) -> None:
    """Let everyone who may read the directory know of the stack that serves it."""
    _put(directory / "stack.json", stack)


def _get(path: Path, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        raise NoStack(f"no stack was started on {path.parent}; start one with `lastslot up --data-dir {path.parent}`") from None
    except (OSError, ValueError, msgspec.DecodeError) as error:
        raise LastslotError(f"{path} cannot be read: {error}") from None


def _put(path: Path, value: msgspec.Struct) -> None:
    # Moved into place whole, and readable by its owner only from its first byte: there are secrets in it.
    beside = path.with_name(f"{path.name}.new")
    beside.unlink(missing_ok=True)
    with open(beside, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)

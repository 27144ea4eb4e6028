"""Snapshots of the code filter for the front doors of this machine.

Not a job of the schedule, which any machine's process may do: each machine needs a file of its own, also while Redis is away.
All codes are read as of one moment, together with the position that the code log had then; what comes later each door adds by
itself. A file that the Bloom filter library reads otherwise than we do is never put in place.
"""

import asyncio
import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import asyncpg
import msgspec
import structlog
from pybloom_live import BloomFilter

from shared import clock, filter_file
from shared.domain.code_filter import ERROR_RATE, CodeFilter, shape_for
from shared.domain.filter_growth import rebuild_from
from shared.errors import LastslotError
from shared.filter_file import Identity, Snapshot, SnapshotRefused
from shared.postgres import Pool, for_a_look
from shared.process import stopped_within
from shared.statements import statement

EVERY_S = 5.0
_WITHIN_S = 3600.0
_LOCK = "building.lock"
#: Codes handed over at a time, in bytes: some tens of milliseconds of work.
_PIECE_BYTES = 1024 * 1024
_SAMPLE = 1_000

#: A session that reads all codes once, however long that takes.
_SERVER_SETTINGS = {
    "application_name": "lastslot filter",
    "default_transaction_read_only": "on",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "60s",
    "jit": "off",
}

log = structlog.get_logger()


class FilterBroken(LastslotError):
    """The library does not find the codes in the bits that were set for them; no snapshot was written."""


class Built(msgspec.Struct, frozen=True):
    """A snapshot that was put in place."""

    codes: int
    position: int
    seconds: float


class Builder:
    """Keeps the snapshot of one machine no further behind than it may be."""

    def __init__(self, dsn: str, pool: Pool, directory: Path) -> None:
        self._dsn = dsn
        self._pool = pool
        self._directory = directory
        self._seen: Identity | None = None
        self._snapshot: Reach | None = None

    async def keep_building(self, stopping: asyncio.Event) -> None:
        """Build whenever it is due, until told to stop, through any failure."""
        while not await stopped_within(stopping, EVERY_S):
            try:
                if await self.due() and (built := await build(self._dsn, self._directory)) is not None:
                    log.info("filter_built", codes=built.codes, position=built.position, seconds=round(built.seconds, 3))
            except Exception:
                # Whatever it was, the next attempt may do better; if none does, the doors raise the alarm.
                log.exception("filter_not_built")

    async def due(self) -> bool:
        """Whether so many codes came since the snapshot that another is worth it, or it is of no use."""
        await self._look()
        if self._snapshot is None:
            return True
        async with for_a_look(self._pool) as connection:
            reach = self._snapshot
            behind: int | None = await connection.fetchval(statement("code_log_behind"), reach.position, reach.mark)
        return behind is None or behind > rebuild_from(reach.codes)

    async def _look(self) -> None:
        there = filter_file.identity(self._directory)
        if there is None:
            self._snapshot = NOTHING
        elif there != self._seen:
            self._snapshot = await self._reach()
        self._seen = there

    async def _reach(self) -> "Reach | None":
        try:
            snapshot = await asyncio.to_thread(filter_file.load, self._directory)
        except SnapshotRefused as error:
            log.error("filter_snapshot_refused", error=str(error))
            return None
        return Reach(snapshot.codes.count, snapshot.position, snapshot.mark)


class Reach(msgspec.Struct, frozen=True):
    """How many codes a snapshot has, and how far in the log it goes."""

    codes: int
    position: int
    mark: UUID | None


NOTHING = Reach(0, -1, None)


async def build(dsn: str, directory: Path) -> Built | None:
    """Build a snapshot of all codes; None when another process does so for this directory."""
    began = clock.monotonic()
    with _alone(directory) as alone:
        if not alone:
            return None
        async with asyncio.timeout(_WITHIN_S):
            snapshot = await _read(dsn)
        await asyncio.to_thread(filter_file.write, directory, snapshot)
    return Built(snapshot.codes.count, snapshot.position, clock.monotonic() - began)


async def _read(dsn: str) -> Snapshot:
    connection = await asyncpg.connect(dsn, timeout=10, server_settings=_SERVER_SETTINGS)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            ending = await connection.fetchrow(statement("code_log_whole"))
            if ending is None:
                raise FilterBroken("the code log has no end")
            pieces = Pieces(CodeFilter(shape_for(ending["codes"])))
            await connection.copy_from_query(statement("all_codes"), output=pieces.take)
        await pieces.end()
    finally:
        connection.terminate()
    _prove(pieces.codes, pieces.sample)
    return Snapshot(pieces.codes, ending["position"], ending["mark"])


class Pieces:
    """What COPY sends, a code a line, as it is put into a filter beside the loop."""

    def __init__(self, codes: CodeFilter) -> None:
        self.codes = codes
        self.sample: list[bytes] = []
        self._held: list[bytes] = []
        self._bytes = 0

    async def take(self, data: bytes) -> None:
        """Some lines more; the last may go on in the next call."""
        self._held.append(data)
        self._bytes += len(data)
        if self._bytes >= _PIECE_BYTES:
            await asyncio.to_thread(self._add)

    async def end(self) -> None:
        """There are no more."""
        await asyncio.to_thread(self._add)

    def _add(self) -> None:
        lines, _, rest = b"".join(self._held).rpartition(b"\n")
        self._held, self._bytes = [rest], len(rest)
        # Of what COPY escapes, a code may hold the backslash alone.
        codes = lines.replace(b"\\\\", b"\\").split(b"\n") if lines else []
        self.codes.add(codes)
        if len(self.sample) < _SAMPLE:
            self.sample += codes[:_SAMPLE]


def _prove(codes: CodeFilter, sample: list[bytes]) -> None:
    theirs = as_library(codes)
    if not all(code.decode() in theirs for code in sample):
        raise FilterBroken


def as_library(codes: CodeFilter) -> BloomFilter:
    """The library's own filter over the same bits."""
    theirs = BloomFilter(1)
    theirs._setup(ERROR_RATE, codes.shape.slices, codes.shape.bits_per_slice, codes.shape.capacity, codes.count)
    theirs.bitarray = codes.bits
    return theirs


@contextmanager
def _alone(directory: Path) -> Iterator[bool]:
    """Whether nobody else builds here. The kernel drops the lock with the process that has it, however that ends."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / _LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True

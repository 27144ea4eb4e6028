"""Snapshots of the code filter as files, which all processes of a machine map: its bits are in memory once.

A file is written beside, brought to the disk, and moved into place whole. It says which log of codes it is of and how far it
goes there, and is refused when it is not what was written: a single bit that is lost would make a code unknown.
"""

import mmap
import os
import zlib
from pathlib import Path
from struct import Struct
from typing import TypeAlias
from uuid import UUID

import msgspec
from bitarray import bitarray

from shared.domain.code_filter import ERROR_RATE, MOST_CAPACITY, CodeFilter, Shape
from shared.errors import LastslotError

NAME = "codes.bloom"

_MAGIC = b"LASTSLOT"
_VERSION = 1
#: Magic, version, checksum of the bits, error rate, capacity, codes, position, its mark; and a checksum of these.
_FIELDS = Struct("<8sIIdQQQ16s")
_CHECKSUM = Struct("<I")
_HEADER_BYTES = 128

#: Which file it is: another one, or one that was changed, has another.
Identity: TypeAlias = tuple[int, int, int]


class SnapshotRefused(LastslotError):
    """A snapshot is not what was written."""


class Snapshot(msgspec.Struct, frozen=True):
    """Every code up to `position` of the log in which that position has this mark."""

    codes: CodeFilter
    position: int
    mark: UUID


def identity(directory: Path) -> Identity | None:
    """Which snapshot there is; None when there is none."""
    try:
        found = (directory / NAME).stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def write(directory: Path, snapshot: Snapshot) -> None:
    """Put a snapshot in the place of the one before. Only one process may do so at a time."""
    beside = directory / f"{NAME}.new"
    with beside.open("wb") as file:
        file.write(_header(snapshot))
        file.write(memoryview(snapshot.codes.bits))
        file.flush()
        os.fsync(file.fileno())
    beside.replace(directory / NAME)
    _sync(directory)


def load(directory: Path) -> Snapshot:
    """The snapshot, mapped. Raises SnapshotRefused, saying why, and OSError when it cannot be read."""
    with (directory / NAME).open("rb") as file:
        # A file that is shorter than its header cannot be mapped as long as that.
        size = os.fstat(file.fileno()).st_size
        if size < _HEADER_BYTES:
            raise SnapshotRefused("it is truncated")
        mapped = memoryview(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ))
    magic, version, checksum, error_rate, capacity, count, position, mark = _FIELDS.unpack_from(mapped)
    if magic != _MAGIC:
        raise SnapshotRefused("it is no snapshot of codes")
    if _CHECKSUM.unpack_from(mapped, _FIELDS.size)[0] != zlib.crc32(mapped[: _FIELDS.size]):
        raise SnapshotRefused("its header is damaged")
    if (version, error_rate) != (_VERSION, ERROR_RATE) or capacity > MOST_CAPACITY:
        raise SnapshotRefused("another version wrote it")
    shape, bits = Shape(capacity), mapped[_HEADER_BYTES:]
    if len(bits) != shape.size_bytes:
        raise SnapshotRefused("it is truncated")
    if zlib.crc32(bits) != checksum:
        raise SnapshotRefused("its bits are damaged")
    return Snapshot(CodeFilter(shape, bitarray(buffer=bits, endian="little"), count), position, UUID(bytes=mark))


def _header(snapshot: Snapshot) -> bytes:
    codes = snapshot.codes
    checksum = zlib.crc32(memoryview(codes.bits))
    fields = _FIELDS.pack(
        _MAGIC, _VERSION, checksum, ERROR_RATE, codes.shape.capacity, codes.count, snapshot.position, snapshot.mark.bytes
    )
    return (fields + _CHECKSUM.pack(zlib.crc32(fields))).ljust(_HEADER_BYTES, b"\0")


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""A Bloom filter of codes: what it lacks was never issued, what it holds nearly always was.

The bits are those that pybloom-live's BloomFilter sets (a test holds the two together), so whatever reads its filters reads
ours. For the sizes we use, a key's ten bits come out of one SHA-384, whatever the filter's size: so one digest asks any number
of filters, and codes are added thousands at a time, with numpy doing the arithmetic.
"""

import math
from collections.abc import Callable, Sequence
from hashlib import sha384
from struct import Struct, pack
from typing import TypeAlias

import msgspec
import numpy as np
from bitarray import bitarray
from bitarray.util import zeros
from numpy.typing import NDArray

from shared.domain.code import Code

ERROR_RATE = 0.001
#: Below this the library takes another hash; above the most, too.
LEAST_CAPACITY = 25_000
MOST_CAPACITY = 1_400_000_000

_SALT = sha384(sha384(pack("I", 0)).digest())
_WORDS_PER_DIGEST = 12
_SLICES = math.ceil(math.log(1 / ERROR_RATE, 2))
_unpack: Callable[[bytes], tuple[int, ...]] = Struct(f"={_SLICES}I{(_WORDS_PER_DIGEST - _SLICES) * 4}x").unpack

#: What decides a code's bit in each slice of a filter, before the filter's size is known.
Words: TypeAlias = tuple[int, ...]


class Shape(msgspec.Struct, frozen=True):
    """How large a filter is that holds up to `capacity` codes with at most ERROR_RATE of the others taken for them."""

    capacity: int

    @property
    def slices(self) -> int:
        """A code has one bit in each."""
        return _SLICES

    @property
    def bits_per_slice(self) -> int:
        """The library's formula: n ≈ M · ln(2)² / |ln(P)|, in as many slices."""
        return math.ceil(self.capacity * abs(math.log(ERROR_RATE)) / (_SLICES * math.log(2) ** 2))

    @property
    def size_bytes(self) -> int:
        """Of all slices together."""
        return (_SLICES * self.bits_per_slice + 7) // 8


def shape_for(codes: int) -> Shape:
    """A shape that holds so many codes."""
    return Shape(min(max(codes, LEAST_CAPACITY), MOST_CAPACITY))


def words_of(code: Code) -> Words:
    """The words of a code: worth keeping, where several filters are asked for it."""
    digest = _SALT.copy()
    digest.update(code.encode())
    return _unpack(digest.digest())


class CodeFilter:
    """Codes by their bits. `bits` may be memory that is shared, and read-only where nothing is added."""

    __slots__ = ("_bits_per_slice", "bits", "count", "shape")

    def __init__(self, shape: Shape, bits: bitarray | None = None, count: int = 0) -> None:
        self.shape = shape
        self.bits = zeros(shape.size_bytes * 8, "little") if bits is None else bits
        self.count = count
        self._bits_per_slice = shape.bits_per_slice

    def holds(self, words: Words) -> bool:
        """Whether the code may have been added; False is certain."""
        bits, bits_per_slice, start = self.bits, self._bits_per_slice, 0
        for word in words:
            if not bits[start + word % bits_per_slice]:
                return False
            start += bits_per_slice
        return True

    def add(self, codes: Sequence[bytes]) -> None:
        """Add codes in UTF-8; a few thousand at a time are cheapest. Raises TypeError where the bits may only be read."""
        if not codes:
            return
        at = _positions(codes, self._bits_per_slice)
        memory = np.frombuffer(memoryview(self.bits), dtype=np.uint8)
        if not memory.flags.writeable:
            # What follows would not look, and write to what is mapped: that ends the process.
            raise TypeError("bits that may only be read")
        np.bitwise_or.at(memory, at >> 3, np.left_shift(np.uint8(1), (at & 7).astype(np.uint8)))
        self.count += len(codes)


def _positions(codes: Sequence[bytes], bits_per_slice: int) -> "NDArray[np.unsignedinteger]":
    """Where the bits of these codes are, slice for slice."""
    copied, digests = _SALT.copy, []
    for code in codes:
        digest = copied()
        digest.update(code)
        digests.append(digest.digest())
    words = np.frombuffer(b"".join(digests), dtype=np.uint32).reshape(-1, _WORDS_PER_DIGEST)[:, :_SLICES]
    # Half the width is a third faster, and wide enough for 298 million codes.
    starts = np.arange(_SLICES, dtype=np.uint64) * np.uint64(bits_per_slice)
    narrow = _SLICES * bits_per_slice < 2**32
    return np.ravel(words % np.uint32(bits_per_slice) + (starts.astype(np.uint32) if narrow else starts))

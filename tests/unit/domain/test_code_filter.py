"""Our filters' bits are pybloom-live's, and what they lack was never added."""

import pytest
from bitarray import bitarray
from hypothesis import given
from hypothesis import strategies as st
from pybloom_live import BloomFilter

from shared.domain.code import Code, normal_form
from shared.domain.code_filter import ERROR_RATE, LEAST_CAPACITY, MOST_CAPACITY, CodeFilter, Shape, shape_for, words_of

typed = st.text(max_size=64).map(normal_form).filter(bool)


def library(capacity: int) -> BloomFilter:
    return BloomFilter(capacity, ERROR_RATE)


@given(st.lists(typed, max_size=50), st.integers(LEAST_CAPACITY, 60_000))
def test_codes_set_the_bits_that_the_library_sets(codes: list[Code], capacity: int) -> None:
    ours, theirs = CodeFilter(Shape(capacity)), library(capacity)
    ours.add([code.encode() for code in codes])
    for code in codes:
        theirs.add(code)
    assert ours.bits[: theirs.num_bits] == theirs.bitarray
    assert not ours.bits[theirs.num_bits :].any()


@pytest.mark.parametrize("capacity", [LEAST_CAPACITY, 1_000_003, 20_000_000, 200_000_000, MOST_CAPACITY])
def test_shapes_and_bits_are_the_librarys_at_every_size(capacity: int) -> None:
    shape, theirs = Shape(capacity), BloomFilter.__new__(BloomFilter)
    theirs._setup(ERROR_RATE, shape.slices, shape.bits_per_slice, capacity, 0)
    assert list(theirs.make_hashes("BLACKFRI100")) == [word % shape.bits_per_slice for word in words_of(Code("BLACKFRI100"))]
    if capacity <= 20_000_000:
        whole = library(capacity)
        assert (whole.num_slices, whole.bits_per_slice) == (shape.slices, shape.bits_per_slice)
        assert len(whole.bitarray.tobytes()) == shape.size_bytes


@given(st.sets(typed, max_size=300), st.sets(typed, max_size=300))
def test_what_was_added_is_held_and_nearly_nothing_else(added: set[Code], others: set[Code]) -> None:
    filter_ = CodeFilter(shape_for(len(added)))
    filter_.add([code.encode() for code in added])
    assert all(filter_.holds(words_of(code)) for code in added)
    assert sum(filter_.holds(words_of(code)) for code in others - added) <= 1


def test_a_full_filter_takes_one_stranger_in_a_thousand_for_a_code() -> None:
    filter_ = CodeFilter(Shape(LEAST_CAPACITY))
    filter_.add([b"CODE-%d" % number for number in range(LEAST_CAPACITY)])
    strangers = sum(filter_.holds(words_of(Code(f"STRANGER-{number}"))) for number in range(50_000))
    assert 20 < strangers < 90


def test_a_filter_over_memory_that_is_only_read_says_the_same() -> None:
    filter_ = CodeFilter(shape_for(1))
    filter_.add([b"SAVE10"])
    mapped = CodeFilter(filter_.shape, bitarray(buffer=filter_.bits.tobytes(), endian="little"), filter_.count)
    assert mapped.holds(words_of(Code("SAVE10")))
    assert not mapped.holds(words_of(Code("SAVE11")))


@pytest.mark.parametrize(("codes", "capacity"), [(0, LEAST_CAPACITY), (70_000, 70_000), (10**10, MOST_CAPACITY)])
def test_shapes_stay_within_what_one_digest_is_enough_for(codes: int, capacity: int) -> None:
    assert shape_for(codes).capacity == capacity
    assert 2**15 <= shape_for(codes).bits_per_slice < 2**31

"""A chain of rows in which nothing can be changed, taken out, put in or swapped unseen."""

from hashlib import sha256
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.ledger import GENESIS, Event, Kind, Row, extend, link

events = st.lists(
    st.builds(Event, st.sampled_from(Kind), st.none() | st.uuids(), st.text(st.characters(codec="utf-8"), max_size=20)),
    max_size=8,
)
SUBJECT = UUID("00000000-0000-0000-0000-00000000002a")


def intact(rows: list[Row]) -> bool:
    head = GENESIS
    for expected, row in enumerate(rows, start=1):
        if (row.seq, row.prev_hash) != (expected, head):
            return False
        head = link(row.prev_hash, row.seq, row.kind, row.redemption_id, row.payload)
        if row.hash != head:
            return False
    return True


@given(events)
def test_an_extended_chain_is_gapless_and_links(story: list[Event]) -> None:
    rows = extend(0, GENESIS, story)
    assert intact(rows)
    assert [Event(row.kind, row.redemption_id, row.payload) for row in rows] == story


@given(events, st.integers(0, 8))
def test_a_chain_written_in_two_batches_is_the_chain_written_in_one(story: list[Event], cut: int) -> None:
    first = extend(0, GENESIS, story[:cut])
    head = first[-1].hash if first else GENESIS
    assert first + extend(len(first), head, story[cut:]) == extend(0, GENESIS, story)


def test_nothing_to_write_is_no_rows() -> None:
    assert extend(7, b"x" * 32, []) == []


def test_a_hash_covers_all_that_a_row_says() -> None:
    said = (GENESIS, 1, Kind.CLAIMED, SUBJECT, "{}")
    others = [
        (b"\1" * 32, 1, Kind.CLAIMED, SUBJECT, "{}"),
        (GENESIS, 2, Kind.CLAIMED, SUBJECT, "{}"),
        (GENESIS, 1, Kind.REDEEMED, SUBJECT, "{}"),
        (GENESIS, 1, Kind.CLAIMED, None, "{}"),
        (GENESIS, 1, Kind.CLAIMED, SUBJECT, "{} "),
    ]
    hashes = {link(*said), *(link(*other) for other in others)}
    assert len(hashes) == 6


def test_the_hash_is_the_documented_one() -> None:
    assert (
        link(GENESIS, 1, "claimed", SUBJECT, "{}") == sha256(GENESIS + b"1|claimed|" + SUBJECT.hex.encode() + b"|{}").digest()
    )
    assert link(GENESIS, 1, "claimed", None, "{}") == sha256(GENESIS + b"1|claimed|-|{}").digest()


@pytest.mark.parametrize("tampering", ["drop", "swap", "repeat"])
def test_a_row_dropped_swapped_or_repeated_breaks_the_chain(tampering: str) -> None:
    rows = extend(0, GENESIS, [Event(Kind.CLAIMED, UUID(int=n), "{}") for n in range(4)])
    match tampering:
        case "drop":
            del rows[1]
        case "swap":
            rows[1], rows[2] = rows[2], rows[1]
        case "repeat":
            rows.insert(1, rows[1])
    assert not intact(rows)

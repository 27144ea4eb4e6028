"""A list is read as it arrives, in whatever pieces, and the first line that cannot be read is named."""

from datetime import date
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.ids import UserId
from shared.domain.segment import MAX_LINE_BYTES, BadLine, ListReader, Member, is_name


def read(*arrived: bytes) -> list[Member]:
    reader = ListReader()
    return [member for piece in arrived for member in reader.feed(piece)] + list(reader.close())


def users(*arrived: bytes) -> list[str]:
    return [member.user_id for member in read(*arrived)]


def test_a_list_names_users_and_since_when_they_belong() -> None:
    assert read(b"user_id,since\nann,2026-10-01\nbob,\n") == [
        Member(2, UserId("ann"), date(2026, 10, 1)),
        Member(3, UserId("bob"), None),
    ]


@pytest.mark.parametrize(
    "text",
    [
        b"user_id\nann\nbob\n",
        b"user_id\nann\nbob",
        b"user_id\r\nann\r\nbob\r\n",
        b"\xef\xbb\xbfuser_id\nann\nbob\n",
        b"user_id\n\nann\n\n\nbob\n\n",
        b'"user_id"\n"ann"\n"bob"\n',
    ],
)
def test_what_spreadsheets_make_of_a_list_is_read_alike(text: bytes) -> None:
    assert users(text) == ["ann", "bob"]


def test_an_empty_segment_is_a_header_alone() -> None:
    assert read(b"user_id") == read(b"user_id,since\r\n") == []


def test_names_may_hold_what_csv_quotes() -> None:
    assert users('user_id\n"a,b"\n"say ""hi"""\nÄnn 🎈\n a b \n'.encode()) == ["a,b", 'say "hi"', "Änn 🎈", " a b "]


TEXT = 'user_id,since\nann,2026-10-01\n"b,ö",\r\n🎈,2026-01-01\n\nlast,'.encode()


@given(st.lists(st.integers(0, len(TEXT)), max_size=12).map(sorted))
def test_it_does_not_matter_where_a_list_is_cut_on_its_way(cuts: list[int]) -> None:
    edges = [0, *cuts, len(TEXT)]
    pieces = [TEXT[start:end] for start, end in pairwise(edges)]
    assert read(*pieces) == read(TEXT)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        (b"", 1, "header"),
        (b"\nann\n", 1, "header"),
        (b"ann\nbob\n", 1, "header"),
        (b"user_id,since,extra\n", 1, "header"),
        (b"since,user_id\n", 1, "header"),
        (b"user_id\nann\nbob,2026-10-01\n", 3, "2 fields"),
        (b"user_id,since\nann\n", 2, "1 fields"),
        (b"user_id,since\nann,\nbob,1.10.2026\n", 3, "1.10.2026"),
        (b"user_id,since\nann,20261001\n", 2, "since"),
        (b"user_id,since\nann,2026-W40-1\n", 2, "since"),
        (b"user_id,since\nann,2026-02-30\n", 2, "since"),
        (b"user_id,since\n,2026-02-03\n", 2, "user_id"),
        (b'user_id\n""\n', 2, "user_id"),
        (b"user_id\n" + b"x" * 257 + b"\n", 2, "user_id"),
        (b"user_id\nann\nb\0b\n", 3, "NUL"),
        (b"user_id\nann\n\xff\n", 3, "UTF-8"),
        (b'user_id\n"ann\nbob\n', 2, "CSV"),
        (b'user_id\n"ann"x\nbob\n', 2, "CSV"),
        (b"user_id\nann\rbob\n", 2, "CSV"),
        (b"user_id\nann\n" + b"x" * (MAX_LINE_BYTES + 1), 3, "longer"),
        (b"x" * (MAX_LINE_BYTES + 1), 1, "longer"),
    ],
)
def test_the_first_line_that_cannot_be_read_is_named(text: bytes, line: int, says: str) -> None:
    with pytest.raises(BadLine, match=says) as raised:
        read(text)
    assert raised.value.line == line


@pytest.mark.parametrize(
    ("name", "good"),
    [("vip", True), ("a-b_C9", True), ("", False), ("a.b", False), ("ü", False), ("x" * 65, False), ("a\n", False)],
)
def test_a_name_can_be_written_in_a_rule_and_in_a_path(name: str, good: bool) -> None:
    assert bool(is_name(name)) is good

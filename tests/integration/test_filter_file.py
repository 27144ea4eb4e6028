"""A snapshot is read as it was written, or refused with the reason."""

from pathlib import Path
from uuid import uuid4

import pytest

from shared import filter_file
from shared.domain.code import Code
from shared.domain.code_filter import CodeFilter, shape_for, words_of
from shared.filter_file import NAME, Snapshot, SnapshotRefused

MARK = uuid4()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    codes = CodeFilter(shape_for(2))
    codes.add([b"SAVE10", "SOLDES-ÉTÉ".encode()])
    filter_file.write(tmp_path, Snapshot(codes, 7, MARK))
    return tmp_path


def test_it_is_read_as_it_was_written(directory: Path) -> None:
    found = filter_file.load(directory)
    assert (found.position, found.mark, found.codes.count) == (7, MARK, 2)
    assert found.codes.holds(words_of(Code("SAVE10")))
    assert found.codes.holds(words_of(Code("SOLDES-ÉTÉ")))
    assert not found.codes.holds(words_of(Code("SAVE11")))
    assert [each.name for each in directory.iterdir()] == [NAME]


def test_it_is_mapped_and_cannot_be_written_to(directory: Path) -> None:
    with pytest.raises((TypeError, ValueError)):
        filter_file.load(directory).codes.add([b"SAVE11"])


def test_who_has_mapped_one_keeps_it_when_another_takes_its_place(directory: Path) -> None:
    before, was = filter_file.load(directory), filter_file.identity(directory)
    filter_file.write(directory, Snapshot(CodeFilter(shape_for(1)), 8, MARK))
    assert before.codes.holds(words_of(Code("SAVE10")))
    assert not filter_file.load(directory).codes.holds(words_of(Code("SAVE10")))
    assert filter_file.identity(directory) != was


def test_none_has_no_identity(tmp_path: Path) -> None:
    assert filter_file.identity(tmp_path) is None


@pytest.mark.parametrize(
    ("place", "why"),
    [(0, "no snapshot"), (8, "header"), (12, "header"), (40, "header"), (64, "header"), (128, "bits"), (-1, "bits")],
)
def test_a_byte_that_was_changed_is_noticed(directory: Path, place: int, why: str) -> None:
    raw = bytearray((directory / NAME).read_bytes())
    raw[place] ^= 1
    (directory / NAME).write_bytes(raw)
    with pytest.raises(SnapshotRefused, match=why):
        filter_file.load(directory)


@pytest.mark.parametrize("kept", [0, 5, 100, 128, 5_000, -1])
def test_one_that_was_cut_short_is_noticed(directory: Path, kept: int) -> None:
    (directory / NAME).write_bytes((directory / NAME).read_bytes()[:kept])
    with pytest.raises(SnapshotRefused, match="truncated"):
        filter_file.load(directory)


def test_a_foreign_file_is_no_snapshot(directory: Path) -> None:
    (directory / NAME).write_bytes(b"%PDF-1.7" * 100)
    with pytest.raises(SnapshotRefused, match="no snapshot"):
        filter_file.load(directory)


def test_another_version_is_refused(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filter_file, "_VERSION", 2)
    with pytest.raises(SnapshotRefused, match="another version"):
        filter_file.load(directory)

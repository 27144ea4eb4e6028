"""A segment as a list: CSV with a header, `user_id` and perhaps `since`, read as it arrives.

A row is a line. Whatever of a line has not arrived yet waits; nothing else is kept, so a list of any length is read in little
memory, and the first line that cannot be read is named.
"""

import csv
import re
from collections.abc import Iterator
from datetime import date

import msgspec

from shared.domain.ids import UserId

MAX_LINE_BYTES = 4_096
MAX_USER_LENGTH = 256
_HEADERS = (["user_id"], ["user_id", "since"])
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

is_name = re.compile(r"[A-Za-z0-9_-]{1,64}").fullmatch
"""Whether a text can name a segment: it is read as `segments.<name>` in a rule (see `audience`), so it holds no dot."""


class Member(msgspec.Struct, frozen=True, gc=False):
    """A line of the list. `since`: from when on the user belongs, where the list says so."""

    line: int
    user_id: UserId
    since: date | None


class BadLine(Exception):
    """A line of the list cannot be read; `what` says why."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(f"line {line} {what}")
        self.line = line
        self.what = what


class ListReader:
    """Reads one list: `feed` it what arrives, and `close` it at the end. Both give members and raise BadLine."""

    def __init__(self) -> None:
        self._rest = b""
        self._lines = 0
        self._columns = 0

    def feed(self, arrived: bytes) -> Iterator[Member]:
        """The members whose lines are complete now."""
        whole, newline, self._rest = (self._rest + arrived).rpartition(b"\n")
        if newline:
            yield from self._members(whole.split(b"\n"))
        if len(self._rest) > MAX_LINE_BYTES:
            raise BadLine(self._lines + 1, f"is longer than {MAX_LINE_BYTES} bytes")

    def close(self) -> Iterator[Member]:
        """The member of a last line that does not end."""
        if self._rest:
            yield from self._members([self._rest])
        if not self._lines:
            raise BadLine(1, "is missing: the list must begin with the header user_id or user_id,since")

    def _members(self, lines: list[bytes]) -> Iterator[Member]:
        for line in lines:
            self._lines += 1
            fields = self._fields(line)
            if self._lines == 1:
                self._read_header(fields)
            elif fields:
                yield self._member(fields)

    def _fields(self, line: bytes) -> list[str]:
        if self._lines == 1:
            line = line.removeprefix(_BYTE_ORDER_MARK)
        try:
            # One line at a time: a quotation mark that is never closed must not swallow the lines that follow.
            return next(csv.reader([line.decode().removesuffix("\r")], strict=True), [])
        except UnicodeDecodeError:
            raise BadLine(self._lines, "is not UTF-8") from None
        except csv.Error as error:
            raise BadLine(self._lines, f"is not CSV: {error}") from None

    def _read_header(self, fields: list[str]) -> None:
        if fields not in _HEADERS:
            raise BadLine(1, "must be the header user_id or user_id,since")
        self._columns = len(fields)

    def _member(self, fields: list[str]) -> Member:
        if len(fields) != self._columns:
            raise BadLine(self._lines, f"has {len(fields)} fields, the header {self._columns}")
        user_id = fields[0]
        if not 0 < len(user_id) <= MAX_USER_LENGTH or "\0" in user_id:
            raise BadLine(self._lines, f"must have a user_id of 1 to {MAX_USER_LENGTH} characters without NUL")
        return Member(self._lines, UserId(user_id), self._since(fields[1]) if self._columns == 2 and fields[1] else None)

    def _since(self, text: str) -> date:
        try:
            # Not every date of ISO 8601, week numbers among them, is one that a rule can compare as text.
            return date.fromisoformat(text if _DATE.fullmatch(text) else "")
        except ValueError:
            raise BadLine(self._lines, f"must have a date such as 2026-10-01 as since, not {text[:40]!a}") from None

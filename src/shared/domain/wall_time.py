"""A moment as marketing writes it: "2026-11-27 09:00" on the wall of some city, or with an offset of its own.

A local time can mean no moment, or two: when clocks go forward an hour of the wall is missing, when they go back one comes
twice. Guessing would open a sale an hour early or late, so both readings are shown and the author chooses by writing an
offset. (PEP 495: `fold` names the two readings.)
"""

import re
from datetime import UTC, date, datetime, time, timedelta, timezone
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo

import msgspec

_WRITTEN = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(?P<offset>Z|[+-][0-9]{2}:[0-9]{2})?"
)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
#: Far enough from both ends of the calendar that no offset can carry a moment out of it.
_YEARS = range(1970, 9999)


class UnknownZone(msgspec.Struct, frozen=True):
    """There is no such IANA time zone."""

    zone: str


class NotATime(msgspec.Struct, frozen=True):
    """The text is no date and time that is read here."""

    text: str


class NotADay(msgspec.Struct, frozen=True):
    """The text is no date that is read here."""

    text: str


class AmbiguousTime(msgspec.Struct, frozen=True):
    """The wall shows this time twice; `first` and `second` are the two moments, with their offsets."""

    text: str
    zone: str
    first: datetime
    second: datetime


class MissingTime(msgspec.Struct, frozen=True):
    """The wall never shows this time; `before` and `after` read it with the offsets in force before and after the jump."""

    text: str
    zone: str
    before: datetime
    after: datetime


WallTimeFault = UnknownZone | NotATime | NotADay | AmbiguousTime | MissingTime


def read_moment(text: str, zone: str) -> datetime | WallTimeFault:
    """The moment, in UTC, that `text` names on the walls of `zone`, or by the offset it carries ("Z", "+09:00")."""
    known = read_zone(zone)
    if isinstance(known, UnknownZone):
        return known
    written = _WRITTEN.fullmatch(text)
    if written is None:
        return NotATime(text)
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        return NotATime(text)
    if read.year not in _YEARS:
        return NotATime(text)
    return read.astimezone(UTC) if written["offset"] else _on_the_wall(text, read, known)


def read_end_of_day(text: str, zone: str) -> datetime | WallTimeFault:
    """The moment, in UTC, at which the day `text` ("2026-11-30") is over in `zone`."""
    known = read_zone(zone)
    if isinstance(known, UnknownZone):
        return known
    try:
        day = date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:
        day = None
    if day is None or day.year not in _YEARS:
        return NotADay(text)
    return first_moment(day + timedelta(days=1), known)


def first_moment(day: date, zone: ZoneInfo) -> datetime:
    """The first moment, in UTC, at which the wall of `zone` shows `day`, or a later day where clocks jump over all of it."""
    midnight = datetime.combine(day, time(), zone)
    first, second = (midnight.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
    if first <= second:
        return first
    # Midnight is skipped: the jump lies between the two readings.
    before, after = int(second.timestamp()), int(first.timestamp())
    while after - before > 1:
        middle = (before + after) // 2
        if datetime.fromtimestamp(middle, zone).date() < day:
            before = middle
        else:
            after = middle
    return datetime.fromtimestamp(after, UTC)


def read_zone(name: str) -> ZoneInfo | UnknownZone:
    """The time zone of that IANA name, spelt exactly. The list is tzdata's: the same on every machine, and no path is tried."""
    return ZoneInfo(name) if name in _zone_names() else UnknownZone(name)


def sentence(fault: WallTimeFault) -> str:
    """The fault in words that continue "starts_at …", with both readings where there are two."""
    match fault:
        case UnknownZone(zone):
            return f"cannot be read: {_quoted(zone)} is not an IANA time zone"
        case NotATime(text):
            return f"must look like 2026-11-27T09:00 or 2026-11-27T09:00+09:00 (years 1970–9998), not {_quoted(text)}"
        case NotADay(text):
            return f"must look like 2026-11-30 (years 1970–9998), not {_quoted(text)}"
        case AmbiguousTime(text, zone, first, second):
            return f"is ambiguous: {text} comes twice in {zone}; write {first.isoformat()} or {second.isoformat()}"
        case MissingTime(text, zone, before, after):
            return f"does not exist: {text} is skipped in {zone}; write {before.isoformat()} or {after.isoformat()}"


@cache
def _zone_names() -> frozenset[str]:
    return frozenset(files("tzdata").joinpath("zones").read_text().split()) - {"Factory"}


def _on_the_wall(text: str, local: datetime, zone: ZoneInfo) -> datetime | WallTimeFault:
    first, second = (_with_offset(local.replace(tzinfo=zone, fold=fold)) for fold in (0, 1))
    if first == second:
        return first.astimezone(UTC)
    # The offset shrinks when the wall repeats itself, and grows when it jumps.
    if first < second:
        return AmbiguousTime(text, zone.key, first, second)
    return MissingTime(text, zone.key, first, second)


def _with_offset(moment: datetime) -> datetime:
    """The same moment under a fixed offset: with a zone, Python holds two readings of one wall time to be equal."""
    return moment.replace(tzinfo=timezone(moment.utcoffset() or timedelta()), fold=0)


def _quoted(text: str) -> str:
    return ascii(text if len(text) <= 60 else f"{text[:60]}…")

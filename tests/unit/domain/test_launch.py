"""A launch is announced by the walls of the campaign's zone, for a time that lies ahead and has an end."""

from datetime import UTC, datetime

import pytest

from shared.domain.draft import Fault
from shared.domain.launch import LaunchDraft, announced
from shared.domain.velocity import Launch

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def test_times_are_read_on_the_wall_of_the_zone_or_by_their_offset() -> None:
    launch = announced(LaunchDraft("2026-11-27T09:00", "2026-11-27T10:00Z"), "Europe/Amsterdam", NOW)
    assert launch == Launch(datetime(2026, 11, 27, 8, tzinfo=UTC), datetime(2026, 11, 27, 10, tzinfo=UTC))


def test_a_launch_may_have_begun() -> None:
    assert isinstance(announced(LaunchDraft("2026-11-19T12:00", "2026-11-20T00:01"), "UTC", NOW), Launch)


@pytest.mark.parametrize(
    ("starts_at", "ends_at", "fields"),
    [
        ("soon", "later", ["starts_at", "ends_at"]),
        ("2026-11-27T09:00", "2026-11-27T09:00", ["ends_at"]),
        ("2026-11-27T09:00", "2026-11-28T09:01", ["ends_at"]),
        ("2026-11-19T00:00", "2026-11-20T00:00", ["ends_at"]),
        ("2026-03-29T02:30", "2026-03-29T04:00", ["starts_at"]),
    ],
    ids=["no times", "empty", "longer than a day", "over", "never on the wall"],
)
def test_what_cannot_be_a_launch_is_refused(starts_at: str, ends_at: str, fields: list[str]) -> None:
    faults = announced(LaunchDraft(starts_at, ends_at), "Europe/Amsterdam", NOW)
    if starts_at == "2026-11-19T00:00":
        faults = announced(LaunchDraft(starts_at, ends_at), "UTC", NOW)
    assert isinstance(faults, list)
    assert [(type(fault), fault.field) for fault in faults] == [(Fault, field) for field in fields]

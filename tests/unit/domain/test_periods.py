"""Periods follow the clocks of the campaign's city, also when those are changed."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.periods import Period, start_of
from shared.domain.wall_time import first_moment

DAY, WEEK, MONTH = Period.DAY, Period.WEEK, Period.MONTH
ZONES = ["UTC", "Asia/Tokyo", "America/New_York", "America/Havana", "America/Sao_Paulo", "America/St_Johns", "Pacific/Apia"]

#: With the hours that clocks may add.
LONGEST = {DAY: timedelta(hours=26), WEEK: timedelta(days=7, hours=2), MONTH: timedelta(days=31, hours=2)}


@pytest.mark.parametrize(
    ("period", "now", "zone", "start"),
    [
        (DAY, "2026-11-27T14:59:59Z", "Asia/Tokyo", "2026-11-26T15:00:00Z"),
        (DAY, "2026-11-27T15:00:00Z", "Asia/Tokyo", "2026-11-27T15:00:00Z"),
        # Monday is the first day; Sunday 23:59 belongs to the week before.
        (WEEK, "2026-11-29T23:59:00Z", "UTC", "2026-11-23T00:00:00Z"),
        (WEEK, "2026-11-30T00:00:00Z", "UTC", "2026-11-30T00:00:00Z"),
        (WEEK, "2027-01-01T12:00:00Z", "UTC", "2026-12-28T00:00:00Z"),
        (MONTH, "2026-11-30T23:30:00Z", "Europe/Berlin", "2026-11-30T23:00:00Z"),
        (MONTH, "2026-11-30T22:30:00Z", "Europe/Berlin", "2026-10-31T23:00:00Z"),
        # A day of 23 hours and one of 25: both start at their own midnight.
        (DAY, "2026-03-29T21:59:00Z", "Europe/Berlin", "2026-03-28T23:00:00Z"),
        (DAY, "2026-10-25T22:59:00Z", "Europe/Berlin", "2026-10-24T22:00:00Z"),
        (MONTH, "2026-10-31T22:59:00Z", "Europe/Berlin", "2026-09-30T22:00:00Z"),
        # Havana goes back from 1:00 to 0:00: the day starts at the first of two midnights.
        (DAY, "2026-11-01T05:30:00Z", "America/Havana", "2026-11-01T04:00:00Z"),
        # Havana goes forward at 0:00: the day starts at 1:00.
        (DAY, "2026-03-08T12:00:00Z", "America/Havana", "2026-03-08T05:00:00Z"),
        # St John's went back at 0:01: 23:01 to 0:00 came again, of the day before.
        (DAY, "2010-11-07T03:00:00Z", "America/St_Johns", "2010-11-06T02:30:00Z"),
        (DAY, "2010-11-07T04:00:00Z", "America/St_Johns", "2010-11-07T02:30:00Z"),
    ],
)
def test_a_period_begins_on_the_wall(period: Period, now: str, zone: str, start: str) -> None:
    assert start_of(period, datetime.fromisoformat(now), zone) == datetime.fromisoformat(start)


def test_a_day_that_was_skipped_begins_with_the_one_after_it() -> None:
    # Samoa had no 30 December 2011.
    assert first_moment(date(2011, 12, 30), ZoneInfo("Pacific/Apia")) == datetime(2011, 12, 30, 10, tzinfo=UTC)


moments = st.datetimes(datetime(1975, 1, 1), datetime(2037, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC))  # noqa: DTZ001


@given(moments, st.sampled_from(ZONES), st.sampled_from(list(Period)))
def test_a_period_has_begun_and_is_not_longer_than_it_may_be(now: datetime, zone: str, period: Period) -> None:
    start = start_of(period, now, zone)
    assert start <= now
    assert (
        now - start <= {DAY: timedelta(hours=49), WEEK: timedelta(days=8, hours=1), MONTH: timedelta(days=32, hours=1)}[period]
    )
    assert start_of(period, start, zone) == start or zone == "America/St_Johns"

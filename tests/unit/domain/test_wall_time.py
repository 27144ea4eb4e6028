from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.wall_time import AmbiguousTime, MissingTime, NotATime, UnknownZone, read_moment, sentence


@pytest.mark.parametrize(
    ("text", "zone", "moment"),
    [
        ("2026-11-27T00:00", "Asia/Tokyo", datetime(2026, 11, 26, 15, tzinfo=UTC)),
        ("2026-11-27 09:00:00", "America/New_York", datetime(2026, 11, 27, 14, tzinfo=UTC)),
        ("2026-07-01T00:00:00.5", "Europe/Berlin", datetime(2026, 6, 30, 22, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-11-27T00:00", "Asia/Kathmandu", datetime(2026, 11, 26, 18, 15, tzinfo=UTC)),
        ("2026-11-27T00:00", "UTC", datetime(2026, 11, 27, tzinfo=UTC)),
        ("2026-11-27T00:00Z", "Asia/Tokyo", datetime(2026, 11, 27, tzinfo=UTC)),
        ("2026-11-27T00:00:00+09:00", "America/New_York", datetime(2026, 11, 26, 15, tzinfo=UTC)),
        ("2026-11-27T00:00-03:30", "UTC", datetime(2026, 11, 27, 3, 30, tzinfo=UTC)),
    ],
)
def test_a_wall_time_is_read_in_its_zone_and_an_offset_outranks_the_zone(text: str, zone: str, moment: datetime) -> None:
    read = read_moment(text, zone)
    assert read == moment
    assert isinstance(read, datetime)
    assert read.tzinfo is UTC


def test_a_time_that_comes_twice_is_refused_with_both_moments_it_may_mean() -> None:
    fault = read_moment("2026-10-25T02:30", "Europe/Berlin")
    assert isinstance(fault, AmbiguousTime)
    assert fault.first == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert fault.second == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    assert "2026-10-25T02:30:00+02:00 or 2026-10-25T02:30:00+01:00" in sentence(fault)


def test_a_time_that_clocks_skip_is_refused_with_both_ways_to_read_it() -> None:
    fault = read_moment("2026-03-08 02:30", "America/New_York")
    assert isinstance(fault, MissingTime)
    assert fault.before == datetime(2026, 3, 8, 7, 30, tzinfo=UTC)
    assert fault.after == datetime(2026, 3, 8, 6, 30, tzinfo=UTC)
    assert "2026-03-08T02:30:00-05:00 or 2026-03-08T02:30:00-04:00" in sentence(fault)


def test_what_the_refusal_offers_is_accepted() -> None:
    fault = read_moment("2026-10-25T02:30", "Europe/Berlin")
    assert isinstance(fault, AmbiguousTime)
    assert read_moment(fault.second.isoformat(), "Europe/Berlin") == fault.second


def test_a_day_without_a_midnight_is_seen() -> None:
    # Beirut springs forward at midnight.
    assert isinstance(read_moment("2026-03-29T00:00", "Asia/Beirut"), MissingTime)


@pytest.mark.parametrize("second", ["2026-10-25T01:59:59", "2026-10-25T03:00"])
def test_the_edges_of_a_change_of_clocks_are_clear(second: str) -> None:
    assert isinstance(read_moment(second, "Europe/Berlin"), datetime)


@pytest.mark.parametrize(
    "zone",
    [
        "",
        "Mars/Olympus",
        "europe/berlin",
        "../../etc/passwd",
        "/etc/localtime",
        "localtime",
        "Factory",
        "America",
        "UTC\0",
        "\ud800",
        "right/UTC",
        "posix/UTC",
        "x" * 10_000,
    ],
)
def test_an_unknown_zone_is_refused_by_name(zone: str) -> None:
    fault = read_moment("2026-11-27T00:00", zone)
    assert isinstance(fault, UnknownZone)
    assert fault.zone == zone
    assert sentence(fault).isprintable()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-27",
        "27.11.2026 00:00",
        "20261127T0000",
        "2026-W48-5T00:00",
        "2026-11-31T00:00",
        "2026-11-27T24:00",
        "2026-11-27T00:00:60",
        "2026-11-27T00:00+25:00",
        "2026-11-27T00:00 ",
        "２０２６-11-27T00:00",
        "2026-11-27T00:00z",
        "0001-01-01T00:00+09:00",
        "9999-12-31T23:59-12:00",
        "1969-12-31T23:59",
        "2026-11-27T00:00\0",
        "9" * 5000,
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    fault = read_moment(text, "Asia/Tokyo")
    assert isinstance(fault, NotATime)
    assert fault.text == text
    assert sentence(fault).isprintable()


@given(
    st.integers(631_152_000, 2_114_380_800),
    st.sampled_from(["Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Africa/Casablanca"]),
)
def test_both_readings_of_a_refused_time_lie_within_a_day_and_differ(wall: int, zone: str) -> None:
    near = datetime.fromtimestamp(wall, UTC)
    read = read_moment(near.strftime("%Y-%m-%dT%H:%M:%S"), zone)
    match read:
        case datetime():
            readings = [read]
        case AmbiguousTime(_, _, first, second) | MissingTime(_, _, second, first):
            assert first < second
            readings = [first, second]
        case _:
            pytest.fail(f"{read} is no reading")
    assert all(abs(reading - near) < timedelta(days=1) for reading in readings)

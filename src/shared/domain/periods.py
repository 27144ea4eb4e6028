"""Days, weeks and months as a campaign's author counts them: on the wall of his city, weeks from Monday (ISO 8601)."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from shared.domain.wall_time import first_moment


class Period(StrEnum):
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


def start_of(period: Period, now: datetime, zone: str) -> datetime:
    """When the period that `now` lies in began in `zone`, in UTC. A day has as many hours as its clocks give it."""
    known = ZoneInfo(zone)
    today = now.astimezone(known).date()
    match period:
        case Period.DAY:
            day = today
        case Period.WEEK:
            day = today - timedelta(days=today.weekday())
        case Period.MONTH:
            day = today.replace(day=1)
    return first_moment(day, known).astimezone(UTC)

"""The only place that reads the time."""

import time
from datetime import UTC, datetime


def utc_now() -> datetime:
    """This machine's wall clock. Windows are judged by Postgres's; this one only pre-checks, with a margin."""
    return datetime.now(UTC)


def unix_now() -> float:
    """Seconds since the epoch on this machine's wall clock (tokens' `exp` and `nbf`)."""
    return time.time()


monotonic = time.monotonic

"""Python imports this of itself where its directory is on the path: the wall clock of such a process is off, by as many seconds
as a file says at that moment. The engine reads no clock but `shared.clock`; what it leans on reads `time.time`."""

import os
import time
from datetime import datetime, timedelta
from pathlib import Path

from shared import clock

_SAYS = Path(os.environ["SOAK_CLOCK"])
_time, _utc_now = time.time, clock.utc_now


def _off_by_s() -> float:
    return float(_SAYS.read_text())


def _time_that_is_off() -> float:
    return _time() + _off_by_s()


def _utc_now_that_is_off() -> datetime:
    return _utc_now() + timedelta(seconds=_off_by_s())


time.time = _time_that_is_off
clock.utc_now = _utc_now_that_is_off
# So that who started us knows that it is so.
_SAYS.with_suffix(".read").touch()

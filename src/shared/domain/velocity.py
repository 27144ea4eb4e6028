"""The velocity guard's judgement: whether what a minute brought is the usual day, an announced launch, or a leak.

Attempts in a minute are held against the campaign's own mean over the day before. A minute without attempts counts, so a code
that slept and is then all over a forum is seen; and nothing is judged before there is an hour to judge by, so the first second
of a new campaign is none of the guard's business.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

MINUTE = timedelta(minutes=1)

#: What the mean is taken over, at most and at least. This minute and the last are not in it.
TRAILING = timedelta(hours=24)
ARMED_AFTER = timedelta(hours=1)

#: For how long after its own beginning a campaign is rushed for as announced.
OPENING = timedelta(hours=1)


class Policy(msgspec.Struct, frozen=True):
    """From how many times the mean on (two at least), and from how many attempts on, a minute is too much: both are needed."""

    factor: int
    floor: int


class Launch(msgspec.Struct, frozen=True):
    """A time for which somebody announced that a campaign will be rushed for: [starts_at, ends_at)."""

    starts_at: datetime
    ends_at: datetime


class Traffic(msgspec.Struct, frozen=True):
    """What a campaign was asked for in a minute, of which `now` may be a part.

    `first`: the first minute in which it ever was; `before`: attempts in the minutes that make the mean. `resumed_at`: when
    somebody last let it go on after the guard had paused it.
    """

    minute: datetime
    attempts: int
    now: datetime
    first: datetime
    before: int
    resumed_at: datetime | None = None


class Excess(msgspec.Struct, frozen=True):
    """A minute that was too much, and the mean per minute (`baseline`) and factor by which it was."""

    minute: datetime
    attempts: int
    baseline: float
    factor: int


def excess(traffic: Traffic, launches: Iterable[Launch], policy: Policy) -> Excess | None:
    """Why the campaign is to be paused; None when it is not."""
    minutes = _minutes_before(traffic)
    if traffic.attempts < policy.floor or minutes < ARMED_AFTER // MINUTE:
        return None
    baseline = traffic.before / minutes
    if traffic.attempts < policy.factor * baseline:
        return None
    if any(_touches(launch, traffic.minute) for launch in launches):
        return None
    if traffic.resumed_at is not None and traffic.now < traffic.resumed_at + trusted_for(policy):
        return None
    return Excess(traffic.minute, traffic.attempts, baseline, policy.factor)


def trusted_for(policy: Policy) -> timedelta:
    """For how long the guard keeps out of what somebody resumed by hand.

    So long that a rush which keeps up has become its own mean: m minutes at a rate r make a mean of r·m / TRAILING at least.
    """
    return TRAILING / policy.factor + 3 * MINUTE


def _minutes_before(traffic: Traffic) -> int:
    end = _minute_of(traffic.now) - MINUTE
    return (end - max(traffic.first, end - TRAILING)) // MINUTE


def _touches(launch: Launch, minute: datetime) -> bool:
    """Whether any of the minute is in the launch: its attempts cannot be told apart."""
    return launch.starts_at < minute + MINUTE and launch.ends_at > minute


def _minute_of(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)

"""A launch as it is announced: times on the wall of the campaign's zone, and what can be wrong with them."""

from datetime import datetime, timedelta

import msgspec

from shared.domain.draft import Fault
from shared.domain.velocity import Launch
from shared.domain.wall_time import read_moment, sentence

#: While a launch lasts nothing guards the campaign.
LONGEST = timedelta(hours=24)


class LaunchDraft(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a campaign will be rushed for. Times are local to the campaign's `timezone` unless they carry an offset."""

    starts_at: str
    ends_at: str


def announced(draft: LaunchDraft, zone: str, now: datetime) -> Launch | list[Fault]:
    """The launch, or everything that is wrong with it."""
    starts_at, ends_at = read_moment(draft.starts_at, zone), read_moment(draft.ends_at, zone)
    if not isinstance(starts_at, datetime) or not isinstance(ends_at, datetime):
        read = {"starts_at": starts_at, "ends_at": ends_at}
        return [Fault(field, sentence(each)) for field, each in read.items() if not isinstance(each, datetime)]
    if ends_at <= starts_at:
        return [Fault("ends_at", "must be later than starts_at")]
    if ends_at - starts_at > LONGEST:
        return [Fault("ends_at", f"must be within {LONGEST // timedelta(hours=1)} hours of starts_at")]
    if ends_at <= now:
        return [Fault("ends_at", "must be in the future")]
    return Launch(starts_at, ends_at)

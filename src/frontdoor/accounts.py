"""What one front door knows of who asks how often: copies of the buckets and failures that all doors share. Pure.

A copy lacks only what other doors have not told yet, so whoever has nothing left in it has nothing left. All times are in
milliseconds of one clock, and `now` comes in as an argument.
"""

import msgspec

from frontdoor.latest import Latest
from frontdoor.problems import Problem
from frontdoor.quotas import rate_limited, too_many_failures
from shared.domain.limits import BAN_MS, LimitedCall, Policies, Subject


class Failures(msgspec.Struct, frozen=True, gc=False):
    """How often a subject has failed, until when that is remembered, and until when it is blocked for it."""

    number: int = 0
    remembered_until: int = 0
    blocked_until: int = 0


_NONE = Failures()


class Accounts:
    """The copies of at most `most` subjects; those that have not come for the longest are forgotten."""

    def __init__(self, policies: Policies, most: int) -> None:
        self._policies = policies
        #: For each call when whose bucket is full; numbers alone, for there are many.
        self._full_at: tuple[Latest[Subject, int], Latest[Subject, int]] = Latest(most), Latest(most)
        self._failures: Latest[Subject, Failures] = Latest(most)

    def refusal(self, subject: Subject, call: LimitedCall, now: int) -> Problem | None:
        """Why the subject may not ask now; None when it may, as far as is known here."""
        failures = self._failures.get(subject)
        if failures is not None and now < failures.blocked_until:
            return too_many_failures(failures.blocked_until - now)
        full_at = self._full_at[call].get(subject)
        if full_at is None:
            return None
        policy = self._policies[call]
        wait_ms = policy.wait_ms(full_at, now)
        return rate_limited(policy, wait_ms) if wait_ms else None

    def take(self, subject: Subject, call: LimitedCall, now: int) -> None:
        """Take a call of the subject's bucket."""
        buckets = self._full_at[call]
        buckets.put(subject, self._policies[call].taken(buckets.get(subject) or 0, now, 1))

    def fail(self, subject: Subject, call: LimitedCall, now: int) -> None:
        """Count a failure."""
        before = self._failures.get(subject) or _NONE
        number = before.number + 1 if now < before.remembered_until else 1
        blocked_until = max(before.blocked_until, now + self._policies[call].block_ms(number))
        self._failures.put(subject, Failures(number, now + BAN_MS, blocked_until))

    def hear(self, subject: Subject, call: LimitedCall, full_at: int, taken_since: int) -> None:
        """Believe when the shared bucket is full; `taken_since`: calls that were taken here and that it does not know of."""
        self._full_at[call].put(subject, self._policies[call].taken(full_at, 0, taken_since))

    def hear_of_failures(self, subject: Subject, number: int, blocked_until: int) -> None:
        """Believe how often the subject has failed. What blocks it ends by itself, and never sooner than was said before."""
        before = self._failures.get(subject) or _NONE
        blocked_until = max(before.blocked_until, blocked_until)
        self._failures.put(subject, Failures(number, max(before.remembered_until, blocked_until), blocked_until))

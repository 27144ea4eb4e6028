"""What one front door knows of who asks how often: copies of the buckets and failures that all doors share. Pure.

A copy lacks only what other doors have not told yet, so whoever has nothing left in it has nothing left. All times are in
milliseconds of one clock, and `now` comes in as an argument.
"""

from collections import OrderedDict

from frontdoor.problems import Problem
from frontdoor.quotas import rate_limited, too_many_failures
from shared.domain.limits import BAN_MS, LimitedCall, Policies, Subject


class Account:
    """A subject's buckets, by when they are full, and what it failed at."""

    __slots__ = ("blocked_until", "failures", "full_at", "remembered_until")

    def __init__(self) -> None:
        self.full_at = [0, 0]
        self.failures = 0
        self.remembered_until = 0
        self.blocked_until = 0


class Accounts:
    """The copies of at most `most` subjects; of those the one that was not asked for the longest is forgotten."""

    def __init__(self, policies: Policies, most: int) -> None:
        self._policies = policies
        self._most = most
        self._known: OrderedDict[Subject, Account] = OrderedDict()

    def refusal(self, subject: Subject, call: LimitedCall, now: int) -> Problem | None:
        """Why the subject may not ask now; None when it may, as far as is known here."""
        account = self._known.get(subject)
        if account is None:
            return None
        if now < account.blocked_until:
            return too_many_failures(account.blocked_until - now)
        policy = self._policies[call]
        wait_ms = policy.wait_ms(account.full_at[call], now)
        return rate_limited(policy, wait_ms) if wait_ms else None

    def take(self, subject: Subject, call: LimitedCall, now: int) -> None:
        """Take a call of the subject's bucket."""
        full_at = self._account(subject).full_at
        full_at[call] = self._policies[call].taken(full_at[call], now, 1)

    def fail(self, subject: Subject, call: LimitedCall, now: int) -> None:
        """Count a failure."""
        account = self._account(subject)
        account.failures = account.failures + 1 if now < account.remembered_until else 1
        account.remembered_until = now + BAN_MS
        account.blocked_until = max(account.blocked_until, now + self._policies[call].block_ms(account.failures))

    def hear(self, subject: Subject, call: LimitedCall, full_at: int, taken_since: int) -> None:
        """Believe when the shared bucket is full; `taken_since`: calls that were taken here and that it does not know of."""
        policy = self._policies[call]
        self._account(subject).full_at[call] = policy.taken(full_at, 0, taken_since)

    def hear_of_failures(self, subject: Subject, failures: int, blocked_until: int) -> None:
        """Believe how often the subject has failed. What blocks it ends by itself, and never sooner than was said before."""
        account = self._account(subject)
        account.failures = failures
        account.remembered_until = max(account.remembered_until, blocked_until)
        account.blocked_until = max(account.blocked_until, blocked_until)

    def _account(self, subject: Subject) -> Account:
        account = self._known.get(subject)
        if account is not None:
            self._known.move_to_end(subject)
            return account
        account = self._known[subject] = Account()
        if len(self._known) > self._most:
            self._known.popitem(last=False)
        return account

"""How often may somebody ask, and what do wrong guesses cost: arithmetic in whole milliseconds of any one clock.

A bucket is one number, the time at which it will be full again (GCRA, the generic cell rate algorithm, which is a token
bucket that needs no refilling). Doors do this arithmetic on their copies, and `limit.lua` on what all doors share; the ladder
of failures is a table, so that it is written down only here.
"""

from enum import IntEnum
from functools import cached_property, lru_cache
from ipaddress import IPv6Address, ip_address
from typing import NewType, TypeAlias

import msgspec

from shared.domain.ids import UserId

#: Whoever is limited: a user, or an address.
Subject = NewType("Subject", str)

MINUTE_MS = 60_000

#: A ban, and for how long a failure is remembered after the last one.
BAN_MS = 3_600_000

#: Failures that cost nothing; then each costs a cooldown twice as long as the one before, until so many are a ban.
FREE_FAILURES = 4
BAN_FAILURES = 10


class LimitedCall(IntEnum):
    """The calls that have a bucket each."""

    VALIDATE = 0
    REDEEM = 1


class Policy(msgspec.Struct, frozen=True, dict=True):
    """`quota` calls a minute, and no more than that at once. A quota is at most one a millisecond."""

    name: str
    quota: int

    @cached_property
    def interval_ms(self) -> int:
        """How long the bucket takes to get one call back; rounded up, so that it never gives more than its quota."""
        return -(-MINUTE_MS // self.quota)

    @cached_property
    def burst_ms(self) -> int:
        """How long an empty bucket takes to be full."""
        return self.quota * self.interval_ms

    @cached_property
    def ladder_ms(self) -> tuple[int, ...]:
        """For how long the first, second, … failure blocks; every one beyond the last is as the last, a ban."""
        cooldowns = (self.interval_ms << number for number in range(BAN_FAILURES - FREE_FAILURES - 1))
        return (0,) * FREE_FAILURES + tuple(min(cooldown, BAN_MS) for cooldown in cooldowns) + (BAN_MS,)

    def wait_ms(self, full_at: int, now: int) -> int:
        """How long until a call may be taken of a bucket that is full at `full_at`; 0: at once."""
        return max(0, self.taken(full_at, now, 1) - self.burst_ms - now)

    def taken(self, full_at: int, now: int, calls: int) -> int:
        """When the bucket is full once `calls` more have been taken of it, whether it had them or not."""
        return max(full_at, now) + calls * self.interval_ms

    def block_ms(self, failures: int) -> int:
        """For how long the last of so many failures blocks."""
        return self.ladder_ms[min(failures, BAN_FAILURES) - 1] if failures else 0


#: The policies of the calls, in the order of LimitedCall.
Policies: TypeAlias = tuple[Policy, Policy]


def of_user(user: UserId) -> Subject:
    """A user, whatever address they ask from."""
    return Subject(f"u:{user}")


@lru_cache(maxsize=10_000)
def of_address(address: str) -> Subject:
    """Who shares an address: of IPv6 the whole /64, which is what one line is given and may pick any address of.

    An address of its own inside would have a bucket that is never emptier than that of its /64.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return Subject(f"i:{address}")
    if not isinstance(parsed, IPv6Address):
        return Subject(f"i:{parsed}")
    if parsed.ipv4_mapped is not None:
        return Subject(f"i:{parsed.ipv4_mapped}")
    return Subject(f"i:{IPv6Address(int(parsed) >> 64 << 64)}/64")

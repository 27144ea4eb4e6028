"""Timed ownership of a partition, as a value.

Postgres's clock decides when a lease ends; its holder must know without asking whether it may still act. It counts from
when it *began* to ask (the answer may have been slow) and stops a margin early (clocks run at slightly different rates).
The commit is fenced by the epoch in any case: trust only keeps a late owner from doing work that would be refused.
"""

import msgspec

from shared.domain.ids import PartitionNo


class Lease(msgspec.Struct, frozen=True):
    """One term of ownership; the epoch names it. `trusted_until` is in seconds of the holder's monotonic clock."""

    partition_no: PartitionNo
    epoch: int
    trusted_until: float

    def trusted(self, monotonic_now: float) -> bool:
        return monotonic_now < self.trusted_until


def trusted_until(attempt_started: float, ttl_s: float) -> float:
    """When to stop trusting a lease of `ttl_s` seconds that was asked for at `attempt_started`; the margin is a tenth."""
    return attempt_started + ttl_s * 0.9

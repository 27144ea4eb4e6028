"""What a caller hears who has to wait: 429 with Retry-After, and the fields of draft-ietf-httpapi-ratelimit-headers. Pure.

Waits are told in whole seconds, rounded up, and beyond a hundred in tens, so that there are few different answers.
"""

from functools import lru_cache

from msgspec.structs import replace

from frontdoor.problems import RATE_LIMITED, TOO_MANY_FAILURES, Problem
from shared.domain.limits import BAN_FAILURES, BAN_MS, MINUTE_MS, Policy


def rate_limited(policy: Policy, wait_ms: int) -> Problem:
    """The bucket is empty for `wait_ms` more."""
    return _waiting(RATE_LIMITED, policy.name, policy.quota, MINUTE_MS // 1000, _seconds(wait_ms))


def too_many_failures(wait_ms: int) -> Problem:
    """Cooling down, or banned, for `wait_ms` more."""
    return _waiting(TOO_MANY_FAILURES, "failures", BAN_FAILURES, BAN_MS // 1000, _seconds(wait_ms))


def _seconds(wait_ms: int) -> int:
    seconds = max(1, -(-wait_ms // 1000))
    return seconds if seconds <= 100 else -(-seconds // 10) * 10


@lru_cache(maxsize=1024)
def _waiting(problem: Problem, name: str, quota: int, window_s: int, wait_s: int) -> Problem:
    fields = (("RateLimit-Policy", f'"{name}";q={quota};w={window_s}'), ("RateLimit", f'"{name}";r=0;t={wait_s}'))
    return replace(problem, retry_after_s=wait_s, fields=fields)

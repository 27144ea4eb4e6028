"""Who asks too often, or guesses: refused from memory, and counted by all front doors together.

Every call is taken of this door's copy of the caller's bucket, and shared in one script call for whatever has gathered. What is
answered from memory does not wait for that: it is known to all within 200 ms, and its sharing brings back what was taken
elsewhere. What goes on to the gate waits for its grant, so that there the limit is exact, however many doors there are. What
the copy refuses is refused at once, and costs no call at all.

While Redis is away each door limits by itself, and nobody waits.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import TypeAlias

import structlog

from frontdoor.accounts import Accounts
from frontdoor.problems import REFUSALS, Problem
from frontdoor.quotas import rate_limited
from frontdoor.replies import Reply
from shared import metrics
from shared.clock import monotonic
from shared.domain.ids import UserId
from shared.domain.limits import LimitedCall, Policies, Policy, Subject, of_address, of_user
from shared.domain.outcomes import Refusal
from shared.errors import RedisUnavailable
from shared.limits import Charge, SharedLimits
from shared.redis_client import Redis
from shared.settings import Settings

#: When what was answered from memory is on its way to Redis, so that it is known there within 200 ms.
SHARE_AFTER_S = 0.1

#: How often a door asks who was blocked elsewhere, if it has nothing to share: it has to know within a second.
LISTEN_EVERY_S = 0.5

#: Charges in one script call at most; they are some half a millisecond of Redis.
BATCH_MAX = 256

#: An unknown code, or one for others. Never that a campaign gives nothing, and never a replay.
_FAILURES = frozenset(REFUSALS[refusal].code for refusal in (Refusal.UNKNOWN_CODE, Refusal.AUDIENCE_MISMATCH))

log = structlog.get_logger()


class _Owed:
    """What a subject did at one call since it was last shared. `waiting`: those who ask, to be told whether they may."""

    __slots__ = ("failures", "spent", "waiting")

    def __init__(self) -> None:
        self.spent = 0
        self.failures = 0
        self.waiting: list[asyncio.Future[bool]] = []


_Key: TypeAlias = tuple[Subject, LimitedCall]

_NOTHING = _Owed()


class Limiter:
    """The limits of one front door, which knows at most `most` subjects; a subject of None is not limited.

    A subject that was forgotten begins anew here, until its next sharing brings back what is known of it. `keep_sharing` has
    to run while the limiter is used.
    """

    def __init__(self, shared: SharedLimits, policies: Policies, most: int) -> None:
        self._shared = shared
        self._policies = policies
        self._accounts = Accounts(policies, most)
        self._owed: dict[_Key, _Owed] = {}
        self._due = asyncio.Event()
        self._alone = False

    def user(self, user: UserId) -> Subject | None:
        """Whom a token's user, or the user a service acts for, is limited as."""
        return of_user(user)

    def address(self, ip: str) -> Subject | None:
        """Whom a caller without a token is limited as."""
        return of_address(ip)

    def refusal(self, subject: Subject | None, call: LimitedCall) -> Problem | None:
        """Why the subject gets no answer now; None when it may ask, as far as this door knows."""
        return None if subject is None else self._accounts.refusal(subject, call, _now())

    def spent(self, subject: Subject | None, call: LimitedCall, reply: Reply) -> Reply:
        """Take a call that was answered from memory; the same reply."""
        if subject is None:
            return reply
        self._accounts.take(subject, call, _now())
        if not self._alone:
            self._owe(subject, call).spent += 1
        return self._judged(subject, call, reply)

    async def granted(self, subject: Subject | None, call: LimitedCall, answer: Callable[[], Awaitable[Reply]]) -> Reply:
        """What `answer` gives, if all doors together grant the call; otherwise why not."""
        if subject is None:
            return await answer()
        refused = await self._ask(subject, call)
        return refused or self._judged(subject, call, await answer())

    async def keep_sharing(self) -> None:
        """Share again and again until cancelled, through any failure of Redis."""
        while True:
            self._due.clear()
            await self._share()
            with suppress(TimeoutError):
                async with asyncio.timeout(LISTEN_EVERY_S):
                    await self._due.wait()

    async def _ask(self, subject: Subject, call: LimitedCall) -> Problem | None:
        refused = self.refusal(subject, call)
        if refused is not None:
            return refused
        self._accounts.take(subject, call, _now())
        if self._alone:
            return None
        granted = asyncio.get_running_loop().create_future()
        self._owe(subject, call).waiting.append(granted)
        self._due.set()
        if await granted:
            return None
        return self.refusal(subject, call) or rate_limited(self._policies[call], 1)

    def _judged(self, subject: Subject, call: LimitedCall, reply: Reply) -> Reply:
        """The same reply; a failure is counted."""
        if isinstance(reply, Problem) and reply.code in _FAILURES:
            self._accounts.fail(subject, call, _now())
            if not self._alone:
                self._owe(subject, call).failures += 1
        return reply

    def _owe(self, subject: Subject, call: LimitedCall) -> _Owed:
        if not self._owed:
            asyncio.get_running_loop().call_later(SHARE_AFTER_S, self._due.set)
        owed = self._owed.get((subject, call))
        if owed is None:
            owed = self._owed[subject, call] = _Owed()
        return owed

    async def _share(self) -> None:
        """Share all that has gathered, those who wait first; and hear who was blocked, also with nothing to share."""
        gathered, self._owed = self._owed, {}
        charged = sorted(gathered.items(), key=lambda item: not item[1].waiting)
        try:
            for first in range(0, max(1, len(charged)), BATCH_MAX):
                await self._charge(charged[first : first + BATCH_MAX])
        except RedisUnavailable as error:
            self._go_alone(gathered.values(), error)
        else:
            self._alone = False

    async def _charge(self, batch: Sequence[tuple[_Key, _Owed]]) -> None:
        asked_at = _now()
        charges = [Charge(subject, call, owed.spent, len(owed.waiting), owed.failures) for (subject, call), owed in batch]
        told = await self._shared.charge(charges)
        metrics.LIMIT_CALLS.add()
        for number, standing in told.standings.items():
            (subject, call), owed = batch[number]
            since = self._owed.get((subject, call), _NOTHING)
            self._accounts.hear(subject, call, asked_at + standing.full_in, since.spent + len(since.waiting))
            if standing.failures:
                failures = standing.failures + since.failures
                self._accounts.hear_of_failures(subject, failures, asked_at + standing.blocked_for)
            _tell(owed.waiting, standing.granted)
        for block in told.blocks:
            self._accounts.hear_of_failures(block.subject, block.failures, asked_at + block.blocked_for)
        if told.more:
            self._due.set()

    def _go_alone(self, gathered: Iterable[_Owed], error: Exception) -> None:
        """Let everybody through who had something in this door's own copy; what they took is in there already."""
        if not self._alone:
            log.warning("limits_not_shared", error=repr(error))
        self._alone = True
        behind, self._owed = self._owed, {}
        for owed in (*gathered, *behind.values()):
            _tell(owed.waiting, len(owed.waiting))


class Unlimited(Limiter):
    """Nobody is limited."""

    def user(self, user: UserId) -> Subject | None:
        return None

    def address(self, ip: str) -> Subject | None:
        return None

    async def keep_sharing(self) -> None:
        """Nothing is ever taken."""


def limiter(settings: Settings, redis: Redis) -> Limiter:
    """The limits that the settings name."""
    kind = Limiter if settings.rate_limits == "on" else Unlimited
    policies = Policy("validate", settings.validate_per_minute), Policy("redeem", settings.redeem_per_minute)
    return kind(SharedLimits(redis, policies), policies, settings.limited_max)


def _tell(waiting: Sequence[asyncio.Future[bool]], granted: int) -> None:
    for number, each in enumerate(waiting):
        if not each.done():
            each.set_result(number < granted)


def _now() -> int:
    return int(monotonic() * 1000)

"""An owner's word that a life goes on, and the end of a life for which nobody can give it.

While Redis is away claims are decided without it, once the partition has no life: `partitions.incarnation` is null then, and
no gate, mailbox or certificate counts. But Redis may be away for some of us only. So a gate refuses by itself, and certifies,
only while the owner vouches for its life, for a moment each time; and the owner ends the life in Postgres only when its last
word has run out, and with it whatever was still answered because of it. Nobody is refused by what was decided elsewhere.

How long the word is good is told in Redis's own time, as it was when Redis last answered: a call that is carried out late, by
a Redis that was frozen, extends nothing.

While Postgres is away nobody decides anything, so there the owner vouches on after its lease, and those who are sold out are
told so. Its successor, if it cannot reach Redis either, waits that long (`life_until`) before it ends the life.
"""

import asyncio
from collections.abc import Callable

import msgspec
import structlog

from claim_workers.incarnation import Life
from shared import clock
from shared.domain.lease import Lease
from shared.errors import IncarnationOver, RedisUnavailable
from shared.gate import CERTIFICATE_MS, Gate, Moved
from shared.postgres import Pool
from shared.process import abandoned
from shared.redis_client import REPLY_WITHIN_S
from shared.statements import statement

#: For how long a word is good, counted from the answer to the one before; and how often one is given.
VOUCHED_S = 1.5
_EVERY_S = 0.4

#: For how long the owner vouches after it may not trust its lease any more.
BEYOND_LEASE_S = 10.0

#: When whatever was answered because of a word has reached its caller: a certificate, or a door's call under way.
HEARD_S = max(CERTIFICATE_MS / 1000, REPLY_WITHIN_S) + 0.5

#: How long after it took over a successor takes the life to be vouched for at most: until the last word of whoever vouched on
#: beyond his lease has run out and been heard, and some more.
VOUCHED_BEFORE_S = BEYOND_LEASE_S + VOUCHED_S + HEARD_S + 2.0

log = structlog.get_logger()


class Vouching:
    """Vouches for the life that one owner serves. `trusted_until`: its lease's end, in monotonic seconds."""

    def __init__(self, gate: Gate, trusted_until: Callable[[], float]) -> None:
        self._gate = gate
        self._trusted_until = trusted_until
        self._life: Life | None = None
        self._answered_at = 0.0
        self._redis_ms = 0
        self._task: asyncio.Task[None] | None = None
        self._given_up: Life | None = None

    async def begin(self, pool: Pool, life: Life) -> Life:
        """Vouch for this life, which Redis has just been seen to hold, until told to end. Raises IncarnationOver.

        The life, as it is to be read on: a commit of ours whose answer was lost may have been under way until now.
        """
        await self.end()
        # Known here before it is known in Postgres, so that whatever happens there is somebody who may end it.
        self._life, self._answered_at, self._redis_ms = life, clock.monotonic(), 0
        async with pool.acquire(timeout=5) as connection:
            cursor = await connection.fetchval(statement("keep_life"), life.partition_no, life.epoch, life.incarnation)
        if cursor is None:
            raise IncarnationOver(f"the life of partition {life.partition_no} has been ended, or has another owner")
        self._task = self._vouch(life)
        return msgspec.structs.replace(life, cursor=cursor)

    async def end(self) -> None:
        """Say no more; what was said is good for its moment."""
        task, self._life, self._task = self._task, None, None
        if task is not None:
            await abandoned(task)

    @property
    def given_up(self) -> bool:
        """Whether a life was to be ended, and Postgres has not said that it was: it must not be gone on with."""
        return self._given_up is not None

    async def give_up(self, pool: Pool, lease: Lease) -> None:
        """End the partition's life in Postgres, if nobody can vouch for it any more, here or as our predecessor."""
        self._given_up = self._given_up or await self._fallen_silent()
        doomed = None if self._given_up is None else self._given_up.incarnation
        async with pool.acquire(timeout=5) as connection:
            ended = await connection.fetchval(statement("end_life"), lease.partition_no, lease.epoch, doomed)
        if self._given_up is not None:
            self._given_up = None
            await self.end()
        if ended is not None:
            log.warning("life_ended", partition=lease.partition_no, incarnation=doomed)

    async def _fallen_silent(self) -> Life | None:
        """The life whose word has run out, with nothing more said of it: Redis may be back before Postgres has ended it."""
        life = self._run_out()
        if life is None or self._task is None:
            return life
        await abandoned(self._task)
        if self._run_out() is None:
            # It was heard at the last moment.
            self._task = self._vouch(life)
            return None
        return life

    def _vouch(self, life: Life) -> asyncio.Task[None]:
        return asyncio.create_task(self._keep(life), name=f"vouching-{life.partition_no}")

    def _run_out(self) -> Life | None:
        """The life that we vouched for, when our last word has run out with all that was answered because of it."""
        return self._life if clock.monotonic() > self._answered_at + VOUCHED_S + HEARD_S else None

    async def _keep(self, life: Life) -> None:
        while clock.monotonic() < self._right_until():
            try:
                learnt, over = self._redis_ms > 0, await self._say(life)
            except RedisUnavailable as error:
                learnt, over = True, False
                log.debug("not_vouched", partition=life.partition_no, error=str(error))
            if over:
                return
            # The first answer tells what time it is there: the word after it is the first that counts.
            await asyncio.sleep(_EVERY_S if learnt else 0)

    async def _say(self, life: Life) -> bool:
        """Vouch once more. Whether the life is over, or another's."""
        good_for_s = min(VOUCHED_S, self._right_until() - self._answered_at)
        until_ms = self._redis_ms + int(good_for_s * 1000) if self._redis_ms else 0
        answer = await self._gate.vouch(life.partition_no, life.incarnation, life.epoch, until_ms)
        if isinstance(answer, Moved):
            return True
        self._answered_at, self._redis_ms = clock.monotonic(), answer
        return False

    def _right_until(self) -> float:
        return self._trusted_until() + BEYOND_LEASE_S

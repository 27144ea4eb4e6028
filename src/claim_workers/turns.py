"""A shard's turns: what its consumers have read is committed together.

Everything that a commit costs is paid once a transaction. A busy partition fills its own; a thousand quiet campaigns would
pay for a handful of claims at a time. So what consumers read while a transaction is under way goes into the next one (see
`shared.beat`). A turn of one partition is that partition's own commit. What cannot be done for several at once is done by each
consumer for itself, beside the turns: nobody waits for a partition that somebody else has locked, nor for long for a turn that
hangs.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import msgspec

from claim_workers.committer import Batch, Committed, Committer, commit_together
from claim_workers.telling import Answer, tell
from shared import clock
from shared.beat import Beat
from shared.errors import IncarnationOver, RedisUnavailable
from shared.gate import Gate, Moved
from shared.postgres import Pool
from shared.process import abandoned
from shared.redis_client import Redis

#: After how long the next turn begins beside one that is still under way.
_PATIENCE_S = 0.25

Progressed = Callable[[], None]


class _Handed(msgspec.Struct, frozen=True, eq=False):
    """A batch, and what its consumer waits for: what its gates answered; nothing when it was left out of its turn."""

    batch: Batch
    progressed: Progressed
    answers: asyncio.Future[list[Answer]]


class Turns:
    """The turns of one shard. `entries_max`: how many a turn holds, unless one batch alone has more."""

    def __init__(self, pool: Pool, redis: Redis, gate: Gate, entries_max: int) -> None:
        self._pool = pool
        self._redis = redis
        self._gate = gate
        self._entries_max = entries_max
        self._waiting: list[_Handed] = []
        self._beat = Beat(self._next, _PATIENCE_S)

    async def commit(self, batch: Batch, progressed: Progressed) -> None:
        """Commit a batch and say so: to those who wait, and to the gates. `progressed` hears of every step.

        Raises what `Committer.commit` does; IncarnationOver when the partition has another life, and RedisUnavailable when its
        gates could not be set.
        """
        loop = asyncio.get_running_loop()
        handed = _Handed(batch, progressed, loop.create_future())
        self._waiting.append(handed)
        # Whoever has read something in the same turn of the loop is taken along.
        loop.call_soon(self._beat.begin)
        answers = await handed.answers
        if not answers:
            committed = await self._alone(batch)
            progressed()
            answers = await tell(self._redis, self._gate, committed)
        _see_that_it_lives(answers, batch)
        progressed()

    def _next(self) -> Coroutine[Any, Any, None] | None:
        """A turn with those who have waited longest, as many as it holds. Who was abandoned meanwhile waits no more."""
        self._waiting = [handed for handed in self._waiting if not handed.answers.done()]
        size, count = 0, 0
        for handed in self._waiting:
            size += len(handed.batch.entries)
            if count and size > self._entries_max:
                break
            count += 1
        turn, self._waiting = self._waiting[:count], self._waiting[count:]
        return self._take(turn) if turn else None

    async def _take(self, turn: Sequence[_Handed]) -> None:
        """Let everybody of the turn know what came of it; only who was left out goes on alone."""
        task = asyncio.current_task()
        for handed in turn:
            handed.answers.add_done_callback(lambda _: self._see_that_it_is_wanted(turn, task))
        try:
            committed = await self._committed(turn)
            answers = await tell(self._redis, self._gate, committed) if committed else []
        except Exception as error:
            for handed in turn:
                if not handed.answers.done():
                    handed.answers.set_exception(error)
            return
        for handed in turn:
            if not handed.answers.done():
                theirs = zip(committed, answers, strict=True)
                handed.answers.set_result([answer for each, answer in theirs if _is_of(handed, each)])

    async def _committed(self, turn: Sequence[_Handed]) -> list[Committed]:
        began = clock.monotonic()
        try:
            batches = [handed.batch for handed in turn]
            committed = await (commit_together(self._pool, batches) if len(turn) > 1 else self._alone(batches[0]))
        finally:
            self._beat.over(began, len(turn), sum(len(handed.batch.entries) for handed in turn))
        for handed in turn:
            if any(_is_of(handed, each) for each in committed):
                handed.progressed()
        return committed

    async def _alone(self, batch: Batch) -> list[Committed]:
        return await Committer(self._pool, batch.life).commit(batch.entries)

    def _see_that_it_is_wanted(self, turn: Sequence[_Handed], task: asyncio.Task[Any] | None) -> None:
        """End a turn when everybody who was in it has been abandoned."""
        if task is not None and not task.done() and all(handed.answers.cancelled() for handed in turn):
            self._beat.start(abandoned(task))


def _is_of(handed: _Handed, committed: Committed) -> bool:
    return committed.life.partition_no == handed.batch.life.partition_no


def _see_that_it_lives(answers: Sequence[Answer], batch: Batch) -> None:
    for answer in answers:
        if isinstance(answer, Moved):
            raise IncarnationOver(f"{batch.life} is over, or has another owner")
        if isinstance(answer, RedisUnavailable):
            raise answer

"""The direct path: claims decided by the front door itself, by the worker's own lock, read, decide and write.

It is for partitions that have no life: Redis is away, for all or for their owner alone, and he has ended what he could not
reach (see `claim_workers.vouching`), or nobody has begun one yet. That is looked at under the partition's lock, so what a door
believes of Redis, and of lives, is only a reason to come here: where there is a life, its gate may answer others at this very
moment, and nothing is decided. A life that begins waits for that lock, and its gates are made of what was committed before.

Each claim costs Postgres far more than in an owner's batch, so there is a bound on how many a door decides in a second.
"""

import asyncio
from collections.abc import Callable, Sequence

import structlog

from frontdoor.lives import Lives
from frontdoor.problems import BUSY
from frontdoor.submissions import Next, Sequel, Submission
from shared import clock, metrics
from shared.book import DECIDE_AGAIN, Head, lock_partition
from shared.deciding import Others, decide_under, decided_with_others, lock_with_others
from shared.domain.ids import PartitionNo
from shared.domain.outcomes import Heard, Misrouted, Refusal, Refused
from shared.postgres import NO_ANSWER, Connection, Pool

#: Claims that one door decides in a second at most, and in one transaction.
CLAIMS_PER_S = 300
_BATCH_MAX = 64

#: How many partitions are decided at once: the door's look-ups need connections, too.
_AT_ONCE = 4

log = structlog.get_logger()


class _Alive(Exception):
    """The partition has a life, whose owner decides."""


class Allowance:
    """So many claims a second, and at most a second's worth of them at once."""

    def __init__(self, per_s: int) -> None:
        self._per_s = per_s
        self._left = float(per_s)
        self._at = clock.monotonic()

    def take(self, most: int) -> int:
        """How many of `most` may be decided now."""
        now = clock.monotonic()
        self._left = min(float(self._per_s), self._left + (now - self._at) * self._per_s)
        self._at = now
        taken = min(most, int(self._left))
        self._left -= taken
        return taken

    def give_back(self, number: int) -> None:
        """So many were not decided after all."""
        self._left += number


class DirectPath:
    """Decides submissions of one front door.

    `tell` hears what each came to: its outcome, BUSY, or that the gate is to be asked, when it was not decided, or that is not
    known.
    """

    def __init__(self, pool: Pool, lives: Lives, tell: Callable[[Submission, Sequel], None]) -> None:
        self._pool = pool
        self._lives = lives
        self._tell = tell
        self._allowance = Allowance(CLAIMS_PER_S)
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._queues: dict[PartitionNo, list[Submission]] = {}
        self._tasks: dict[PartitionNo, asyncio.Task[None]] = {}

    def ask(self, submission: Submission) -> None:
        """Decide this one with the next transaction."""
        partition = submission.partition_no
        self._queues.setdefault(partition, []).append(submission)
        if partition not in self._tasks:
            self._tasks[partition] = asyncio.create_task(self._drain(partition), name=f"direct-{partition}")

    async def _drain(self, partition: PartitionNo) -> None:
        queue = self._queues[partition]
        try:
            while queue:
                batch = [submission for submission in queue[:_BATCH_MAX] if not submission.answer.done()]
                del queue[:_BATCH_MAX]
                async with self._turns:
                    await self._serve(partition, batch)
        finally:
            del self._tasks[partition]

    async def _serve(self, partition: PartitionNo, batch: Sequence[Submission]) -> None:
        granted = self._allowance.take(len(batch))
        for submission in batch[granted:]:
            self._tell(submission, BUSY)
        mine = batch[:granted]
        if not mine:
            return
        try:
            answers = await self._decide(partition, mine)
        except _Alive:
            self._allowance.give_back(granted)
            answers = [Next.ASK_LATER] * len(mine)
        for submission, answer in zip(mine, answers, strict=True):
            self._tell(submission, answer)

    async def _decide(self, partition: PartitionNo, batch: Sequence[Submission]) -> Sequence[Sequel]:
        """What they come to. A batch that no transaction can hold is halved until what is to blame stands alone."""
        # Before the lock, which others need.
        if not await self._lives.lately_lifeless(partition):
            raise _Alive
        try:
            outcomes = await decided_with_others(self._pool, lambda held, others: _write(held, others, partition, batch))
        except _Alive:
            self._lives.note(partition, lifeless=False)
            raise
        except (*DECIDE_AGAIN, *NO_ANSWER) as error:
            # It may have been committed: asked again, it is decided as the claim that it is.
            log.warning("direct_claims_undecided", partition=partition, claims=len(batch), error=repr(error))
            return [Next.ASK_LATER] * len(batch)
        except Exception as error:
            if len(batch) > 1:
                middle = len(batch) // 2
                return [*await self._decide(partition, batch[:middle]), *await self._decide(partition, batch[middle:])]
            log.error("direct_claim_rejected", claim=str(batch[0].claim.claim_id), error=repr(error))
            return [Refused(Refusal.CLAIM_REJECTED)]
        self._lives.note(partition, lifeless=True)
        for outcome in outcomes:
            metrics.DIRECT_CLAIMS.add(type(outcome).__name__.lower())
        return [Next.ASK_LATER if isinstance(outcome, Misrouted) else outcome for outcome in outcomes]


async def _write(connection: Connection, others: Others, partition: PartitionNo, batch: Sequence[Submission]) -> list[Heard]:
    async def lock(connection: Connection) -> Head:
        head = await lock_partition(connection, partition)
        if head.incarnation is not None:
            raise _Alive
        return head

    head = await lock_with_others(connection, partition, lock, others)
    done = await decide_under(connection, head, lock, [submission.claim for submission in batch], None, others)
    return [decision.outcome for decision in done.decisions]

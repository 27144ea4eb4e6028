"""The commit: lock, read, decide, write. One transaction for a whole batch, or for several partitions' batches, fenced by the
epochs of the leases.

What goes wrong is told apart: a constraint that objects means the facts had moved (decide again), a lost connection means
unknown (the cursor in Postgres says whether it was committed), and anything else means that one entry of the batch is
poison, which is found by bisection and put aside so that its neighbours are not hurt.
"""

from collections import Counter
from collections.abc import Sequence

import msgspec
import structlog

from claim_workers.incarnation import Life
from shared import clock, metrics
from shared.book import DECIDE_AGAIN, Head, append, decided, in_transaction, lock_free, lock_partition
from shared.crash_points import crash_point
from shared.deciding import Decided, Mail, Others, decide_all_under, decide_under, decided_with_others, lock_with_others
from shared.domain.ids import DoorId
from shared.domain.ledger import Event, Kind
from shared.domain.operations import SubmitClaim
from shared.domain.outcomes import Heard, Refusal, Refused
from shared.domain.settlement import Settlement
from shared.errors import Fenced, IncarnationOver
from shared.mailbox import Entry, position
from shared.postgres import NO_ANSWER, Connection, Pool
from shared.statements import statement

#: What no bisection would help: none of it is the fault of an entry.
_NOT_POISON = (Fenced, IncarnationOver, *DECIDE_AGAIN, *NO_ANSWER)

log = structlog.get_logger()


class Committed(msgspec.Struct, frozen=True):
    """What a batch came to: whom to tell what, what to set the gates to, and where the mailbox is read on."""

    life: Life
    cursor: str
    outcomes: list[tuple[DoorId, int, Heard]]
    settlements: list[Settlement]


class Batch(msgspec.Struct, frozen=True):
    """Entries that were read, in order, from one life of a partition's mailbox."""

    life: Life
    entries: Sequence[Entry]


async def commit_together(pool: Pool, batches: Sequence[Batch]) -> list[Committed]:
    """Decide and write batches of several partitions in one transaction, as far as that can be done.

    A partition that is not among what is returned is to be committed by itself, where it is found out what is the matter with
    it: it is fenced, or waits for somebody, or one that is with it needs what only its own transaction can get. Raises what
    NO_ANSWER names; what was committed is then told by the cursors.
    """
    started = clock.monotonic()
    try:
        committed = await in_transaction(pool, lambda connection: _decide_all_or_none(connection, batches))
    except NO_ANSWER:
        raise
    except Exception as error:
        log.info("turn_taken_apart", partitions=[batch.life.partition_no for batch in batches], error=repr(error))
        return []
    if committed:
        _count(committed, clock.monotonic() - started)
    return committed


class _Undecided(Exception):
    """Something stood in the way before anything was asked to be committed."""


async def _decide_all_or_none(connection: Connection, batches: Sequence[Batch]) -> list[Committed]:
    try:
        return await _decide_all(connection, batches)
    except Exception as error:
        # Even what would be no answer: it may be one partition's (a bad page), and would be the whole turn's, again and again.
        raise _Undecided(repr(error)) from error


async def _decide_all(connection: Connection, batches: Sequence[Batch]) -> list[Committed]:
    found = {batch.life.partition_no: batch for batch in batches}
    heads = await lock_free(connection, {number: batch.life.epoch for number, batch in found.items()})
    of = [(head, found[head.partition_no]) for head in heads]
    ours = [(batch.life, _mail(head, batch.entries)) for head, batch in of if head.incarnation == batch.life.incarnation]
    if not ours:
        return []
    done = await decide_all_under(connection, [mail for _, mail in ours])
    return [_written(life, mail.cursor, each) for (life, mail), each in zip(ours, done, strict=True)]


class Committer:
    """Commits batches that were read from one life of a partition's mailbox."""

    def __init__(self, pool: Pool, life: Life) -> None:
        self._pool = pool
        self._life = life

    async def commit(self, entries: Sequence[Entry]) -> list[Committed]:
        """Decide and write `entries`, in order. Raises Fenced or IncarnationOver when they are no longer ours to commit.

        One element for each transaction it took: one, unless there was poison. Raises what DECIDE_AGAIN names when the facts
        would not stand still, and what NO_ANSWER names when Postgres did not answer; what was committed is then told by the
        cursor there.
        """
        try:
            return [await self._commit(entries)]
        except _NOT_POISON:
            raise
        except Exception as error:
            if len(entries) == 1:
                return [await self._put_aside(entries[0], error)]
            middle = len(entries) // 2
            return await self.commit(entries[:middle]) + await self.commit(entries[middle:])

    async def _commit(self, entries: Sequence[Entry]) -> Committed:
        started = clock.monotonic()
        committed = await decided_with_others(self._pool, lambda connection, others: self._decide(connection, entries, others))
        _count([committed], clock.monotonic() - started)
        return committed

    async def _decide(self, connection: Connection, entries: Sequence[Entry], others: Others) -> Committed:
        head = await lock_with_others(connection, self._life.partition_no, self._lock, others)
        mail = _mail(head, entries)
        done = await decide_under(connection, head, self._lock, mail.claims, mail.cursor, others)
        return _written(self._life, mail.cursor, done)

    async def _put_aside(self, entry: Entry, error: Exception) -> Committed:
        log.error("dead_letter", partition=self._life.partition_no, entry=entry.entry_id, error=repr(error))
        await decided(self._pool, lambda connection: self._bury(connection, entry, error))
        metrics.DEAD_LETTERS.inc()
        if entry.claim is None:
            return Committed(self._life, entry.entry_id, [], [])
        told = (entry.claim.door, entry.claim.ticket, Refused(Refusal.CLAIM_REJECTED))
        return Committed(self._life, entry.entry_id, [told], [])

    async def _bury(self, connection: Connection, entry: Entry, error: Exception) -> None:
        head = await self._lock(connection)
        await connection.execute(
            statement("dead_letter"),
            head.partition_no,
            self._life.incarnation,
            entry.entry_id,
            None if entry.claim is None else entry.claim.claim_id,
            entry.raw,
            repr(error)[:1000],
        )
        await append(connection, head, [_burial(entry, error)], cursor=entry.entry_id)

    async def _lock(self, connection: Connection) -> Head:
        head = await lock_partition(connection, self._life.partition_no, self._life.epoch)
        if head.incarnation != self._life.incarnation:
            # The cursor belongs to another life of the mailbox than the one these entries came from.
            raise IncarnationOver(f"partition {head.partition_no} is at incarnation {head.incarnation}")
        return head


def _burial(entry: Entry, error: Exception) -> Event:
    story = {"entry_id": entry.entry_id, "error": type(error).__name__}
    if entry.claim is None:
        return Event(Kind.DEAD_LETTERED, None, msgspec.json.encode(story).decode())
    story["user_id"] = entry.claim.user_id.replace("\0", "\N{SYMBOL FOR NULL}")
    return Event(Kind.DEAD_LETTERED, entry.claim.claim_id, msgspec.json.encode(story).decode())


def _count(committed: Sequence[Committed], seconds: float) -> None:
    """Count one transaction."""
    outcomes = [type(outcome).__name__.lower() for each in committed for _, _, outcome in each.outcomes]
    metrics.COMMITS.inc()
    metrics.COMMIT_SECONDS.observe(seconds)
    metrics.BATCH_SIZE.observe(len(outcomes))
    for outcome, number in Counter(outcomes).items():
        metrics.CLAIMS_COMMITTED.labels(outcome).inc(number)


class _Unreadable(Exception):
    """The entry is not a claim."""


def _readable(entry: Entry) -> SubmitClaim:
    if entry.claim is None:
        raise _Unreadable(entry.entry_id)
    return entry.claim


def _mail(head: Head, entries: Sequence[Entry]) -> Mail:
    crash_point("W2")
    entries = _after(entries, head.cursor)
    return Mail(head, [_readable(entry) for entry in entries], entries[-1].entry_id if entries else head.cursor)


def _written(life: Life, cursor: str, done: Decided) -> Committed:
    crash_point("W3")
    told = [(decision.claim.door, decision.claim.ticket, decision.outcome) for decision in done.decisions]
    return Committed(life, cursor, told, done.settlements)


def _after(entries: Sequence[Entry], cursor: str) -> Sequence[Entry]:
    """Those that were not committed already: an earlier commit may have happened although its reply was lost."""
    if not entries or position(entries[0].entry_id) > position(cursor):
        return entries
    return [entry for entry in entries if position(entry.entry_id) > position(cursor)]

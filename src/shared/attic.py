"""The attic: entries that no transaction could hold, until somebody has them decided again, or discards them.

Deciding one again is a claim like any other, under the lock of its partition; that it was done is noted in the same
transaction, so that of two who do it at once one does.
"""

from datetime import datetime
from functools import partial
from typing import Literal, TypeAlias

import asyncpg
import msgspec
from msgspec.structs import replace

from shared.book import DECIDE_AGAIN, lock_partition
from shared.deciding import Decided, Others, decide_under, decided_with_others, lock_with_others
from shared.domain.ids import Incarnation, PartitionNo
from shared.domain.operations import SubmitClaim
from shared.domain.outcomes import Granted, Misrouted, Outcome, Refused
from shared.domain.slices import slice_of
from shared.errors import RedisUnavailable, ShortWrite
from shared.gate import Gate
from shared.mailbox import decode
from shared.postgres import NO_ANSWER, Connection, Pool
from shared.slices import slices_of
from shared.statements import statement

_ERROR_LENGTH = 1_000


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """An entry that was set aside. `claim` None: it cannot be read. `error`: what stood in its way, when it was last tried.

    `outcome`: what deciding it again came to, or why it was discarded.
    """

    letter_no: int
    partition_no: PartitionNo
    entry_id: str
    claim: SubmitClaim | None
    raw: bytes
    error: str
    at: datetime
    tried_at: datetime | None
    replayed_at: datetime | None
    discarded_at: datetime | None
    dealt_by: str | None
    outcome: str | None

    @property
    def state(self) -> Literal["waiting", "replayed", "discarded"]:
        if self.replayed_at is not None:
            return "replayed"
        return "waiting" if self.discarded_at is None else "discarded"


class Replay(msgspec.Struct, frozen=True):
    """The claim was decided again. `settled`: its gate knows of it."""

    outcome: Outcome
    settled: bool


class StillPoison(msgspec.Struct, frozen=True):
    """It cannot be decided now either, and goes on waiting."""

    error: str


class Unreadable(msgspec.Struct, frozen=True):
    """It is no claim, and can only be discarded."""


#: A letter: it does not wait any more. None: there is none of that number.
Dealt: TypeAlias = Replay | StillPoison | Unreadable | Letter | None


async def waiting(connection: Connection) -> int:
    """How many letters wait."""
    number: int = await connection.fetchval(statement("letters_waiting"))
    return number


async def page(connection: Connection, after: int, most: int, *, all_of_them: bool) -> list[Letter]:
    """Letters in the order in which they came, from behind the one of that number on; those that wait, or all of them."""
    return [_letter(row) for row in await connection.fetch(statement("letters"), after, most, not all_of_them)]


async def find(connection: Connection, letter_no: int) -> Letter | None:
    """The letter of that number."""
    row = await connection.fetchrow(statement("letter"), letter_no)
    return None if row is None else _letter(row)


async def replay(pool: Pool, gate: Gate, letter_no: int, by: str) -> Dealt:
    """Decide a letter's claim again, in the name of `by`; committed when this returns.

    Raises RedisUnavailable, before anything is decided, when the gate could not be told; what DECIDE_AGAIN and NO_ANSWER name
    when Postgres would not have it now.
    """
    async with pool.acquire() as connection:
        letter = await find(connection, letter_no)
        if letter is None or letter.state != "waiting":
            return letter
        if letter.claim is None:
            return Unreadable()
        slices = await slices_of(connection, letter.claim.campaign_id)
    claim, partition = letter.claim, letter.partition_no
    if slices:
        # It may have been split, or have moved, since.
        part = slices[slice_of(claim.user_id, len(slices))]
        claim, partition = replace(claim, slice_no=part.slice_no), part.partition_no
    decide = partial(_decide, gate=gate, letter_no=letter_no, claim=claim, partition=partition, by=by)
    try:
        done = await decided_with_others(pool, decide)
    except (RedisUnavailable, *DECIDE_AGAIN, *NO_ANSWER):
        raise
    except Exception as error:
        told = repr(error)[:_ERROR_LENGTH]
        await pool.execute(statement("letter_tried"), letter_no, told)
        return StillPoison(told)
    if not isinstance(done, _Done):
        return done
    return Replay(_outcome(done.decided), await _settled(gate, partition, done))


async def discard(pool: Pool, letter_no: int, by: str, why: str) -> Letter | None:
    """Discard a letter if it waits, in the name of `by`; the letter as it stands then."""
    async with pool.acquire() as connection:
        await connection.execute(statement("discard_letter"), letter_no, by, why)
        return await find(connection, letter_no)


def told(outcome: Outcome) -> str:
    """What a claim came to, in a few words."""
    match outcome:
        case Granted():
            return "granted"
        case Refused(reason):
            return f"refused: {reason}"
        case _:
            return "granted before"


class _Done(msgspec.Struct, frozen=True):
    decided: Decided
    incarnation: Incarnation | None


async def _decide(
    connection: Connection,
    others: Others,
    *,
    gate: Gate,
    letter_no: int,
    claim: SubmitClaim,
    partition: PartitionNo,
    by: str,
) -> _Done | Letter | None:
    lock = partial(lock_partition, partition_no=partition)
    head = await lock_with_others(connection, partition, lock, others)
    if await connection.fetchval(statement("lock_letter"), letter_no) is None:
        return await find(connection, letter_no)
    if head.incarnation is not None:
        # Gates would refuse who wins here: nothing is decided that they cannot be told of.
        await gate.living(partition)
    done = await decide_under(connection, head, lock, [claim], None, others)
    await connection.execute(statement("letter_replayed"), letter_no, by, told(_outcome(done)))
    return _Done(done, head.incarnation)


def _outcome(done: Decided) -> Outcome:
    """What the one claim came to. Raises ShortWrite when its slice has moved since it was looked for."""
    outcome = done.decisions[0].outcome
    if isinstance(outcome, Misrouted):
        raise ShortWrite
    return outcome


async def _settled(gate: Gate, partition: PartitionNo, done: _Done) -> bool:
    """Tell the gates of the life in which it was decided; those of a later one are made out of Postgres."""
    try:
        if done.incarnation is not None:
            await gate.settle(partition, done.incarnation, done.decided.settlements)
    except RedisUnavailable:
        return False
    return True


def _letter(row: asyncpg.Record) -> Letter:
    columns = dict(row)
    raw = columns.pop("entry")
    return Letter(claim=decode(row["entry_id"], raw).claim, raw=raw, **columns)

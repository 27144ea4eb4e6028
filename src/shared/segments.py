"""Segments in Postgres: lists of users that campaigns' audiences are told by.

A list replaces its segment whole, in one transaction, while claims go on being judged by the one before. It is written through
a connection of its own: however slowly it arrives, nobody who claims waits for it.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import date, datetime

import asyncpg
import msgspec

from shared.domain.ids import UserId
from shared.domain.segment import BadLine, Member
from shared.errors import ShortWrite
from shared.postgres import Connection, Pool
from shared.statements import statement

#: For the whole of a list, however large.
_LOAD_TIMEOUT_S = 600.0
_SERVER_SETTINGS = {"application_name": "lastslot segments", "statement_timeout": f"{_LOAD_TIMEOUT_S:.0f}s", "jit": "off"}


class Segment(msgspec.Struct, frozen=True):
    """A segment and how many users belong to it."""

    name: str
    members: int
    loaded_at: datetime


async def replace(dsn: str, name: str, members: AsyncIterator[Member]) -> Segment:
    """Make the segment what `members` says, all of it or nothing. Raises BadLine when a user is named twice.

    What `members` raises passes, and leaves the segment as it was.
    """
    connection = await asyncpg.connect(dsn, timeout=10, server_settings=_SERVER_SETTINGS)
    try:
        async with connection.transaction():
            return await _replace(connection, name, members)
    finally:
        await connection.close(timeout=5)


async def listed(connection: Connection) -> list[Segment]:
    """All segments, by name."""
    return [Segment(*row) for row in await connection.fetch(statement("segments"))]


async def delete(connection: Connection, name: str) -> Segment | None:
    """Forget a segment at once; what it was, None when there was none. See `clear` for what it leaves behind."""
    row = await connection.fetchrow(statement("delete_segment"), name)
    return None if row is None else Segment(*row)


async def clear(pool: Pool, at_a_time: int = 10_000) -> int:
    """Clear away what deleted segments have left, a little at a time; how many members that were. It may be broken off."""
    cleared = 0
    while some := await pool.fetchval(statement("clear_members"), at_a_time):
        cleared += some
    await pool.execute(statement("clear_segments"))
    return cleared


async def memberships(connection: Connection, users: Sequence[UserId]) -> dict[UserId, dict[str, date | None]]:
    """The segments of each of `users`, and since when they belong, where the list says so."""
    found: dict[UserId, dict[str, date | None]] = {user: {} for user in users}
    for user, name, since in await connection.fetch(statement("memberships"), list(found)):
        found[user][name] = since
    return found


async def _replace(connection: Connection, name: str, members: AsyncIterator[Member]) -> Segment:
    await connection.execute(statement("stage_segment"))
    await connection.copy_records_to_table(
        "staged_members",
        records=((member.line, member.user_id, member.since) async for member in members),
        columns=["line", "user_id", "since"],
        timeout=_LOAD_TIMEOUT_S,
    )
    if (line := await connection.fetchval(statement("staged_twice"))) is not None:
        raise BadLine(line, "names a user who was named before")
    # Its row first: of two who replace the same segment at once, the second waits here.
    row = await connection.fetchrow(statement("put_segment"), name)
    if row is None:
        raise ShortWrite
    segment_no, *segment = row
    await connection.execute(statement("drop_members"), segment_no)
    await connection.execute(statement("add_members"), segment_no)
    return Segment(*segment)

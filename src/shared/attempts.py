"""Attempts in Postgres: written by the front doors, read by who looks for guessers, forgotten by the month."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal

import msgspec

from shared.audit import snapshot
from shared.domain.ids import CampaignId
from shared.postgres import Connection
from shared.statements import statement

#: How many months there are tables for beyond the running one.
MONTHS_AHEAD = 2

By = Literal["user", "ip", "campaign"]

_COLUMNS = ("at", "call", "result", "user_id", "ip", "code", "campaign_id", "claim_id", "door")


class Offender(msgspec.Struct, frozen=True):
    """Who or what attempts were made by, or of: how many, with which results, the most frequent first."""

    subject: str
    attempts: int
    results: dict[str, int]


async def write(connection: Connection, rows: Sequence[tuple[Any, ...]], traffic: Mapping[CampaignId, int]) -> None:
    """Write rows, column by column as in _COLUMNS, and add to the campaigns' traffic of this minute of Postgres's clock.

    All or nothing. A COPY alone is that by itself; a transaction around it would cost two more round trips.
    """
    if not traffic:
        await _copy(connection, rows)
        return
    async with connection.transaction():
        await _copy(connection, rows)
        # Last, because other front doors wait for these rows.
        await connection.execute(statement("count_traffic"), list(traffic), list(traffic.values()))


async def _copy(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    if rows:
        await connection.copy_records_to_table("redemption_attempts", records=rows, columns=_COLUMNS)


async def keep_months(connection: Connection, kept: int) -> list[str]:
    """Have tables for the months to come, and forget those before the last `kept`; the names of the forgotten."""
    await connection.execute(statement("make_attempt_months"), MONTHS_AHEAD)
    return [name for (name,) in await connection.fetch(statement("drop_attempt_months"), kept)]


async def top(dsn: str, by: By, since: timedelta, result: str | None, most: int) -> list[Offender]:
    """Whose attempts were most, in the time before now; only those with that result, if one is named."""
    async with snapshot(dsn) as connection:
        rows = await connection.fetch(statement("top_attempts"), by, since, result, most)
    return [Offender(subject, number, msgspec.json.decode(results)) for subject, number, results in rows]

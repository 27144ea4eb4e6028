"""The velocity guard in Postgres: what is asked of campaigns, what was announced for them, and the guard's pauses.

Anybody may judge at any time, and several at once: a pause is written under the lock of the campaign's partition, where what
it is judged by is read again.
"""

from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from shared import campaign_reading, campaigns
from shared.book import decided
from shared.campaigns import Committed
from shared.domain.campaign import CampaignStatus
from shared.domain.ids import CampaignId, UserId
from shared.domain.ledger import Kind
from shared.domain.velocity import OPENING, TRAILING, Excess, Launch, Policy, Traffic, excess
from shared.postgres import Connection, Pool
from shared.slices import lock_slices
from shared.statements import statement

#: By whom the ledger says that the guard's pauses are.
GUARD = UserId("velocity-guard")

#: For how long, and how often, an alert is sent again that was not taken.
TELL_WITHIN_S = 3_600.0
TELL_AGAIN_AFTER_S = 5.0
TELL_WITHIN_TRIES = 10

_launches = msgspec.json.Decoder(list[Launch]).decode


class GuardPause(msgspec.Struct, frozen=True):
    """A pause by the guard: `attempts` in the minute from `minute` on, where `baseline` a minute were usual."""

    paused_at: datetime
    minute: datetime
    attempts: int
    baseline: float
    factor: int


class Paused(msgspec.Struct, frozen=True):
    """A campaign as the guard's pause left it, and why."""

    made: Committed
    why: Excess


class Untold(msgspec.Struct, frozen=True):
    """A pause of which the webhook has not heard."""

    campaign_id: UUID
    name: str
    code: str | None
    pause: GuardPause


async def in_excess(connection: Connection, policy: Policy, campaign: CampaignId | None = None) -> dict[CampaignId, Excess]:
    """Active campaigns that are asked for too much, in this minute or the last (`campaign`: of this one alone)."""
    rows = await connection.fetch(statement("velocity_facts"), policy.floor, TRAILING, campaign)
    judged = ((row["campaign_id"], excess(_traffic(row), _known_launches(row), policy)) for row in rows)
    return {CampaignId(campaign_id): found for campaign_id, found in judged if found is not None}


async def pause(pool: Pool, campaign_id: CampaignId, policy: Policy) -> Paused | None:
    """Pause a campaign if it is asked for too much; None when it is not, or is paused already. Committed when this returns."""

    async def write(connection: Connection) -> Paused | None:
        locked = await lock_slices(connection, campaign_id)
        why = (await in_excess(connection, policy, campaign_id)).get(campaign_id)
        known = await campaign_reading.read(connection, campaign_id)
        if why is None or known is None:
            return None
        after = msgspec.structs.replace(known.campaign, status=CampaignStatus.PAUSED)
        said, now = msgspec.structs.asdict(why), max(head.now for head in locked[1].values())
        made = await campaigns.write_change(connection, locked, known, after, GUARD, Kind.PAUSED_BY_GUARD, **said)
        await connection.execute(statement("note_guard_pause"), campaign_id, now, *said.values())
        return Paused(made, why)

    return await decided(pool, write)


async def pause_in_force(connection: Connection, campaign_id: CampaignId) -> GuardPause | None:
    """The guard's pause that the campaign has not been resumed from."""
    row = await connection.fetchrow(statement("guard_pause_in_force"), campaign_id)
    return None if row is None else GuardPause(*row)


async def announce(connection: Connection, campaign_id: CampaignId, launch: Launch, by: UserId) -> None:
    """Write a launch down; announced twice it is one."""
    await connection.execute(statement("announce_launch"), campaign_id, launch.starts_at, launch.ends_at, by)


async def launches(connection: Connection, campaign_id: CampaignId) -> list[Launch]:
    """What was announced for the campaign and is not over, the next first."""
    return [Launch(*row) for row in await connection.fetch(statement("launches"), campaign_id)]


async def untold(connection: Connection) -> Untold | None:
    """A pause that is to be told of now. Nobody else gets it for some seconds; after that, whoever asks."""
    row = await connection.fetchrow(statement("untold_pause"), TELL_WITHIN_S, TELL_WITHIN_TRIES, TELL_AGAIN_AFTER_S)
    return None if row is None else Untold(row[0], row[1], row[2], GuardPause(*row[3:]))


async def told(connection: Connection, pause: Untold) -> None:
    """It has been heard of."""
    await connection.execute(statement("pause_told"), pause.campaign_id, pause.pause.paused_at)


def _traffic(row: asyncpg.Record) -> Traffic:
    return Traffic(**{field: row[field] for field in Traffic.__struct_fields__})


def _known_launches(row: asyncpg.Record) -> list[Launch]:
    """What was announced, and the campaign's own beginning."""
    opens = row["starts_at"]
    return _launches(row["launches"] or "[]") + ([] if opens is None else [Launch(opens, opens + OPENING)])

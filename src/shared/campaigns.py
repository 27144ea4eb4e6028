"""Campaigns in Postgres: made, changed, paused, resumed, ended, and what is held of them.

Changes take the direct path: lock the partition (its owner waits), read, decide, write, and a line in the ledger, so that a
claim is judged either by the terms before or by those after. The answer is durable before it is given, and comes with what
the gate has to be set to.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import asyncpg
import msgspec

from shared.book import append, lock_partition
from shared.catalogue import campaign_of
from shared.domain.campaign import Campaign, CampaignStatus, closed_by_status
from shared.domain.draft import CampaignChange, Fault, frees_slots, revised
from shared.domain.ids import CampaignId, PartitionNo, UserId, home_partition
from shared.domain.ledger import Event, Kind
from shared.domain.settlement import Settlement
from shared.errors import ShortWrite
from shared.postgres import Connection, Pool
from shared.statements import statement

T = TypeVar("T")

_ATTEMPTS = 3
#: The facts had moved under the decision.
_DECIDE_AGAIN = (ShortWrite, asyncpg.IntegrityConstraintViolationError, asyncpg.TransactionRollbackError)


class Committed(msgspec.Struct, frozen=True):
    """A campaign as it stands in Postgres now, how many slots are held, and what its gate has to be set to."""

    campaign: Campaign
    claimed: int
    partition_no: PartitionNo
    settlement: Settlement


class CampaignUnknown(msgspec.Struct, frozen=True):
    """There is no campaign of that id."""


class CampaignEnded(msgspec.Struct, frozen=True):
    """The campaign has ended, and stays as it is."""


class CodeTaken(msgspec.Struct, frozen=True):
    """The code belongs, for ever, to another campaign."""


class LimitBelowClaimed(msgspec.Struct, frozen=True):
    """More slots are held than the limit would allow."""

    claimed: int


class Faulty(msgspec.Struct, frozen=True):
    """The change would make a campaign that cannot be."""

    faults: list[Fault]


ChangeRefused = CampaignUnknown | CampaignEnded | LimitBelowClaimed | Faulty


class Stats(msgspec.Struct, frozen=True):
    """A campaign's numbers in one snapshot, all of them exact.

    `claimed` counts slots that are held (whether redeemed or not), `redeemed` those of them whose checkout is done,
    `released` claims that were given back; `remaining` is null for an unlimited campaign.
    """

    campaign_id: CampaignId
    status: CampaignStatus
    total_limit: int | None
    claimed: int
    redeemed: int
    released: int
    remaining: int | None


async def create(pool: Pool, campaign: Campaign, by: UserId) -> Committed | CodeTaken:
    """Commit a planned campaign (see `domain.draft.planned`). `by` goes into the ledger."""

    async def write(connection: Connection) -> Committed | CodeTaken:
        partition_no = home_partition(campaign.campaign_id)
        head = await lock_partition(connection, partition_no)
        version = await connection.fetchval(statement("insert_campaign"), *_created(campaign))
        if version is None:
            return CodeTaken()
        created = msgspec.structs.replace(campaign, version=version)
        seq = await append(connection, head, [_event(Kind.CAMPAIGN_CREATED, created, by)])
        return _committed(created, 0, seq)

    return await _decided(pool, write)


async def change(pool: Pool, campaign_id: CampaignId, asked: CampaignChange, by: UserId) -> Committed | ChangeRefused:
    """Commit a change. One that changes nothing writes nothing, and is answered alike."""

    def decide(before: Campaign, claimed: int) -> Campaign | ChangeRefused:
        if before.status is CampaignStatus.ENDED:
            return CampaignEnded()
        after = revised(before, asked)
        if not isinstance(after, Campaign):
            return Faulty(after)
        if after.total_limit is not None and after.total_limit < claimed:
            return LimitBelowClaimed(claimed)
        return after

    return await _rewrite(pool, campaign_id, decide, by)


async def set_status(pool: Pool, campaign_id: CampaignId, status: CampaignStatus, by: UserId) -> Committed | ChangeRefused:
    """Pause, resume or end a campaign. It may be in that status already; an ended one stays ended."""

    def decide(before: Campaign, claimed: int) -> Campaign | ChangeRefused:
        if before.status is CampaignStatus.ENDED and status is not CampaignStatus.ENDED:
            return CampaignEnded()
        return msgspec.structs.replace(before, status=status)

    return await _rewrite(pool, campaign_id, decide, by)


async def read(connection: Connection, campaign_id: CampaignId) -> tuple[Campaign, int] | None:
    """A campaign and how many of its slots are held; None when there is no such campaign."""
    row = await connection.fetchrow(statement("campaigns_by_id"), [campaign_id])
    return None if row is None else (campaign_of(row), row["claimed"])


async def page(connection: Connection, after: CampaignId | None, size: int) -> list[tuple[Campaign, int]]:
    """Up to `size` campaigns, the newest first, each with how many of its slots are held, going on behind `after`."""
    ids = [row["campaign_id"] for row in await connection.fetch(statement("campaign_page"), after, size)]
    rows = {row["campaign_id"]: row for row in await connection.fetch(statement("campaigns_by_id"), ids)}
    return [(campaign_of(rows[campaign_id]), rows[campaign_id]["claimed"]) for campaign_id in ids]


async def stats(connection: Connection, campaign_id: CampaignId) -> Stats | None:
    """The campaign's numbers; None when there is no such campaign."""
    row = await connection.fetchrow(statement("campaign_stats"), campaign_id)
    if row is None:
        return None
    status, total_limit, claimed, redeemed, released = row
    remaining = None if total_limit is None else total_limit - claimed
    return Stats(campaign_id, CampaignStatus(status), total_limit, claimed, redeemed, released, remaining)


Decide = Callable[[Campaign, int], Campaign | ChangeRefused]


async def _rewrite(pool: Pool, campaign_id: CampaignId, decide: Decide, by: UserId) -> Committed | ChangeRefused:
    async def write(connection: Connection) -> Committed | ChangeRefused:
        head = await lock_partition(connection, home_partition(campaign_id))
        known = await read(connection, campaign_id)
        if known is None:
            return CampaignUnknown()
        before, claimed = known
        after = decide(before, claimed)
        if not isinstance(after, Campaign):
            return after
        if after == before:
            return _committed(before, claimed, head.last_seq)
        version = await connection.fetchval(statement("update_campaign"), *_changed(before, after))
        if version is None:
            raise ShortWrite
        written = msgspec.structs.replace(after, version=version)
        seq = await append(connection, head, [_event(Kind.CAMPAIGN_CHANGED, written, by)])
        return _committed(written, claimed, seq)

    return await _decided(pool, write)


async def _decided(pool: Pool, write: Callable[[Connection], Awaitable[T]]) -> T:
    """Run `write` in a transaction, again when the facts had moved. Postgres's errors pass after a few times."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return await _transaction(pool, write)
        except _DECIDE_AGAIN:
            continue
    return await _transaction(pool, write)


async def _transaction(pool: Pool, write: Callable[[Connection], Awaitable[T]]) -> T:
    async with pool.acquire(timeout=5) as connection, connection.transaction():
        return await write(connection)


def _created(campaign: Campaign) -> tuple[Any, ...]:
    return (
        campaign.campaign_id,
        campaign.name,
        campaign.type,
        campaign.code,
        campaign.discount,
        campaign.total_limit,
        campaign.per_user_limit,
        campaign.timezone,
        campaign.starts_at,
        campaign.ends_at,
        campaign.status,
        campaign.release_on_failure,
        campaign.release_on_refund,
        home_partition(campaign.campaign_id),
    )


def _changed(before: Campaign, after: Campaign) -> tuple[Any, ...]:
    return (
        after.campaign_id,
        after.name,
        after.discount,
        after.total_limit,
        after.per_user_limit,
        after.starts_at,
        after.ends_at,
        after.status,
        after.release_on_failure,
        after.release_on_refund,
        home_partition(after.campaign_id),
        frees_slots(before, after),
    )


def _event(kind: Kind, campaign: Campaign, by: UserId) -> Event:
    return Event(kind, None, msgspec.json.encode({"by": by, "campaign": campaign}).decode())


def _committed(campaign: Campaign, claimed: int, seq: int) -> Committed:
    settlement = Settlement(
        campaign_id=campaign.campaign_id,
        seq=seq,
        free=None if campaign.total_limit is None else campaign.total_limit - claimed,
        per_user_limit=campaign.per_user_limit,
        closed=closed_by_status(campaign.status),
        users={},
    )
    return Committed(campaign, claimed, home_partition(campaign.campaign_id), settlement)

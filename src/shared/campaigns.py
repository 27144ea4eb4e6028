"""Campaigns in Postgres: made, changed, paused, resumed, ended.

Changes take the direct path: lock the partition (its owner waits), read, decide, write, and a line in the ledger, so that a
claim is judged either by the terms before or by those after. The answer is durable before it is given, and comes with what
the gates have to be set to.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET

from shared.answered import Call, KeyReused, recalled, remember
from shared.book import append, decided, lock_codes
from shared.campaign_reading import Known, read
from shared.domain.campaign import Campaign, CampaignStatus, StackingRules, budget
from shared.domain.draft import CampaignChange, Fault, frees_slots, revised
from shared.domain.ids import PARTITIONS, CampaignId, PartitionNo, UserId, home_partition
from shared.domain.ledger import Event, Kind
from shared.domain.settlement import Settlement
from shared.domain.slices import spread
from shared.errors import ShortWrite
from shared.postgres import Connection, Pool
from shared.slices import Heads, SliceRow, lock_partitions, lock_slices
from shared.statements import statement

#: Of campaigns with stacking rules all batches have to know.
_EVERYWHERE = tuple(map(PartitionNo, range(PARTITIONS)))


class Committed(Known, frozen=True):
    """A campaign as it stands in Postgres now, and what the gates of its slices have to be set to."""

    settlements: list[tuple[PartitionNo, Settlement]]


class CampaignUnknown(msgspec.Struct, frozen=True):
    """There is no campaign of that id."""


class CampaignEnded(msgspec.Struct, frozen=True):
    """The campaign has ended, and stays as it is."""


class CodeTaken(msgspec.Struct, frozen=True):
    """The code belongs, for ever, to another campaign."""


class LimitBelowClaimed(msgspec.Struct, frozen=True):
    """More slots are held than the limit would allow."""

    claimed: int


class AmountLimitBelowClaimed(msgspec.Struct, frozen=True):
    """More money is given than the limit would allow."""

    amount_claimed: int


class Faulty(msgspec.Struct, frozen=True):
    """The change would make a campaign that cannot be."""

    faults: list[Fault]


ChangeRefused = CampaignUnknown | CampaignEnded | LimitBelowClaimed | AmountLimitBelowClaimed | Faulty


async def create(
    pool: Pool, campaign: Campaign, by: UserId, spelling: str | None = None, call: Call | None = None
) -> Committed | Known | CodeTaken | KeyReused:
    """Commit a planned campaign (see `domain.draft.planned`). `by` goes into the ledger.

    `spelling`: its code as it has to be written, if the campaign is exact (see `domain.code.spelling`). If `call` was answered
    before, the campaign that it made, as it stands now.
    """
    spelt = (spelling or campaign.code) if campaign.exact else None

    async def write(connection: Connection) -> Committed | Known | CodeTaken | KeyReused:
        if campaign.code is not None or call is not None:
            await lock_codes(connection)
        before = await recalled(connection, call, UUID)
        if before is not None:
            return before if isinstance(before, KeyReused) else await _made(connection, CampaignId(before))
        home = home_partition(campaign.campaign_id)
        head = (await lock_partitions(connection, _EVERYWHERE if campaign.stacking_rules is not None else [home]))[home]
        version = await connection.fetchval(statement("insert_campaign"), campaign, spelt, home, budget(campaign))
        if version is None:
            return CodeTaken()
        dry = campaign.type == "pool" and campaign.code is not None
        created = Known(msgspec.structs.replace(campaign, version=version), 0, 0, dry)
        seq = await append(connection, head, [event(Kind.CAMPAIGN_CREATED, created.campaign, by)])
        await remember(connection, call, campaign.campaign_id)
        return committed(created, {home: seq})

    return await decided(pool, write)


async def change(pool: Pool, campaign_id: CampaignId, asked: CampaignChange, by: UserId) -> Committed | ChangeRefused:
    """Commit a change. One that changes nothing writes nothing, and is answered alike."""

    def decide(known: Known) -> Campaign | ChangeRefused:
        if known.campaign.status is CampaignStatus.ENDED:
            return CampaignEnded()
        after = revised(known.campaign, asked)
        if not isinstance(after, Campaign):
            return Faulty(after)
        if after.total_limit is not None and after.total_limit < known.claimed:
            return LimitBelowClaimed(known.claimed)
        if after.amount_limit is not None and after.amount_limit < known.amount_claimed:
            return AmountLimitBelowClaimed(known.amount_claimed)
        return after

    ruled = isinstance(asked.stacking_rules, StackingRules)
    reopened = asked.ends_at is not UNSET or asked.ends_on is not UNSET
    return await _rewrite(pool, campaign_id, decide, by, everywhere=ruled or reopened)


async def set_status(pool: Pool, campaign_id: CampaignId, status: CampaignStatus, by: UserId) -> Committed | ChangeRefused:
    """Pause, resume or end a campaign. It may be in that status already; an ended one stays ended."""

    def decide(known: Known) -> Campaign | ChangeRefused:
        if known.campaign.status is CampaignStatus.ENDED and status is not CampaignStatus.ENDED:
            return CampaignEnded()
        return msgspec.structs.replace(known.campaign, status=status)

    return await _rewrite(pool, campaign_id, decide, by, everywhere=False)


async def write_change(
    connection: Connection,
    locked: tuple[list[SliceRow], Heads],
    known: Known,
    after: Campaign,
    by: UserId,
    kind: Kind = Kind.CAMPAIGN_CHANGED,
    **said: Any,
) -> Committed:
    """Write `after` in the place of `known`, which was read while the partitions of all its slices were `locked`.

    `kind` and `said`: what the ledgers of these partitions call it, and tell beside the campaign.
    """
    slices, heads = locked
    before = known.campaign
    version = await connection.fetchval(
        statement("update_campaign"),
        after,
        frees_slots(before, after),
        [part.slice_no for part in slices],
        [part.partition_no for part in slices],
        _budgets(budget(before), budget(after), [(part.budget, part.claimed) for part in slices]),
        _budgets(before.amount_limit, after.amount_limit, [(part.amount_budget, part.amount_claimed) for part in slices]),
    )
    if version is None:
        raise ShortWrite
    written = msgspec.structs.replace(known, campaign=msgspec.structs.replace(after, version=version))
    told = [event(kind, written.campaign, by, **said)]
    seqs = {part.partition_no: await append(connection, heads[part.partition_no], told) for part in slices}
    return committed(written, seqs, held=_held(slices))


def _held(slices: Sequence[SliceRow]) -> bool:
    return any(part.held_at is not None for part in slices)


def _budgets(before: int | None, after: int | None, slices: Sequence[tuple[int | None, int]]) -> list[int | None]:
    """What each slice has of a limit: what it had, unless the limit is another."""
    return [had for had, _ in slices] if before == after else spread(after, [held for _, held in slices])


async def _made(connection: Connection, campaign_id: CampaignId) -> Known:
    known = await read(connection, campaign_id)
    if known is None:
        raise ShortWrite
    return known


Decide = Callable[[Known], Campaign | ChangeRefused]


async def _rewrite(
    pool: Pool, campaign_id: CampaignId, decide: Decide, by: UserId, *, everywhere: bool
) -> Committed | ChangeRefused:
    async def write(connection: Connection) -> Committed | ChangeRefused:
        # An order's codes may live in any partitions, so a batch anywhere must either see that there are rules (of a campaign
        # that is not over, see `claim_facts.sql`), or be over.
        locked = await lock_slices(connection, campaign_id, _EVERYWHERE if everywhere else ())
        known = await read(connection, campaign_id)
        if known is None:
            return CampaignUnknown()
        after = decide(known)
        if not isinstance(after, Campaign):
            return after
        if _written(after) == _written(known.campaign):
            return committed(known, {place: head.last_seq for place, head in locked[1].items()}, held=_held(locked[0]))
        return await write_change(connection, locked, known, after, by)

    return await decided(pool, write)


def _written(campaign: Campaign) -> bytes:
    """To compare by: in Python 1 equals true, which a filter tells apart."""
    return msgspec.json.encode(campaign)


def event(kind: Kind, campaign: Campaign, by: UserId, **said: Any) -> Event:
    """What a ledger tells of a campaign, and beside it."""
    return Event(kind, None, msgspec.json.encode({"by": by, **said, "campaign": campaign}).decode())


def committed(known: Known, seqs: Mapping[PartitionNo, int], *, held: bool = False) -> Committed:
    """A campaign as written, with its partitions' ledgers at `seqs`. `held`: nobody is let in, its slices are about to move."""
    campaign, claimed, amount_claimed = known.campaign, known.claimed, known.amount_claimed
    settlements = [
        (
            part.partition_no,
            Settlement.of(
                campaign.campaign_id,
                seqs[part.partition_no],
                budget=budget(campaign),
                claimed=claimed,
                amount_budget=campaign.amount_limit,
                amount_claimed=amount_claimed,
                per_user_limit=campaign.per_user_limit,
                status=campaign.status,
                users={},
                dry=known.dry,
                layout=part.layout,
                held=held,
            ),
        )
        for part in campaign.slices
    ]
    return Committed(campaign, claimed, amount_claimed, known.dry, settlements)

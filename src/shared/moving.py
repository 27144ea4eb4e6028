"""Campaigns that are cut into slices, and moved to other partitions, while they run: the part that Postgres plays.

First nobody is let in any more (`hold`); when what waits is decided and no certificate of the old gates is good any more, one
transaction puts the slices where they are to live (`put`). It finds the hold as it was made, or does nothing: a hold that is
older than HOLD_MAX_S is lifted by the partitions' owners, under their locks, so that a mover who died harms nobody for longer.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from shared import campaign_reading
from shared.book import append, decided
from shared.campaign_reading import Known
from shared.campaigns import CampaignEnded, CampaignUnknown, Committed, committed, event
from shared.domain.campaign import CampaignStatus, Slice
from shared.domain.ids import PARTITIONS, CampaignId, PartitionNo, UserId
from shared.domain.ledger import Kind
from shared.domain.settlement import Settlement
from shared.domain.slices import MAX_SLICES, spread
from shared.errors import ShortWrite
from shared.gate_facts import gate_facts
from shared.postgres import Connection, Pool
from shared.slices import Heads, SliceRow, lock_slices
from shared.statements import statement

#: After so long a hold is nobody's any more.
HOLD_MAX_S = 3.0


class NotShared(msgspec.Struct, frozen=True):
    """Single-use codes are given out one after the other: such a campaign lives in one partition."""


class SplitAlready(msgspec.Struct, frozen=True):
    """The campaign has more slices than it is to have, or than can be moved as one."""

    slices: int


class OutOfRange(msgspec.Struct, frozen=True):
    """There are no so many slices, or no such partition."""

    what: str


class OnTheMove(msgspec.Struct, frozen=True):
    """Somebody else moves the campaign just now."""


class NotDrained(msgspec.Struct, frozen=True):
    """What waits in a partition's mailbox is not being decided; the campaign stays where it is."""

    partition_no: PartitionNo


class Split(msgspec.Struct, frozen=True):
    """Cut a campaign into so many slices; those that it has stay where they are."""

    slices: int


class Move(msgspec.Struct, frozen=True):
    """Have a campaign of one slice live in this partition."""

    partition: int


Gates = list[tuple[PartitionNo, Settlement]]
Wish = Split | Move
MoveRefused = CampaignUnknown | CampaignEnded | NotShared | SplitAlready | OutOfRange | OnTheMove | NotDrained


class Held(msgspec.Struct, frozen=True):
    """A campaign that nobody is let into since `at`, and what its gates have to be set to."""

    known: Known
    at: datetime
    gates: Gates


async def hold(pool: Pool, campaign_id: CampaignId, wish: Wish, by: UserId) -> Held | Committed | MoveRefused:
    """Let nobody into a campaign that is to be moved. Committed: it is as it is wished to be."""

    async def write(connection: Connection) -> Held | Committed | MoveRefused:
        slices, heads = await lock_slices(connection, campaign_id)
        known = await campaign_reading.read(connection, campaign_id)
        if known is None:
            return CampaignUnknown()
        refused = _refused(known, slices, wish)
        if refused is not None:
            return refused
        if _is_so(slices, wish):
            return committed(known, {partition: head.last_seq for partition, head in heads.items()})
        held = await connection.fetch(statement("hold_admission"), campaign_id, HOLD_MAX_S)
        if not held:
            return OnTheMove()
        for head in heads.values():
            await append(connection, head, [event(Kind.ADMISSION_HELD, known.campaign, by)])
        return Held(known, held[0]["held_at"], await _gates(connection, heads, campaign_id))

    return await decided(pool, write)


async def put(pool: Pool, held: Held, wish: Wish, by: UserId) -> Committed | OnTheMove:
    """Put a campaign's slices where they are wished to live, with budgets as even as they can be above what is claimed."""
    campaign = held.known.campaign

    async def write(connection: Connection) -> Committed | OnTheMove:
        wished = await _places(connection, [part.partition_no for part in campaign.slices], wish)
        slices, heads = await lock_slices(connection, campaign.campaign_id, wished)
        known = await campaign_reading.read(connection, campaign.campaign_id)
        if known is None or any(part.held_at != held.at for part in slices):
            return OnTheMove()
        return await _put(connection, heads, known, slices, wished, by)

    return await decided(pool, write)


async def lift(pool: Pool, held: Held) -> Gates:
    """Let people in again: the slices stay where they are. What their gates have to be set to."""
    named = held.known.campaign.campaign_id

    async def write(connection: Connection) -> Gates:
        _, heads = await lock_slices(connection, named)
        await connection.execute(statement("lift_hold"), named, held.at)
        return await _gates(connection, heads, named)

    return await decided(pool, write)


async def _gates(connection: Connection, heads: Heads, campaign_id: CampaignId) -> Gates:
    return [(partition, each) for partition in heads for each in await gate_facts(connection, partition, [campaign_id])]


def _refused(known: Known, slices: Sequence[SliceRow], wish: Wish) -> MoveRefused | None:
    match wish:
        case Split(wanted) if not 1 <= wanted <= MAX_SLICES:
            return OutOfRange(f"slices must be between 1 and {MAX_SLICES}")
        case Move(partition) if not 0 <= partition < PARTITIONS:
            return OutOfRange(f"partition must be between 0 and {PARTITIONS - 1}")
    if known.campaign.status is CampaignStatus.ENDED:
        return CampaignEnded()
    if isinstance(wish, Split) and wish.slices > 1 and known.campaign.type != "shared":
        return NotShared()
    if len(slices) > (wish.slices if isinstance(wish, Split) else 1):
        return SplitAlready(len(slices))
    return None


def _is_so(slices: Sequence[SliceRow], wish: Wish) -> bool:
    return len(slices) == wish.slices if isinstance(wish, Split) else slices[0].partition_no == wish.partition


async def _places(connection: Connection, now: list[PartitionNo], wish: Wish) -> list[PartitionNo]:
    """Where the slices are to live, in their order: new ones where the fewest others do."""
    if isinstance(wish, Move):
        return [PartitionNo(wish.partition)]
    roomy = [PartitionNo(partition) for (partition,) in await connection.fetch(statement("roomy_partitions"))]
    return [*now, *(partition for partition in roomy if partition not in now)][: wish.slices]


async def _put(
    connection: Connection,
    heads: Heads,
    known: Known,
    slices: Sequence[SliceRow],
    wished: Sequence[PartitionNo],
    by: UserId,
) -> Committed:
    new = [0] * (len(wished) - len(slices))
    budgets = spread(_total([part.budget for part in slices]), [*(part.claimed for part in slices), *new])
    amounts = spread(_total([part.amount_budget for part in slices]), [*(part.amount_claimed for part in slices), *new])
    named = known.campaign.campaign_id
    layout = await connection.fetchval(statement("put_slices"), named, list(range(len(wished))), list(wished), budgets, amounts)
    if layout is None:
        raise ShortWrite
    places = tuple(Slice(number, partition, layout) for number, partition in enumerate(wished))
    moved = msgspec.structs.replace(known.campaign, version=layout, slices=places)
    told = event(Kind.SLICES_MOVED, moved, by, budgets=budgets, amount_budgets=amounts)
    seqs = {partition: await append(connection, head, [told]) for partition, head in heads.items()}
    return committed(msgspec.structs.replace(known, campaign=moved), seqs)


def _total(budgets: Sequence[int | None]) -> int | None:
    bounded = [budget for budget in budgets if budget is not None]
    return sum(bounded) if bounded else None

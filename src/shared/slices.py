"""The slices of a campaign in Postgres, read and locked together.

Whoever changes what several slices have holds the rows of all their partitions, locked in ascending order, so that two who do
so wait for each other, but not for ever.
"""

from collections.abc import Collection, Mapping
from datetime import datetime

import msgspec

from shared.book import Head, lock_partition
from shared.domain.ids import CampaignId, PartitionNo
from shared.errors import ShortWrite
from shared.postgres import Connection
from shared.statements import statement

Heads = Mapping[PartitionNo, Head]


class SliceRow(msgspec.Struct, frozen=True):
    """A slice as committed. `held_at`: since when nobody is let in, because slices are about to move."""

    slice_no: int
    partition_no: PartitionNo
    budget: int | None
    claimed: int
    amount_budget: int | None
    amount_claimed: int
    held_at: datetime | None


async def slices_of(connection: Connection, campaign_id: CampaignId) -> list[SliceRow]:
    """A campaign's slices in order; none when there is no such campaign."""
    return [SliceRow(*row) for row in await connection.fetch(statement("slices_of"), campaign_id)]


async def lock_partitions(connection: Connection, partitions: Collection[PartitionNo]) -> Heads:
    """Lock these partitions, in ascending order, until the end of the transaction."""
    return {partition: await lock_partition(connection, partition) for partition in sorted(partitions)}


async def lock_slices(
    connection: Connection, campaign_id: CampaignId, also: Collection[PartitionNo] = ()
) -> tuple[list[SliceRow], Heads]:
    """A campaign's slices, with the partitions of all of them locked, and those beside which `also` names.

    Raises ShortWrite when one has moved before its partition was locked.
    """
    before = {part.partition_no for part in await slices_of(connection, campaign_id)}
    heads = await lock_partitions(connection, before | set(also))
    found = await slices_of(connection, campaign_id)
    if not heads.keys() >= {part.partition_no for part in found}:
        raise ShortWrite
    return found, heads

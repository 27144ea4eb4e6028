"""Campaigns as administrators read them: the terms as committed, what is held, and the numbers."""

import asyncpg
import msgspec

from shared.catalogue import campaign_of
from shared.domain.campaign import Campaign, CampaignStatus
from shared.domain.ids import CampaignId
from shared.postgres import Connection
from shared.statements import statement


class Known(msgspec.Struct, frozen=True):
    """A campaign as committed, and what is held of it: slots, and money in minor units.

    `dry`: it is a pool whose public code has no code left to give.
    """

    campaign: Campaign
    claimed: int
    amount_claimed: int
    dry: bool


class Stats(msgspec.Struct, frozen=True):
    """A campaign's numbers in one snapshot, all of them exact.

    `claimed` counts slots that are held (whether redeemed or not), `redeemed` those of them whose checkout is done,
    `released` claims that were given back; `remaining` is null for an unlimited campaign. Money is in minor units.
    """

    campaign_id: CampaignId
    status: CampaignStatus
    total_limit: int | None
    claimed: int
    redeemed: int
    released: int
    remaining: int | None
    amount_limit: int | None
    amount_claimed: int


async def read(connection: Connection, campaign_id: CampaignId) -> Known | None:
    """A campaign and what is held of it; None when there is no such campaign."""
    row = await connection.fetchrow(statement("campaigns_by_id"), [campaign_id])
    return None if row is None else _known(row)


async def page(connection: Connection, after: CampaignId | None, size: int) -> list[Known]:
    """Up to `size` campaigns, the newest first, going on behind `after`."""
    ids = [row["campaign_id"] for row in await connection.fetch(statement("campaign_page"), after, size)]
    found = [_known(row) for row in await connection.fetch(statement("campaigns_by_id"), ids)]
    return sorted(found, key=lambda known: ids.index(known.campaign.campaign_id))


async def stats(connection: Connection, campaign_id: CampaignId) -> Stats | None:
    """The campaign's numbers; None when there is no such campaign."""
    row = await connection.fetchrow(statement("campaign_stats"), campaign_id)
    if row is None:
        return None
    status, total_limit, claimed, redeemed, released, slots, amount_limit, amount_claimed = row
    return Stats(
        campaign_id=campaign_id,
        status=CampaignStatus(status),
        total_limit=total_limit,
        claimed=claimed,
        redeemed=redeemed,
        released=released,
        remaining=None if slots is None else slots - claimed,
        amount_limit=amount_limit,
        amount_claimed=amount_claimed,
    )


def _known(row: asyncpg.Record) -> Known:
    return Known(campaign_of(row["document"]), row["claimed"], row["amount_claimed"], row["dry"])

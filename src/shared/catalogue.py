"""Campaigns as everybody looks them up: by the codes people type, many at a time."""

from collections.abc import Iterable

import asyncpg
import msgspec

from shared.domain.campaign import Campaign
from shared.domain.code import Code
from shared.domain.ids import CampaignId
from shared.postgres import Connection
from shared.statements import statement


async def campaigns_by_code(connection: Connection, codes: Iterable[Code]) -> dict[Code, Campaign]:
    """The campaigns of those of `codes` that exist, as last committed."""
    rows = await connection.fetch(statement("campaigns_by_code"), list(codes))
    return {Code(row["typed"]): campaign_of(row) for row in rows}


async def versions(connection: Connection, campaigns: Iterable[CampaignId]) -> dict[CampaignId, int]:
    """The committed versions of those of `campaigns` that exist."""
    rows = await connection.fetch(statement("campaign_versions"), list(campaigns))
    return {CampaignId(campaign_id): version for campaign_id, version in rows}


def campaign_of(row: asyncpg.Record) -> Campaign:
    """A campaign out of a row that has its fields (others are passed over)."""
    return msgspec.convert(dict(row), Campaign)

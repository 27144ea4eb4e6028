"""Codes and campaigns as everybody looks them up: by what people type, many at a time."""

from collections.abc import Iterable

import msgspec

from shared.domain.campaign import Campaign
from shared.domain.code import Code
from shared.domain.ids import CampaignId, UserId
from shared.postgres import Connection
from shared.statements import statement

_campaign = msgspec.json.Decoder(Campaign).decode


class KnownCode(msgspec.Struct, frozen=True, gc=False):
    """What a code is for ever, whoever has taken it: it may be kept as long as one likes.

    `single_use`: good for one claim, not shared. `intended_user`: whom alone it was made for. `spelling`: how it must be
    written (see `domain.code.spelling`); None: as one likes.
    """

    code: Code
    code_id: int
    campaign_id: CampaignId
    single_use: bool
    intended_user: UserId | None
    spelling: str | None


async def codes_by_code(connection: Connection, codes: Iterable[Code]) -> dict[Code, KnownCode]:
    """Those of `codes` that exist."""
    rows = await connection.fetch(statement("codes_by_code"), list(codes))
    return {row["code"]: KnownCode(*row) for row in rows}


async def used_codes(connection: Connection, codes: Iterable[Code]) -> list[Code]:
    """Those of `codes` that are good for one claim, and that some claim has taken."""
    return [Code(code) for (code,) in await connection.fetch(statement("used_codes"), list(codes))]


async def campaigns_by_id(connection: Connection, campaigns: Iterable[CampaignId]) -> dict[CampaignId, Campaign]:
    """Those of `campaigns` that exist, as last committed."""
    rows = await connection.fetch(statement("campaigns_by_id"), list(campaigns))
    return {campaign.campaign_id: campaign for campaign in (campaign_of(document) for document, *_ in rows)}


async def versions(connection: Connection, campaigns: Iterable[CampaignId]) -> dict[CampaignId, int]:
    """The committed versions of those of `campaigns` that exist."""
    rows = await connection.fetch(statement("campaign_versions"), list(campaigns))
    return {CampaignId(campaign_id): version for campaign_id, version in rows}


def campaign_of(document: str) -> Campaign:
    """A campaign out of what `campaign_document` makes of its row."""
    return _campaign(document)

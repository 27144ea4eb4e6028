"""What gates are to be set to, read from Postgres in one snapshot with the ledger's sequence."""

from collections.abc import Collection
from uuid import UUID

import msgspec

from shared.domain.campaign import CampaignStatus
from shared.domain.ids import CampaignId, PartitionNo, UserId
from shared.domain.settlement import Settlement
from shared.postgres import Connection
from shared.statements import statement


async def gate_facts(connection: Connection, partition: PartitionNo, campaigns: Collection[CampaignId]) -> list[Settlement]:
    """What the gates of those of `campaigns` that live in the partition are to be set to, but for their users."""
    return [
        Settlement.of(
            CampaignId(row["campaign_id"]),
            row["seq"],
            budget=row["budget"],
            claimed=row["claimed"],
            amount_budget=row["amount_budget"],
            amount_claimed=row["amount_claimed"],
            per_user_limit=row["per_user_limit"],
            status=CampaignStatus(row["status"]),
            users={},
            dry=row["dry"],
            layout=row["layout"],
            held=row["held"],
        )
        for row in await connection.fetch(statement("gate_facts"), partition, list(campaigns))
    ]


async def settlements_of(connection: Connection, partition: PartitionNo, redemptions: Collection[UUID]) -> list[Settlement]:
    """The gates that these redemptions concern, with what their users hold. In a transaction that sees one snapshot, or holds
    the partition's lock."""
    users: dict[CampaignId, dict[UserId, int]] = {}
    for campaign, user, active in await connection.fetch(statement("winners"), list(redemptions)):
        users.setdefault(CampaignId(campaign), {})[UserId(user)] = active
    facts = await gate_facts(connection, partition, users)
    return [msgspec.structs.replace(each, users=users[each.campaign_id]) for each in facts]

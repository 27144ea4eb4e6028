"""What tests do with campaigns beside the shop: mint codes, choose partitions, count answers, and look into the database."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import asyncpg

from shared.clock import monotonic
from tests.acceptance.client import Client
from tests.acceptance.history import Ask, Reply

#: For those who are in no hurry: an answer late in a burst is an answer, and not a claim to poll.
PATIENT = "wait=30"
#: For so long a slot that was given back may be hidden.
HIDDEN_AT_MOST_S = 2.0


def told(replies: Iterable[Reply]) -> Counter[tuple[int, str | None]]:
    """How often each answer was given."""
    return Counter((reply.status, reply.code) for reply in replies)


def winners(replies: Iterable[Reply]) -> list[dict[str, Any]]:
    """The redemptions that were newly taken."""
    return [reply.body for reply in replies if reply.status == 201]


async def wins_at_last(client: Client, ask: Ask, *, base_url: str | None = None, within_s: float = HIDDEN_AT_MOST_S) -> Reply:
    """Ask until a slot that was given back can be had: it is held back while a front door may still say sold out."""
    deadline = monotonic() + within_s
    while (reply := await client.insist(ask, base_url=base_url)).code == "exhausted":
        assert monotonic() < deadline, "the slot stays hidden"
        await asyncio.sleep(0.02)
    assert reply.status == 201, reply
    return reply


async def mint(client: Client, campaign: Mapping[str, Any], **wish: Any) -> list[str]:
    """Mint codes; those made for users in the order of these, the others in the order in which they are given out."""
    reply = await client.administer("POST", f"/api/v1/campaigns/{campaign['campaign_id']}/codes", wish)
    assert reply.status == 201, reply
    return reply.body.get("codes") or [row["code"] for row in await code_rows(client, campaign)]


async def code_rows(client: Client, campaign: Mapping[str, Any]) -> list[asyncpg.Record]:
    """The campaign's single-use codes as committed."""
    return await rows(
        client,
        "SELECT * FROM codes WHERE campaign_id = $1 AND state <> 'shared' ORDER BY code_id",
        campaign["campaign_id"],
    )


async def partition_of(client: Client, campaign: Mapping[str, Any]) -> int:
    """Where the campaign lives."""
    [row] = await rows(client, "SELECT partition_no FROM campaign_slices WHERE campaign_id = $1", campaign["campaign_id"])
    partition: int = row["partition_no"]
    return partition


async def campaign_elsewhere(client: Client, campaign: Mapping[str, Any], **terms: Any) -> dict[str, Any]:
    """A campaign on `terms` that lives in another partition."""
    here = await partition_of(client, campaign)
    while await partition_of(client, other := await client.campaign(**terms)) == here:
        pass
    return other


async def rows(client: Client, statement: str, *arguments: Any) -> list[asyncpg.Record]:
    """Run one statement on the stack's database."""
    connection = await asyncpg.connect(client.stack.postgres_dsn)
    try:
        return await connection.fetch(statement, *arguments)
    finally:
        await connection.close()

"""Redis says whatever somebody wrote into it, in the middle of a burst: the totals stay the same, and nothing stays hidden.

While its values are wrong somebody may be told "sold out" too early. Nobody gets too much, no winner is refused, and after a
second without requests the next one finds what is free.
"""

import asyncio
from typing import Any
from uuid import UUID

import psycopg
import pytest
from redis.asyncio import Redis

from lastslot.running import Stack
from shared.domain.ids import CampaignId, Incarnation, PartitionNo, UserId, claim_id
from tests.acceptance.client import Client
from tests.garbage import GARBAGE, PARTITION_GARBAGE, Garbage, Target

PEOPLE, SLOTS = 16, 6
STRIKES, PAUSE_S = 4, 0.1

#: Gates in use are set again within a second.
QUIET_S = 1.0

Campaigns = dict[str, dict[str, Any]]


@pytest.mark.parametrize("kinds", [GARBAGE, PARTITION_GARBAGE], ids=["of a campaign", "of a partition"])
async def test_garbage_in_a_burst_gives_nobody_too_much_and_hides_nothing_for_long(
    stack: Stack, client: Client, kinds: dict[str, Garbage]
) -> None:
    campaigns = {kind: await client.campaign(total_limit=SLOTS) for kind in kinds}
    asks = [client.ask(campaign, f"user-{number}") for number in range(PEOPLE) for campaign in campaigns.values()]
    async with Redis.from_url(stack.redis_url) as redis:
        await asyncio.gather(client.burst(asks, at_once=100), strike(stack, redis, kinds, campaigns))
    await asyncio.sleep(QUIET_S)
    await asyncio.gather(*(sell_the_rest(client, campaign) for campaign in campaigns.values()))
    for kind, campaign in campaigns.items():
        proof = await client.proof(campaign)
        assert (proof.redemptions, proof.active, proof.users, proof.claimed) == (SLOTS,) * 4, kind
    again = await client.burst(list(client.history.successes()))
    assert {reply.status for reply in again} == {200}


async def strike(stack: Stack, redis: Redis, kinds: dict[str, Garbage], campaigns: Campaigns) -> None:
    """Spoil each campaign in its own way, again and again while people claim."""
    for _ in range(STRIKES):
        await asyncio.sleep(PAUSE_S)
        targets = await aimed(stack, redis, campaigns)
        await asyncio.gather(*(kinds[kind](target) for kind, target in targets.items()))


async def aimed(stack: Stack, redis: Redis, campaigns: Campaigns) -> dict[str, Target]:
    """Where the campaigns are now; a life may have begun since."""
    ids = [campaign["campaign_id"] for campaign in campaigns.values()]
    with psycopg.connect(stack.postgres_dsn) as connection:
        rows = connection.execute(
            "SELECT campaign_id, partition_no, incarnation FROM campaign_slices JOIN partitions USING (partition_no) "
            "WHERE campaign_id = ANY (%s::uuid[])",
            (ids,),
        ).fetchall()
    homes = {campaign_id: (PartitionNo(partition), Incarnation(life)) for campaign_id, partition, life in rows}
    return {
        kind: Target(
            redis,
            *homes[UUID(campaign["campaign_id"])],
            CampaignId(UUID(campaign["campaign_id"])),
            claim_id(UserId("x"), campaign["code"]),
        )
        for kind, campaign in campaigns.items()
    }


async def sell_the_rest(client: Client, campaign: dict[str, Any]) -> None:
    """Newcomers, until one is told that nothing is left."""
    for number in range(SLOTS + 1):
        reply = await client.insist(client.ask(campaign, f"newcomer-{number}"))
        if reply.status != 201:
            assert reply.code == "exhausted", reply
            return

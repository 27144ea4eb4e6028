"""Owners who alone do not reach Redis: the front doors do, and its gates go on, with nobody behind them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from claim_workers.consumer import Stores
from frontdoor.submissions import Answer, Undecided
from shared.audit import audit
from shared.domain.campaign import Campaign
from shared.domain.ids import ClaimId, PartitionNo, UserId, claim_id
from shared.domain.outcomes import Granted, Refusal, Refused, Replayed
from tests.integration.campaign_door import Client, door_of, headers, served
from tests.integration.engine import Door, by_way_of, home, launch, open_door, shard_at_work, until
from tests.proxy import Link, network

PARTITION = PartitionNo(5)
SOLD_OUT = Refused(Refusal.EXHAUSTED)

#: Until the owner's last word has run out and it has ended the life; the machine may be busy.
ENDED_WITHIN_S = 15.0


@asynccontextmanager
async def cut_off_owner(stores: Stores, redis_url: str) -> AsyncIterator[Link]:
    """A shard at work, and the link by which it reaches Redis."""
    with network() as net:
        link = net.to(redis_url)
        async with by_way_of(stores, link) as its_stores, shard_at_work(its_stores):
            await until(lambda: lives(stores))
            yield link
            link.heal()


async def lives(stores: Stores) -> bool:
    alive: bool = await stores.pool.fetchval(
        "SELECT incarnation IS NOT NULL FROM partitions WHERE partition_no = $1", PARTITION
    )
    return alive


async def ended(stores: Stores) -> bool:
    return not await lives(stores)


async def cursor(stores: Stores) -> str:
    """How far the owner has come with the mailbox of the present life."""
    read: str = await stores.pool.fetchval("SELECT cursor FROM partitions WHERE partition_no = $1", PARTITION)
    return read


async def polled(client: Client, claim: ClaimId, campaign: Campaign) -> int:
    answer = await client.get(f"/api/v1/claims/{claim}?partition={home(campaign)}", headers=headers())
    return answer.status


async def all_ask(doors: list[Door], campaign: Campaign, people: range) -> list[Answer]:
    """Each at a door of his own choice, with the usual patience."""
    asking = (doors[number % len(doors)].redeem(campaign, f"user {number}", wait_s=2.0) for number in people)
    return await asyncio.gather(*asking)


async def test_while_owners_alone_are_cut_off_everybody_is_answered_and_afterwards_the_gate_is_asked_again(
    stores: Stores, redis_url: str, postgres_dsn: str
) -> None:
    campaign = await launch(stores.pool, 30, partition=PARTITION)
    someone = claim_id(UserId("someone"), "k")
    async with (
        cut_off_owner(stores, redis_url) as link,
        open_door(stores.pool, redis_url, "one") as one,
        open_door(stores.pool, redis_url, "two") as two,
        served(door_of(postgres_dsn, stores.pool, stores.redis)) as client,
    ):
        doors = [one, two]
        assert isinstance(await one.redeem(campaign, "user 0"), Granted)
        link.silence()
        assert await two.redeem(campaign, "someone", wait_s=0.0) == Undecided(PARTITION)
        assert await polled(client, someone, campaign) == 202
        await until(lambda: ended(stores), ENDED_WITHIN_S)

        assert await polled(client, someone, campaign) == 404, "to be sent again"
        assert isinstance(await two.redeem(campaign, "someone", wait_s=0.0), Granted | Replayed)
        cold = await launch(stores.pool, 2, partition=PARTITION)
        assert [type(each) for each in await all_ask(doors, cold, range(100, 102))] == [Granted, Granted]
        first = await all_ask(doors, campaign, range(1, 20))
        assert [type(each) for each in first] == [Granted] * 19
        assert await cursor(stores) != "0-0", "of the life that is over"

        link.heal()
        await until(lambda: lives(stores), ENDED_WITHIN_S)
        assert await cursor(stores) == "0-0"
        rest = await all_ask(doors, campaign, range(50))
        assert await cursor(stores) != "0-0", "the new life's gate was asked, and its owner has decided"
        assert all(isinstance(each, Granted | Replayed) for each in rest[:20]), "what was won without it is in it"
        assert sum(isinstance(each, Granted) for each in rest[20:]) == 9
        assert rest.count(SOLD_OUT) == 21
    report = await audit(postgres_dsn)
    assert report.clean, report.faults

"""Polling for what became of a claim, on real stores."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from claim_workers.consumer import Stores
from frontdoor.render import pending
from lastslot.ports import free_port
from shared import keys
from shared.domain.ids import ClaimId, UserId, claim_id
from shared.domain.outcomes import Granted
from shared.redis_client import open_redis
from tests.integration.campaign_door import Client, door_of, headers, served
from tests.integration.engine import Owner, claim_of, home, launch, open_door, posted, shard_at_work, until

SOMEONE = headers()
CLAIM = claim_id(UserId("someone"), "k")


@pytest.fixture
async def client(stores: Stores, postgres_dsn: str) -> AsyncIterator[Client]:
    async with served(door_of(postgres_dsn, stores.pool, stores.redis)) as client:
        yield client


@pytest.fixture
async def without_redis(stores: Stores, postgres_dsn: str) -> AsyncIterator[Client]:
    async with (
        open_redis(f"redis://127.0.0.1:{free_port()}") as nowhere,
        served(door_of(postgres_dsn, stores.pool, nowhere)) as client,
    ):
        yield client


@pytest.mark.parametrize("query", ["", "?partition={home}", "?wait=0&partition={home}", "?partition={home}&wait=0"])
async def test_a_claim_that_waits_is_found_however_it_is_asked_for(
    stores: Stores, redis_url: str, client: Client, query: str
) -> None:
    campaign = await launch(stores.pool, 5)
    owner = await Owner.of(stores.pool, stores.redis, home(campaign))
    async with open_door(stores.pool, redis_url) as door:
        asking = asyncio.create_task(door.redeem(campaign, "someone", wait_s=0))

        async def answered() -> bool:
            post = await owner.mailbox.read(owner.cursor, "0-0", 512, 1)
            await owner.settler.seed(post.cold, owner.cursor)
            return asking.done()

        await until(answered)
    answer = await client.get(f"/api/v1/claims/{CLAIM}{query.format(home=home(campaign))}", headers=SOMEONE)
    where = pending(CLAIM, home(campaign)).location
    assert (answer.status, answer.headers["Location"]) == (202, where)
    assert (await answer.json())["location"] == where


async def test_a_claim_in_a_mailbox_that_nobody_will_read_does_not_wait(stores: Stores, client: Client) -> None:
    """Its owner could not reach Redis, and has ended that life: whoever polls is to send it again."""
    campaign = await launch(stores.pool, 5)
    owner = await Owner.of(stores.pool, stores.redis, home(campaign))
    await owner.settler.seed([campaign.campaign_id], owner.cursor)
    await owner.ask((campaign, claim_of(campaign, "someone")))
    await stores.pool.execute("UPDATE partitions SET incarnation = NULL")
    for query in ("", f"?partition={home(campaign)}"):
        answer = await client.get(f"/api/v1/claims/{CLAIM}{query}", headers=SOMEONE)
        assert (answer.status, (await answer.json())["code"]) == (404, "claim_unknown")


async def test_what_it_was_refused_with_before_is_no_answer_to_a_claim_that_nobody_will_read(
    stores: Stores, client: Client
) -> None:
    campaign = await launch(stores.pool, 1)
    owner = await Owner.of(stores.pool, stores.redis, home(campaign))
    await owner.committer.commit(posted([claim_of(campaign, user) for user in ("another", "someone")]))
    where = f"/api/v1/claims/{CLAIM}"
    assert (await (await client.get(where, headers=SOMEONE)).json())["code"] == "exhausted"
    reserved = f"{campaign.campaign_id.hex}someone"
    await stores.redis.hset(keys.reservations(home(campaign), owner.life.incarnation), CLAIM.hex, reserved)  # type: ignore[misc]
    await stores.pool.execute("UPDATE partitions SET incarnation = NULL")
    answer = await client.get(where, headers=SOMEONE)
    assert (answer.status, (await answer.json())["code"]) == (404, "claim_unknown")


async def test_without_redis_a_success_is_shown_and_nothing_else_is_known(
    stores: Stores, redis_url: str, without_redis: Client
) -> None:
    campaign = await launch(stores.pool, 1)
    async with open_door(stores.pool, redis_url) as door, shard_at_work(stores):
        assert isinstance(await door.redeem(campaign, "someone"), Granted)
        await door.redeem(campaign, "someone", "late")
    won = await without_redis.get(f"/api/v1/claims/{CLAIM}", headers=SOMEONE)
    assert (won.status, (await won.json())["state"]) == (200, "claimed")
    late: ClaimId = claim_id(UserId("someone"), "late")
    unknown = await without_redis.get(f"/api/v1/claims/{late}", headers=SOMEONE)
    assert (unknown.status, (await unknown.json())["code"]) == (503, "unavailable")

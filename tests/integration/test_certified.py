"""Whatever a front door still holds a certificate of, and whatever Redis comes back with, a winner is never told no."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from claim_workers.consumer import Stores
from frontdoor import tokens
from frontdoor.app import application, opened_door
from frontdoor.certificates import Certificates
from frontdoor.context import Door
from shared import campaigns, clock, keys, lifecycle
from shared.domain.campaign import Campaign
from shared.domain.draft import CampaignChange
from shared.domain.ids import UserId
from shared.domain.outcomes import Granted, Refusal, Refused, Replayed
from shared.domain.redemption import Step
from shared.gate import CampaignAsk, Verdict
from shared.settings import Settings
from tests.integration.engine import Owner, claim_of, home, launch, open_door, opened_stores, shard_at_work, until
from tests.servers import embedded_redis, running

SECRET = "only-for-tests-only-for-tests-only-for-tests"


@asynccontextmanager
async def served(dsn: str, redis_url: str) -> AsyncIterator[tuple[Door, TestClient[web.Request, web.Application]]]:
    """A whole front door, over HTTP."""
    settings = Settings(postgres_dsn=dsn, redis_url=redis_url, jwt_secret=SECRET, rate_limits="off")
    async with opened_door(settings) as door, TestClient(TestServer(application(door))) as client:
        yield door, client


def bearer(user: str, *scopes: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens.issue(SECRET, user, scopes)}"}


async def redeem(client: Any, campaign: Campaign, user: str) -> int:
    """What `user` is answered once it is known, asking again until then as clients do."""
    status = 503
    async with asyncio.timeout(10):
        while status in (202, 503):
            answer = await client.post(
                "/api/v1/coupons/redeem",
                json={"code": campaign.code, "order_id": "order"},
                headers={**bearer(user), "Idempotency-Key": "k"},
            )
            status = answer.status
    return status


async def commit_waits(stores: Stores) -> bool:
    waits: bool = await stores.pool.fetchval(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' "
        "AND query LIKE '%locked AS MATERIALIZED%' AND query NOT LIKE '%pg_stat_activity%')"
    )
    return waits


async def owns_all(shard: Any) -> bool:
    return len(await shard.owned()) == 16


async def test_a_winner_after_a_campaign_was_resumed_is_not_refused_by_a_door_that_heard_of_it_late(
    stores: Stores, postgres_dsn: str, redis_url: str
) -> None:
    campaign = await launch(stores.pool, 5)
    async with (
        served(postgres_dsn, redis_url) as (one, late),
        served(postgres_dsn, redis_url) as (_, early),
        shard_at_work(stores),
    ):
        path = f"/api/v1/campaigns/{campaign.campaign_id}"
        await early.post(f"{path}/pause", headers=bearer("admin", "admin"))

        async def certified() -> bool:
            await redeem(late, campaign, "somebody")
            return one.certificates.refusal(campaign.campaign_id, UserId("b"), clock.monotonic()) is not None

        await until(certified)
        assert (await early.post(f"{path}/resume", headers=bearer("admin", "admin"))).status == 200
        assert await redeem(early, campaign, "b") in (200, 201)
        assert await redeem(late, campaign, "b") == 200


@pytest.mark.parametrize(
    ("shut", "opened"),
    [
        ({"starts_at": "2999-01-01T00:00"}, {"starts_at": "2000-01-01T00:00"}),
        ({"starts_at": "2000-01-01T00:00", "ends_at": "2001-01-01T00:00"}, {"ends_at": "2999-01-01T00:00"}),
    ],
    ids=["not_started", "expired"],
)
async def test_a_winner_after_a_window_was_opened_is_not_refused_by_a_door_that_heard_of_it_late(
    stores: Stores, postgres_dsn: str, redis_url: str, shut: dict[str, Any], opened: dict[str, str]
) -> None:
    campaign = await launch(stores.pool, 5, **shut)
    async with (
        served(postgres_dsn, redis_url) as (_, late),
        served(postgres_dsn, redis_url) as (_, early),
        shard_at_work(stores),
    ):
        assert await redeem(late, campaign, "somebody") in (409, 410)
        path = f"/api/v1/campaigns/{campaign.campaign_id}"
        assert (await early.patch(path, json=opened, headers=bearer("admin", "admin"))).status == 200
        assert await redeem(early, campaign, "b") in (200, 201)
        assert await redeem(late, campaign, "b") == 200


async def test_a_freed_slot_is_not_seeded_anew_while_a_certificate_of_the_life_before_is_good(stores: Stores) -> None:
    """Freed in silence; certified once more by a gate that did not know; flushed and seeded at once."""
    campaign = await launch(stores.pool, 1, partition=5, release_on_failure=True)
    owner = await Owner.of(stores.pool, stores.redis, home(campaign))
    await owner.settler.seed([campaign.campaign_id], owner.cursor)
    await owner.ask((campaign, claim_of(campaign, "a")))
    await owner.turn()
    await lifecycle.take(stores.pool, claim_of(campaign, "a").claim_id, Step.RELEASE_FOR_FAILURE)
    held, asked_at = Certificates(10), clock.monotonic()
    _, [reply] = await owner.ask((campaign, claim_of(campaign, "x")))
    held.take(CampaignAsk(campaign.campaign_id, "", b"", 0), reply, asked_at)
    await stores.redis.flushall()
    owner = await Owner.of(stores.pool, stores.redis, home(campaign), fresh=True)
    while (await owner.ask((campaign, claim_of(campaign, "b"))))[0] != [Verdict.ADMITTED]:
        await owner.turn()
    [committed] = await owner.commit()
    assert isinstance(committed.outcomes[0][2], Granted)
    # b has won, and asks again at the other door.
    assert held.refusal(campaign.campaign_id, UserId("b"), clock.monotonic()) is None


async def test_a_slot_that_was_given_back_in_silence_is_found_by_the_next_who_asks(stores: Stores, redis_url: str) -> None:
    """The door that released it died before it could tell the gate; nobody has asked since the last change of owner."""
    campaign = await launch(stores.pool, 1, partition=5, release_on_failure=True)
    async with open_door(stores.pool, redis_url) as door:
        async with shard_at_work(stores, "one"):
            won = await door.redeem(campaign, "a")
            assert isinstance(won, Granted)
            await asyncio.sleep(1.5)  # its last tick
        async with shard_at_work(stores, "two") as two:
            await until(lambda: owns_all(two))
            await lifecycle.take(stores.pool, won.redemption.redemption_id, Step.RELEASE_FOR_FAILURE)
            await asyncio.sleep(3.0)
            assert isinstance(await door.redeem(campaign, "b"), Granted)


async def test_a_redis_that_came_back_older_while_postgres_was_awaited_is_noticed(postgres_dsn: str, tmp_path: Path) -> None:
    with running(embedded_redis(tmp_path)) as server:
        async with opened_stores(postgres_dsn, server.url) as stores, shard_at_work(stores, ttl_s=30.0):
            campaign = await launch(stores.pool, 2, partition=5)
            async with open_door(stores.pool, server.url) as door:

                async def warm() -> bool:
                    await door.desk.survey(home(campaign), [campaign])
                    life = await stores.gate.living(home(campaign))
                    gate = "" if life is None else keys.gate(home(campaign), life, campaign.campaign_id)
                    return bool(await stores.redis.exists(gate))

                await until(warm)
                before = await stores.gate.living(home(campaign))
                shutil.copytree(server.directory, tmp_path / "copy")
                won = await door.redeem(campaign, "a")
                assert isinstance(won, Granted)
                async with stores.pool.acquire() as connection, connection.transaction():
                    await connection.execute("SELECT FROM partitions WHERE partition_no = $1 FOR UPDATE", home(campaign))
                    second = asyncio.create_task(door.redeem(campaign, "b", wait_s=10))
                    await until(lambda: commit_waits(stores))
                    server.stop()
                    shutil.rmtree(server.directory)
                    shutil.copytree(tmp_path / "copy", server.directory)
                    server.start()
                assert isinstance(await second, Granted | Replayed)
                await asyncio.sleep(3)
                assert await door.redeem(campaign, "a") == Replayed(won.redemption)
                assert await stores.gate.living(home(campaign)) != before


async def test_a_redis_that_was_restarted_from_an_older_copy_refuses_no_winner(postgres_dsn: str, tmp_path: Path) -> None:
    """Until the owner has noticed, the old life's pointer, gates and users are there, and doors believe them."""
    with running(embedded_redis(tmp_path)) as server:
        async with opened_stores(postgres_dsn, server.url) as stores, shard_at_work(stores):
            campaign = await launch(stores.pool, 1, partition=5)
            async with open_door(stores.pool, server.url) as door:
                assert isinstance(await door.redeem(campaign, "a"), Granted)
                assert await door.redeem(campaign, "x") == Refused(Refusal.EXHAUSTED)
                shutil.copytree(server.directory, tmp_path / "copy")
                raised = await campaigns.change(
                    stores.pool, campaign.campaign_id, CampaignChange(total_limit=2), UserId("admin")
                )
                assert isinstance(raised, campaigns.Committed)
                await asyncio.sleep(1.5)
                won = await door.redeem(campaign, "b")
                assert isinstance(won, Granted)
                refused, stopping = [], asyncio.Event()

                async def asks_again() -> None:
                    while not stopping.is_set():
                        answer = await door.redeem(campaign, "b", wait_s=0.3)
                        certified = door.certificates.refusal(campaign.campaign_id, UserId("b"), clock.monotonic())
                        if isinstance(answer, Refused) or certified:
                            refused.append((answer, certified))
                        await asyncio.sleep(0.002)

                asking = asyncio.create_task(asks_again())

                def restart() -> None:
                    server.stop()
                    shutil.rmtree(server.directory)
                    shutil.copytree(tmp_path / "copy", server.directory)
                    server.start()

                await asyncio.to_thread(restart)
                await asyncio.sleep(1.5)
                stopping.set()
                await asking
                assert not refused, (len(refused), refused[0])

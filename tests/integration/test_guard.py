"""The velocity guard on real stores: it pauses what is rushed for unannounced, says why, and leaves the rest alone."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from structlog.testing import capture_logs

from claim_workers.consumer import Stores
from claim_workers.guard import Guard
from claim_workers.jobs import forget_traffic
from frontdoor import tokens
from frontdoor.app import application, opened_door
from shared import attempts, campaigns, clock, velocity
from shared.domain.campaign import Campaign, CampaignStatus
from shared.domain.ids import UserId
from shared.domain.velocity import Launch, Policy
from shared.history import history
from shared.postgres import Pool
from shared.settings import Settings
from tests.integration.engine import launch, opened_stores, shard_at_work, until

SECRET = "only-for-tests-only-for-tests-only-for-tests"
POLICY = Policy(factor=100, floor=1_000)
ADMIN = UserId("admin")
HOUR = timedelta(hours=1)


async def asked(pool: Pool, campaign: Campaign, rate: int, hours: float = 3.0) -> None:
    """As if the campaign had been asked for so often in every minute of those hours, but for this and the last."""
    await pool.execute(
        "INSERT INTO campaign_traffic SELECT $1, minute, $2 FROM generate_series("
        "date_trunc('minute', now()) - $3 * interval '1 minute', date_trunc('minute', now()) - interval '2 minutes', "
        "interval '1 minute') AS minute",
        campaign.campaign_id,
        rate,
        round(hours * 60) + 1,
    )


async def rush(pool: Pool, campaign: Campaign, number: int) -> None:
    """As if a front door had counted so many attempts just now."""
    async with pool.acquire() as connection:
        await attempts.write(connection, [], {campaign.campaign_id: number})


async def status(pool: Pool, campaign: Campaign) -> str:
    found: str = await pool.fetchval("SELECT status FROM campaigns WHERE campaign_id = $1", campaign.campaign_id)
    return found


async def judged(pool: Pool, campaign: Campaign) -> bool:
    async with pool.acquire() as connection:
        return campaign.campaign_id in await velocity.in_excess(connection, POLICY)


def guard(stores: Stores, webhook: str | None = None) -> Guard:
    return Guard(stores.pool, stores.redis, POLICY, webhook)


@pytest.fixture
async def rushed(stores: Stores) -> Campaign:
    """A campaign of ten attempts a minute that has a thousand now."""
    campaign = await launch(stores.pool, code="SAVE10")
    await asked(stores.pool, campaign, 10)
    await rush(stores.pool, campaign, 1_000)
    return campaign


async def test_a_rush_pauses_the_campaign_and_the_numbers_are_in_the_ledger(stores: Stores, dsn: str, rushed: Campaign) -> None:
    with capture_logs() as lines:
        await guard(stores).look()
    assert await status(stores.pool, rushed) == "paused"
    [line] = [line for line in lines if line["event"] == "campaign_paused_by_guard"]
    assert (line["log_level"], line["attempts"], line["baseline"], line["factor"]) == ("error", 1_000, 10.0, 100)
    told = [line async for line in history(dsn, "SAVE10")]
    assert told[-1].endswith("by velocity-guard: 1,000 attempts in a minute, where 10.0 were usual")
    payload = msgspec.json.decode(await stores.pool.fetchval("SELECT payload FROM ledger WHERE kind = 'paused_by_guard'"))
    assert (payload["attempts"], payload["baseline"], payload["factor"]) == (1_000, 10.0, 100)


async def test_of_many_who_look_at_once_one_pauses(stores: Stores, rushed: Campaign) -> None:
    await asyncio.gather(*(guard(stores).look() for _ in range(5)))
    assert await stores.pool.fetchval("SELECT count(*) FROM ledger WHERE kind = 'paused_by_guard'") == 1
    assert await stores.pool.fetchval("SELECT count(*) FROM guard_pauses") == 1


async def test_what_is_usual_new_or_rare_is_left_alone(pool: Pool) -> None:
    cases = {"usual": (11, 3.0, 1_000), "new": (1, 0.9, 1_000_000), "rare": (0, 0.0, 999)}
    for name, (rate, hours, number) in cases.items():
        campaign = await launch(pool)
        if rate:
            await asked(pool, campaign, rate, hours)
        await rush(pool, campaign, number)
        assert not await judged(pool, campaign), name
    # Nobody had ever asked before: a first second is no rush.
    campaign = await launch(pool)
    await rush(pool, campaign, 1_000_000)
    assert not await judged(pool, campaign)


async def test_quiet_minutes_count_also_when_they_are_forgotten(pool: Pool) -> None:
    campaign = await launch(pool)
    for minutes in (3 * 24 * 60, 3 * 24 * 60 - 1):
        await pool.execute(
            "INSERT INTO campaign_traffic VALUES ($1, date_trunc('minute', now()) - $2 * interval '1 minute', 5)",
            campaign.campaign_id,
            minutes,
        )
    await forget_traffic({"pool": pool})
    assert await pool.fetchval("SELECT count(*) FROM campaign_traffic") == 1
    await rush(pool, campaign, 1_000)
    assert await judged(pool, campaign)


async def test_minutes_are_kept_for_as_long_as_the_mean_reaches_back(pool: Pool) -> None:
    campaign = await launch(pool)
    await asked(pool, campaign, 1, hours=30)
    reached = "SELECT sum(attempts) FROM campaign_traffic WHERE minute > now() - interval '24 hours 2 minutes'"
    before = await pool.fetchval(reached)
    await forget_traffic({"pool": pool})
    assert await pool.fetchval(reached) == before
    assert await pool.fetchval("SELECT count(*) FROM campaign_traffic") == pytest.approx(25 * 60, abs=2)


@pytest.mark.parametrize(("begins", "ends", "pauses"), [(-HOUR, HOUR, False), (-3 * HOUR, -HOUR, True), (HOUR, 2 * HOUR, True)])
async def test_an_announced_launch_is_a_rush_too(
    pool: Pool, rushed: Campaign, begins: timedelta, ends: timedelta, pauses: bool
) -> None:
    now = datetime.now(UTC)
    async with pool.acquire() as connection:
        for _ in range(2):
            await velocity.announce(connection, rushed.campaign_id, Launch(now + begins, now + ends), ADMIN)
    assert await judged(pool, rushed) == pauses


@pytest.mark.parametrize(("ago", "pauses"), [(timedelta(minutes=30), False), (timedelta(hours=2), True)])
async def test_the_first_hour_of_a_campaigns_own_window_is_a_launch(pool: Pool, ago: timedelta, pauses: bool) -> None:
    campaign = await launch(pool, starts_at=(datetime.now(UTC) - ago).isoformat(timespec="seconds"))
    await asked(pool, campaign, 1)
    await rush(pool, campaign, 1_000)
    assert await judged(pool, campaign) == pauses


async def test_what_was_resumed_by_hand_is_not_paused_again_in_the_same_rush(stores: Stores, rushed: Campaign) -> None:
    await guard(stores).look()
    await campaigns.set_status(stores.pool, rushed.campaign_id, CampaignStatus.ACTIVE, ADMIN)
    await rush(stores.pool, rushed, 100_000)
    await guard(stores).look()
    assert await status(stores.pool, rushed) == "active"
    # Long after, it is guarded as before.
    await stores.pool.execute("UPDATE guard_pauses SET resumed_at = resumed_at - interval '1 hour'")
    await guard(stores).look()
    assert await status(stores.pool, rushed) == "paused"


class Webhook:
    """Takes alerts, or refuses them."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self.status = 204

    async def hear(self, request: web.Request) -> web.Response:
        self.heard.append(await request.json())
        return web.Response(status=self.status)


@pytest.fixture
async def webhook() -> AsyncIterator[tuple[Webhook, str]]:
    webhook, app = Webhook(), web.Application()
    app.router.add_post("/alerts", webhook.hear)
    async with TestServer(app) as server:
        yield webhook, str(server.make_url("/alerts"))


async def test_the_webhook_hears_of_a_pause_once(stores: Stores, rushed: Campaign, webhook: tuple[Webhook, str]) -> None:
    hook, url = webhook
    guards = [guard(stores, url) for _ in range(3)]
    await guards[0].look()
    await asyncio.gather(*(each.tell() for each in guards))
    await guards[0].tell()
    [heard] = hook.heard
    assert (heard["event"], heard["campaign_id"], heard["code"]) == (
        "campaign_paused_by_guard",
        str(rushed.campaign_id),
        "SAVE10",
    )
    assert (heard["attempts"], heard["baseline"], heard["factor"]) == (1_000, 10.0, 100)
    assert "1,000 attempts in the minute" in heard["text"]


async def test_an_alert_that_is_not_taken_is_sent_again_later_by_anybody(
    stores: Stores, rushed: Campaign, webhook: tuple[Webhook, str]
) -> None:
    hook, url = webhook
    hook.status = 500
    await guard(stores, url).look()
    for _ in range(3):
        await guard(stores, url).tell()
    assert len(hook.heard) == 1
    hook.status = 200
    await stores.pool.execute("UPDATE guard_pauses SET try_at = now() - interval '1 second'")
    for _ in range(3):
        await guard(stores, url).tell()
    assert len(hook.heard) == 2


async def test_a_webhook_that_is_not_there_hinders_nothing(stores: Stores, rushed: Campaign) -> None:
    nowhere = guard(stores, "http://127.0.0.1:9/")
    await nowhere.look()
    with capture_logs() as lines:
        await nowhere.tell()
    assert [line["event"] for line in lines] == ["alert_not_taken"]
    assert await status(stores.pool, rushed) == "paused"


async def test_a_pause_holds_at_every_door_within_a_second_and_is_shown(postgres_dsn: str, redis_url: str) -> None:
    settings = Settings(postgres_dsn=postgres_dsn, redis_url=redis_url, jwt_secret=SECRET)
    async with (
        opened_stores(postgres_dsn, redis_url) as stores,
        shard_at_work(stores),
        opened_door(settings) as one,
        opened_door(settings) as other,
        TestClient(TestServer(application(one))) as first,
        TestClient(TestServer(application(other))) as second,
    ):
        campaign = await launch(stores.pool, None, code="SAVE10")
        await one.codes_added()
        await other.codes_added()

        async def told(client: Any, user: str) -> tuple[int, str]:
            headers = {"Authorization": f"Bearer {tokens.issue(SECRET, user)}", "Idempotency-Key": user}
            body = {"code": "SAVE10", "order_id": "o"}
            async with client.post("/api/v1/coupons/redeem", json=body, headers=headers) as answer:
                return answer.status, (await answer.json(content_type=None)).get("code")

        assert (await told(first, "ann"))[0] == (await told(second, "bob"))[0] == 201
        await asked(stores.pool, campaign, 1)
        await rush(stores.pool, campaign, 1_000)
        await guard(stores).look()
        paused_at = clock.monotonic()
        for client in (first, second):
            # To the very first who asks: the commit itself is judged by what is committed.
            assert await told(client, "cat") == (409, "campaign_paused")

            async def quoted(client: Any = client) -> bool:
                async with client.post("/api/v1/coupons/validate", json={"code": "SAVE10"}) as answer:
                    return bool(answer.status == 409)

            await until(quoted, within_s=1.0)
        assert clock.monotonic() - paused_at < 1.0
        headers = {"Authorization": f"Bearer {tokens.issue(SECRET, 'admin', ['admin'])}"}
        async with first.get(f"/api/v1/campaigns/{campaign.campaign_id}", headers=headers) as answer:
            shown = await answer.json()
        assert shown["status"] == "paused"
        assert (shown["paused_by_guard"]["attempts"] >= 1_000, shown["paused_by_guard"]["baseline"]) == (True, 1.0)
        async with first.post(f"/api/v1/campaigns/{campaign.campaign_id}/resume", headers=headers) as answer:
            assert answer.status == 200
        async with first.get(f"/api/v1/campaigns/{campaign.campaign_id}", headers=headers) as answer:
            assert (await answer.json())["paused_by_guard"] is None


async def test_the_guard_goes_on_when_postgres_failed_it(stores: Stores, rushed: Campaign) -> None:
    await stores.pool.execute("ALTER TABLE guard_pauses RENAME TO elsewhere")
    stopping = asyncio.Event()
    keeping = asyncio.create_task(guard(stores).keep(stopping))
    await asyncio.sleep(1.2)
    await stores.pool.execute("ALTER TABLE elsewhere RENAME TO guard_pauses")

    async def paused() -> bool:
        return await status(stores.pool, rushed) == "paused"

    await until(paused, within_s=3.0)
    stopping.set()
    await keeping

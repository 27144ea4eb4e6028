"""Attempts are written down in batches, beside the hot path: bounded, none lost while Postgres takes them, none refused."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from click.testing import CliRunner
from multidict import CIMultiDict, CIMultiDictProxy

from frontdoor import attempts as attempts_of_a_door
from frontdoor import tokens
from frontdoor.app import application, opened_door
from frontdoor.attempts import BATCH_MAX, Attempts
from frontdoor.context import Door
from frontdoor.problems import REFUSALS
from frontdoor.visit import Attempt, Visit
from lastslot.cli import cli
from shared import attempts, clock, metrics
from shared.domain.ids import CampaignId, DoorId, UserId, claim_id
from shared.domain.outcomes import Refusal
from shared.postgres import Pool
from shared.settings import Settings
from tests.integration.engine import launch, opened_stores, shard_at_work, until

SECRET = "only-for-tests-only-for-tests-only-for-tests"
DOOR = DoorId("door-1")
UNKNOWN = REFUSALS[Refusal.UNKNOWN_CODE]
NO_FIELDS = CIMultiDictProxy(CIMultiDict[str]())


def visit(code: str | None = "NOPE", **learnt: Any) -> Visit:
    now = asyncio.get_running_loop().time()
    return Visit(NO_FIELDS, b"", "203.0.113.7", now, Attempt(code, **learnt))


def note(kept: Attempts, number: int = 1, **learnt: Any) -> None:
    for n in range(number):
        kept.note("validate", visit(f"NOPE{n}", **learnt), UNKNOWN)


async def written(pool: Pool) -> int:
    number: int = await pool.fetchval("SELECT count(*) FROM redemption_attempts")
    return number


def spilled() -> float:
    metrics.fold()
    [metric] = metrics.ATTEMPTS_SPILLED._counter.collect()
    return metric.samples[0].value


async def test_an_attempt_is_written_with_all_that_is_known_of_it(pool: Pool) -> None:
    campaign, claim = uuid4(), uuid4()
    kept, began = Attempts(pool, DOOR, 10), datetime.now(UTC)
    kept.note("redeem", visit(" save10\0", user_id=UserId("ann"), campaign_id=campaign, claim_id=claim), UNKNOWN)
    await kept.ship()
    row = await pool.fetchrow("SELECT * FROM redemption_attempts")
    assert row is not None
    at, *rest = row
    assert abs(at - began) < timedelta(seconds=5)
    assert rest == ["redeem", "unknown_code", "ann", "203.0.113.7", " save10\N{REPLACEMENT CHARACTER}", campaign, claim, DOOR]


async def test_many_are_written_in_batches_in_their_order(pool: Pool) -> None:
    kept = Attempts(pool, DOOR, 10_000)
    note(kept, 2 * BATCH_MAX + 1)
    await kept.ship()
    codes = [code for (code,) in await pool.fetch("SELECT code FROM redemption_attempts ORDER BY ctid")]
    assert codes == [f"NOPE{n}" for n in range(2 * BATCH_MAX + 1)]


async def test_whose_code_nobody_read_is_no_attempt(pool: Pool) -> None:
    kept = Attempts(pool, DOOR, 10)
    kept.note("redeem", visit(None), UNKNOWN)
    await kept.ship()
    assert await written(pool) == 0


async def test_beyond_the_bound_attempts_are_counted_and_not_kept(pool: Pool) -> None:
    kept, before = Attempts(pool, DOOR, 3), spilled()
    note(kept, 5)
    await kept.ship()
    assert (await written(pool), spilled() - before) == (3, 2)
    note(kept, 3)
    await kept.ship()
    assert await written(pool) == 6


async def test_what_postgres_did_not_take_is_written_later_once_and_counted_once(pool: Pool) -> None:
    kept, campaign = Attempts(pool, DOOR, 10), CampaignId(uuid4())
    await pool.execute("ALTER TABLE campaign_traffic RENAME TO elsewhere")
    note(kept, 4, campaign_id=campaign)
    with pytest.raises(asyncpg.UndefinedTableError):
        await kept.ship()
    assert await written(pool) == 0
    await pool.execute("ALTER TABLE elsewhere RENAME TO campaign_traffic")
    note(kept, 1, campaign_id=campaign)
    await kept.ship()
    assert await written(pool) == 5
    assert await pool.fetchval("SELECT sum(attempts) FROM campaign_traffic WHERE campaign_id = $1", campaign) == 5


async def test_what_campaigns_were_asked_for_while_postgres_was_away_for_long_is_not_the_rush_of_one_minute(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000.0
    monkeypatch.setattr(clock, "monotonic", lambda: now)
    kept, campaign = Attempts(pool, DOOR, 10_000), CampaignId(uuid4())
    await pool.execute("ALTER TABLE campaign_traffic RENAME TO elsewhere")
    for _ in range(100):
        note(kept, 10, campaign_id=campaign)
        with pytest.raises(asyncpg.UndefinedTableError):
            await kept.ship()
        now += 10.0
    await pool.execute("ALTER TABLE elsewhere RENAME TO campaign_traffic")
    note(kept, 10, campaign_id=campaign)
    await kept.ship()
    assert await written(pool) == 1_010
    counted = await pool.fetchval("SELECT sum(attempts) FROM campaign_traffic WHERE campaign_id = $1", campaign)
    assert 10 <= counted <= 70


async def test_shipping_goes_on_when_postgres_comes_back(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts_of_a_door, "REST_S", 0.01)
    kept = Attempts(pool, DOOR, 10)
    await pool.execute("ALTER TABLE redemption_attempts RENAME TO elsewhere")
    shipping = asyncio.create_task(kept.keep_shipping())
    note(kept, 2)
    await asyncio.sleep(0.2)
    await pool.execute("ALTER TABLE elsewhere RENAME TO redemption_attempts")
    await until(lambda: written(pool))
    shipping.cancel()
    assert await written(pool) == 2


async def test_doors_that_add_to_the_same_campaigns_at_once_do_not_deadlock(pool: Pool) -> None:
    campaigns = [CampaignId(uuid4()) for _ in range(2_000)]

    async def add(order: list[CampaignId]) -> None:
        for _ in range(3):
            async with pool.acquire() as connection, connection.transaction():
                await attempts.write(connection, [], dict.fromkeys(order, 1))

    await asyncio.gather(*(add(order) for order in (campaigns, campaigns[::-1]) * 2))
    rows = await pool.fetch("SELECT sum(attempts) FROM campaign_traffic GROUP BY campaign_id")
    assert {int(number) for (number,) in rows} == {12}


class Shop:
    """A front door with a shard behind it."""

    def __init__(self, client: TestClient[web.Request, web.Application], door: Door, pool: Pool) -> None:
        self.client = client
        self.door = door
        self.pool = pool

    async def post(self, call: str, code: str | None, user: str | None = "ann") -> int:
        headers = {"Idempotency-Key": f"for {(code or '').strip().upper()}"}
        if user is not None:
            headers["Authorization"] = f"Bearer {tokens.issue(SECRET, user)}"
        body = {"code": code, **({"order_id": "o"} if call == "redeem" else {})}
        async with self.client.post(f"/api/v1/coupons/{call}", json=body, headers=headers) as answer:
            return answer.status

    async def attempts(self, number: int) -> list[tuple[Any, ...]]:
        """All there are, once there are so many, but for when and where."""

        async def there() -> bool:
            return await written(self.pool) >= number

        await until(there)
        columns = "call, result, user_id, code, campaign_id"
        return [tuple(row) for row in await self.pool.fetch(f"SELECT {columns} FROM redemption_attempts ORDER BY at")]


@pytest.fixture
async def shop(postgres_dsn: str, redis_url: str) -> AsyncIterator[Shop]:
    settings = Settings(postgres_dsn=postgres_dsn, redis_url=redis_url, jwt_secret=SECRET)
    async with (
        opened_stores(postgres_dsn, redis_url) as stores,
        opened_door(settings) as door,
        shard_at_work(stores),
        TestClient(TestServer(application(door))) as client,
    ):
        yield Shop(client, door, stores.pool)


async def test_every_answer_is_an_attempt_and_a_success_comes_with_its_claim(shop: Shop) -> None:
    campaign = await launch(shop.pool, 1, code="SAVE10")
    await shop.door.codes_added()
    name = campaign.campaign_id
    for call, typed, user, status in (
        ("redeem", " save10 ", "ann", 201),
        ("redeem", "SAVE10", "ann", 200),
        ("redeem", "save10", "bob", 410),
        ("validate", "NOPE", None, 404),
        ("validate", "SAVE10", "ann", 410),
    ):
        assert await shop.post(call, typed, user) == status
    assert await shop.attempts(5) == [
        ("redeem", "201", "ann", " save10 ", name),
        ("redeem", "200", "ann", "SAVE10", name),
        ("redeem", "exhausted", "bob", "save10", name),
        ("validate", "unknown_code", None, "NOPE", None),
        ("validate", "exhausted", "ann", "SAVE10", name),
    ]

    async def counted() -> bool:
        return bool(await shop.pool.fetchval("SELECT sum(attempts) = 4 FROM campaign_traffic WHERE campaign_id = $1", name))

    await until(counted)
    claims = await shop.pool.fetch("SELECT claim_id FROM redemption_attempts WHERE result IN ('200', '201')")
    assert [claim for (claim,) in claims] == [claim_id(UserId("ann"), "for SAVE10")] * 2


async def test_what_is_refused_for_its_frequency_is_an_attempt_and_counts_for_no_campaign(shop: Shop) -> None:
    campaign = await launch(shop.pool, 1, code="SAVE10")
    await shop.door.codes_added()
    said = [await shop.post("redeem", "SAVE10") for _ in range(8)]
    assert said == [201, 200, 200, 200, 200, 429, 429, 429]
    rows = await shop.attempts(8)
    assert [row[1:] for row in rows[5:]] == [("rate_limited", "ann", "SAVE10", None)] * 3

    async def counted() -> bool:
        name = campaign.campaign_id
        return bool(await shop.pool.fetchval("SELECT sum(attempts) = 5 FROM campaign_traffic WHERE campaign_id = $1", name))

    await until(counted)


async def test_a_form_or_a_token_that_is_refused_is_no_attempt(shop: Shop) -> None:
    assert (await shop.post("redeem", None), await shop.post("redeem", "NOPE", None)) == (400, 401)
    assert await shop.post("redeem", "NOPE") == 404
    assert [row[:3] for row in await shop.attempts(1)] == [("redeem", "unknown_code", "ann")]


async def test_a_door_that_closes_leaves_nothing_behind(postgres_dsn: str, redis_url: str, pool: Pool) -> None:
    async with opened_door(Settings(postgres_dsn=postgres_dsn, redis_url=redis_url, jwt_secret=SECRET)) as door:
        note(door.attempts, 3, campaign_id=CampaignId(uuid4()))
        await until(lambda: written(pool))
        note(door.attempts, 2, campaign_id=CampaignId(uuid4()))
    assert await written(pool) == 5
    assert await pool.fetchval("SELECT sum(attempts) FROM campaign_traffic") == 5


async def months(pool: Pool) -> list[str]:
    rows = await pool.fetch(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'redemption_attempts'::regclass ORDER BY 1"
    )
    return [name.removeprefix("redemption_attempts_") for (name,) in rows]


def month(ago: int) -> datetime:
    """The first moment of a month of UTC, so many before this one."""
    now = datetime.now(UTC)
    number = now.year * 12 + now.month - 1 - ago
    return datetime(number // 12, number % 12 + 1, 1, tzinfo=UTC)


async def attempt_at(pool: Pool, *moments: datetime) -> None:
    rows = [(at, "redeem", "404", "ann", "::1", "NOPE", None, None, "door") for at in moments]
    async with pool.acquire() as connection:
        await attempts.write(connection, rows, {})


async def test_a_migrated_database_has_months_ahead(pool: Pool) -> None:
    assert await months(pool) == [f"{month(-ahead):%Y_%m}" for ahead in range(3)] + ["default"]


async def test_a_month_that_came_before_its_table_moves_into_it(pool: Pool) -> None:
    for ahead in range(3):
        await pool.execute(f"DROP TABLE redemption_attempts_{month(-ahead):%Y_%m}")
    await attempt_at(pool, month(0), month(-1), month(1))
    async with pool.acquire() as connection:
        await attempts.keep_months(connection, 3)
    there = await pool.fetch("SELECT tableoid::regclass::text FROM redemption_attempts ORDER BY at")
    names = ["default", f"{month(0):%Y_%m}", f"{month(-1):%Y_%m}"]
    assert [name for (name,) in there] == [f"redemption_attempts_{name}" for name in names]


async def test_months_long_past_are_forgotten_and_the_kept_ones_are_not(pool: Pool) -> None:
    for ago in (1, 2, 3):
        begins, ends = month(ago), month(ago - 1)
        await pool.execute(
            f"CREATE TABLE redemption_attempts_{begins:%Y_%m} PARTITION OF redemption_attempts "
            f"FOR VALUES FROM ('{begins}') TO ('{ends}')"
        )
    await attempt_at(pool, *(month(ago) for ago in range(-3, 6)))
    async with pool.acquire() as connection:
        gone = await attempts.keep_months(connection, 2)
        assert await attempts.keep_months(connection, 2) == []
    assert gone == [f"redemption_attempts_{month(3):%Y_%m}"]
    rows = await pool.fetch("SELECT at FROM redemption_attempts ORDER BY at")
    assert [at for (at,) in rows] == [month(ago) for ago in range(2, -4, -1)]


async def some(pool: Pool, **ages: int) -> None:
    """Attempts of users, so many seconds ago."""
    now = datetime.now(UTC)
    door, campaign = "door", uuid4()
    rows = [
        (now - timedelta(seconds=age), "redeem", result, user, "::1" if user == "ann" else "::2", "X", campaign, None, door)
        for user, age in ages.items()
        for result in ("unknown_code", "unknown_code", "exhausted")
    ]
    async with pool.acquire() as connection:
        await attempts.write(connection, rows, {})


async def test_offenders_are_told_with_their_results(dsn: str, pool: Pool) -> None:
    await some(pool, ann=0, bob=10, cat=7_200)
    await some(pool, ann=0)
    hour = timedelta(hours=1)
    users = await attempts.top(dsn, "user", hour, None, 9)
    assert [(each.subject, each.attempts) for each in users] == [("ann", 6), ("bob", 3)]
    [ann] = await attempts.top(dsn, "ip", hour, None, 1)
    assert (ann.subject, list(ann.results.items())) == ("::1", [("unknown_code", 4), ("exhausted", 2)])
    assert len(await attempts.top(dsn, "campaign", hour, None, 9)) == 2
    [first, second] = await attempts.top(dsn, "user", hour, "exhausted", 9)
    assert (first.results, second.results) == ({"exhausted": 2}, {"exhausted": 1})
    assert len(await attempts.top(dsn, "user", timedelta(days=1), None, 9)) == 3


async def test_the_command_prints_offenders(dsn: str, pool: Pool) -> None:
    async def types(*words: str) -> Any:
        return await asyncio.to_thread(CliRunner().invoke, cli, ["attempts", "top", "--postgres-dsn", dsn, *words])

    assert (await types()).stdout == "no attempts\n"
    await some(pool, ann=0, **{"bob\x1b[31m": 0})
    lines = [line.split() for line in (await types("--since", "15m")).stdout.splitlines()]
    assert lines == [
        ["user", "attempts", "results"],
        ["ann", "3", "unknown_code", "2,", "exhausted", "1"],
        ["'bob\\x1b[31m'", "3", "unknown_code", "2,", "exhausted", "1"],
    ]
    assert "must look like" in (await types("--since", "soon")).stderr

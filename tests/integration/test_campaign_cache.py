import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import uuid4

import msgspec
import pytest

from frontdoor.app import cancelled
from frontdoor.campaign_cache import COMPARE_EVERY_S, CampaignCache
from frontdoor.listening import listen
from shared import campaigns, keys
from shared.catalogue import campaigns_by_code
from shared.domain.campaign import Campaign
from shared.domain.code import Code
from shared.domain.discount import Discount
from shared.domain.draft import CampaignChange, CampaignDraft, planned
from shared.domain.ids import CampaignId, UserId
from shared.postgres import Connection, Pool
from shared.redis_client import Redis, open_redis

ADMIN = UserId("admin")
CODE = Code("BLACKFRI100")


async def create(pool: Pool, code: Code = CODE) -> Campaign:
    draft = CampaignDraft(name="first", type="shared", code=code, discount=Discount("percent", 10), total_limit=5)
    campaign = planned(draft, CampaignId(uuid4()))
    assert isinstance(campaign, Campaign)
    made = await campaigns.create(pool, campaign, ADMIN)
    assert isinstance(made, campaigns.Committed)
    return made.campaign


async def rename(pool: Pool, campaign: Campaign, name: str = "second") -> Campaign:
    made = await campaigns.change(pool, campaign.campaign_id, CampaignChange(name=name), ADMIN)
    assert isinstance(made, campaigns.Committed)
    return made.campaign


@pytest.fixture
def cache(pool: Pool, redis: Redis) -> CampaignCache:
    return CampaignCache(pool, redis, 100)


@asynccontextmanager
async def comparing(cache: CampaignCache) -> AsyncIterator[None]:
    task = asyncio.create_task(cache.keep_comparing())
    try:
        yield
    finally:
        await cancelled(task)


@asynccontextmanager
async def hearing(cache: CampaignCache, redis_url: str) -> AsyncIterator[None]:
    async with open_redis(redis_url, reply_within_s=None) as redis:
        task = asyncio.create_task(listen(redis, {keys.CAMPAIGN_CHANGED_CHANNEL: cache.hear}, asyncio.Event()))
        try:
            yield
        finally:
            await cancelled(task)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what one of the servers has to be asked about."""
    async with asyncio.timeout(5):
        while not await condition():
            pass


async def heard(redis: Redis, listeners: int) -> None:
    async def subscribed() -> bool:
        [(_, number)] = await redis.pubsub_numsub(keys.CAMPAIGN_CHANGED_CHANNEL)
        return bool(number == listeners)

    await until(subscribed)


class LookUps:
    """Writes down what is looked up in Postgres."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[list[Code]] = []

        async def counted(connection: Connection, codes: list[Code]) -> dict[Code, Campaign]:
            self.asked.append(list(codes))
            return await campaigns_by_code(connection, codes)

        monkeypatch.setattr("frontdoor.campaign_cache.campaigns_by_code", counted)


@pytest.fixture
def look_ups(monkeypatch: pytest.MonkeyPatch) -> LookUps:
    return LookUps(monkeypatch)


async def test_what_was_found_once_is_in_memory(pool: Pool, cache: CampaignCache) -> None:
    campaign = await create(pool)
    assert cache.peek(CODE) is None
    assert await cache.find(CODE) == campaign
    assert cache.peek(CODE) == campaign


async def test_a_code_that_did_not_exist_is_found_as_soon_as_it_does(pool: Pool, cache: CampaignCache) -> None:
    assert await cache.find(CODE) is None
    campaign = await create(pool)
    assert await cache.find(CODE) == campaign


async def test_a_hundred_who_ask_at_once_cost_one_look_up(pool: Pool, cache: CampaignCache, look_ups: LookUps) -> None:
    one, two = await create(pool), await create(pool, Code("OTHER"))
    asked = [CODE, Code("OTHER"), Code("NONE")] * 33
    assert await asyncio.gather(*(cache.find(code) for code in asked)) == [one, two, None] * 33
    assert len(look_ups.asked) == 1


async def test_another_front_door_finds_the_copy_in_redis(
    pool: Pool, redis: Redis, cache: CampaignCache, look_ups: LookUps
) -> None:
    campaign = await create(pool)
    await cache.find(CODE)
    assert 0 < await redis.ttl(keys.campaign_by_code(CODE)) <= 60
    assert await CampaignCache(pool, redis, 100).find(CODE) == campaign
    assert len(look_ups.asked) == 1


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b"\xff", b"{}", b'{"campaign_id":1}'])
async def test_a_spoilt_copy_is_no_copy(pool: Pool, redis: Redis, cache: CampaignCache, value: bytes) -> None:
    campaign = await create(pool)
    await redis.set(keys.campaign_by_code(CODE), value)
    assert await cache.find(CODE) == campaign


async def test_a_copy_of_the_wrong_type_or_of_another_code_is_no_copy(pool: Pool, redis: Redis, cache: CampaignCache) -> None:
    campaign, other = await create(pool), await create(pool, Code("OTHER"))
    await redis.lpush(keys.campaign_by_code(CODE), "x")  # type: ignore[misc]
    await redis.set(keys.campaign_by_code(Code("OTHER")), msgspec.json.encode(campaign))
    assert await cache.find(CODE) == campaign
    assert await cache.find(Code("OTHER")) == other


async def test_without_redis_campaigns_are_found_all_the_same(pool: Pool) -> None:
    campaign = await create(pool)
    async with open_redis("redis://127.0.0.1:1") as nowhere:
        cache = CampaignCache(pool, nowhere, 100)
        assert await cache.find(CODE) == campaign
        changed = await rename(pool, campaign)
        await cache.changed(changed)
        assert await cache.find(CODE) == changed


async def test_a_change_is_heard_by_other_front_doors(pool: Pool, redis: Redis, redis_url: str, cache: CampaignCache) -> None:
    other = CampaignCache(pool, redis, 100)
    campaign = await create(pool)
    async with hearing(other, redis_url):
        await heard(redis, 1)
        assert await other.find(CODE) == campaign
        changed = await rename(pool, campaign)
        await cache.changed(changed)

        async def forgotten() -> bool:
            await redis.ping()
            return other.peek(CODE) is None

        await until(forgotten)
        assert await other.find(CODE) == changed


async def test_a_change_that_was_not_heard_is_seen_by_comparing_which_is_done_within_a_second(
    pool: Pool, cache: CampaignCache
) -> None:
    assert COMPARE_EVERY_S < 1
    campaign = await create(pool)
    async with comparing(cache):
        assert await cache.find(CODE) == campaign
        changed = await rename(pool, campaign)

        async def seen() -> bool:
            return await pool.fetchval("SELECT true") and await cache.find(CODE) == changed

        await until(seen)


async def test_a_copy_in_redis_that_is_behind_is_put_right(pool: Pool, redis: Redis, cache: CampaignCache) -> None:
    campaign = await create(pool)
    await cache.find(CODE)
    changed = await rename(pool, campaign)
    other = CampaignCache(pool, redis, 100)
    assert await other.find(CODE) == campaign
    await other.compare()
    assert other.peek(CODE) == changed
    assert await CampaignCache(pool, redis, 100).find(CODE) == changed


async def test_what_nobody_asks_for_is_forgotten_rather_than_compared(pool: Pool, cache: CampaignCache) -> None:
    used, unused = await create(pool), await create(pool, Code("UNUSED"))
    assert (await cache.find(CODE), await cache.find(Code("UNUSED"))) == (used, unused)
    await cache.compare()
    cache.peek(CODE)
    await cache.compare()
    assert cache.peek(CODE) == used
    assert cache.peek(Code("UNUSED")) is None


async def test_a_campaign_that_is_gone_is_forgotten(pool: Pool, redis: Redis, cache: CampaignCache) -> None:
    await create(pool)
    await cache.find(CODE)
    await pool.execute("TRUNCATE campaigns, campaign_slices, codes")
    await cache.compare()
    assert cache.peek(CODE) is None


async def test_no_more_is_remembered_than_allowed(pool: Pool, redis: Redis) -> None:
    cache = CampaignCache(pool, redis, 2)
    codes = [Code(f"CODE{number}") for number in range(4)]
    for code in codes:
        await create(pool, code)
        await cache.find(code)
    assert [cache.peek(code) is not None for code in codes] == [False, False, True, True]


async def test_one_who_gives_up_does_not_spoil_the_look_up_of_the_others(pool: Pool, cache: CampaignCache) -> None:
    campaign = await create(pool)
    impatient, patient = (asyncio.create_task(cache.find(CODE)) for _ in range(2))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient == campaign


async def test_listening_goes_on_after_the_link_was_cut(redis: Redis, redis_url: str, cache: CampaignCache) -> None:
    async with hearing(cache, redis_url):
        await heard(redis, 1)
        await redis.client_kill_filter(_type="pubsub")
        await heard(redis, 0)
        await heard(redis, 1)

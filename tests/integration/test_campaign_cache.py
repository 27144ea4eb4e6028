import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import uuid4

import msgspec
import pytest

from frontdoor.app import cancelled
from frontdoor.campaign_cache import _COMPARED_UNUSED, COMPARE_EVERY_S, CampaignCache
from frontdoor.listening import listen
from shared import campaigns, keys
from shared.catalogue import campaigns_by_id
from shared.domain.campaign import Campaign
from shared.domain.code import Code
from shared.domain.discount import Discount
from shared.domain.draft import CampaignChange, CampaignDraft, planned
from shared.domain.ids import CampaignId, UserId
from shared.postgres import NO_ANSWER, Connection, Pool, close_pool, open_pool
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
        self.asked: list[list[CampaignId]] = []

        async def counted(connection: Connection, ids: list[CampaignId]) -> dict[CampaignId, Campaign]:
            self.asked.append(list(ids))
            return await campaigns_by_id(connection, ids)

        monkeypatch.setattr("frontdoor.campaign_cache.campaigns_by_id", counted)


@pytest.fixture
def look_ups(monkeypatch: pytest.MonkeyPatch) -> LookUps:
    return LookUps(monkeypatch)


async def test_what_was_found_once_is_in_memory(pool: Pool, cache: CampaignCache) -> None:
    campaign = await create(pool)
    assert cache.peek(campaign.campaign_id) is None
    assert await cache.find(campaign.campaign_id) == campaign
    assert cache.peek(campaign.campaign_id) == campaign


async def test_there_is_no_campaign_of_an_unknown_id(cache: CampaignCache) -> None:
    assert await cache.find(CampaignId(uuid4())) is None


async def test_a_hundred_who_ask_at_once_cost_one_look_up(pool: Pool, cache: CampaignCache, look_ups: LookUps) -> None:
    one, two = await create(pool), await create(pool, Code("OTHER"))
    asked = [one.campaign_id, two.campaign_id, CampaignId(uuid4())] * 33
    assert await asyncio.gather(*(cache.find(each) for each in asked)) == [one, two, None] * 33
    assert len(look_ups.asked) == 1


async def test_another_front_door_finds_the_copy_in_redis(
    pool: Pool, redis: Redis, cache: CampaignCache, look_ups: LookUps
) -> None:
    campaign = await create(pool)
    await cache.find(campaign.campaign_id)
    assert 0 < await redis.ttl(keys.campaign_copy(campaign.campaign_id)) <= 60
    assert await CampaignCache(pool, redis, 100).find(campaign.campaign_id) == campaign
    assert len(look_ups.asked) == 1


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b"\xff", b"{}", b'{"campaign_id":1}'])
async def test_a_spoilt_copy_is_no_copy(pool: Pool, redis: Redis, cache: CampaignCache, value: bytes) -> None:
    campaign = await create(pool)
    await redis.set(keys.campaign_copy(campaign.campaign_id), value)
    assert await cache.find(campaign.campaign_id) == campaign


async def test_a_copy_of_the_wrong_type_or_of_another_campaign_is_no_copy(
    pool: Pool, redis: Redis, cache: CampaignCache
) -> None:
    campaign, other = await create(pool), await create(pool, Code("OTHER"))
    await redis.lpush(keys.campaign_copy(campaign.campaign_id), "x")  # type: ignore[misc]
    await redis.set(keys.campaign_copy(other.campaign_id), msgspec.json.encode(campaign))
    assert await cache.find(campaign.campaign_id) == campaign
    assert await cache.find(other.campaign_id) == other


async def test_without_redis_campaigns_are_found_all_the_same(pool: Pool) -> None:
    campaign = await create(pool)
    async with open_redis("redis://127.0.0.1:1") as nowhere:
        cache = CampaignCache(pool, nowhere, 100)
        assert await cache.find(campaign.campaign_id) == campaign
        changed = await rename(pool, campaign)
        await cache.changed(changed)
        assert await cache.find(campaign.campaign_id) == changed


async def test_a_change_is_heard_by_other_front_doors(pool: Pool, redis: Redis, redis_url: str, cache: CampaignCache) -> None:
    other = CampaignCache(pool, redis, 100)
    campaign = await create(pool)
    async with hearing(other, redis_url):
        await heard(redis, 1)
        assert await other.find(campaign.campaign_id) == campaign
        changed = await rename(pool, campaign)
        await cache.changed(changed)

        async def forgotten() -> bool:
            await redis.ping()
            return other.peek(campaign.campaign_id) is None

        await until(forgotten)
        assert await other.find(campaign.campaign_id) == changed


async def test_a_change_that_was_not_heard_is_seen_by_comparing_which_is_done_within_a_second(
    pool: Pool, cache: CampaignCache
) -> None:
    assert COMPARE_EVERY_S < 1
    campaign = await create(pool)
    async with comparing(cache):
        assert await cache.find(campaign.campaign_id) == campaign
        changed = await rename(pool, campaign)

        async def seen() -> bool:
            return await pool.fetchval("SELECT true") and await cache.find(campaign.campaign_id) == changed

        await until(seen)


async def test_a_copy_in_redis_that_is_behind_is_put_right(pool: Pool, redis: Redis, cache: CampaignCache) -> None:
    campaign = await create(pool)
    await cache.find(campaign.campaign_id)
    changed = await rename(pool, campaign)
    assert await cache.find(campaign.campaign_id) == campaign
    await cache.compare()
    assert cache.peek(campaign.campaign_id) == changed
    copy = await redis.get(keys.campaign_copy(campaign.campaign_id))
    assert copy == msgspec.json.encode(changed)


async def test_a_copy_in_redis_that_is_behind_is_not_believed(
    pool: Pool, redis: Redis, cache: CampaignCache, look_ups: LookUps
) -> None:
    current, behind = await create(pool), await create(pool, Code("OTHER"))
    await asyncio.gather(cache.find(current.campaign_id), cache.find(behind.campaign_id))
    # Whoever changes it is gone before he says so.
    changed = await rename(pool, behind)
    other = CampaignCache(pool, redis, 100)
    found = await asyncio.gather(other.find(current.campaign_id), other.find(behind.campaign_id))
    assert tuple(found) == (current, changed)
    assert look_ups.asked[1:] == [[behind.campaign_id]]
    assert await redis.get(keys.campaign_copy(behind.campaign_id)) == msgspec.json.encode(changed)


async def test_a_copy_of_a_campaign_that_is_gone_is_not_believed(pool: Pool, redis: Redis, cache: CampaignCache) -> None:
    campaign = await create(pool)
    await cache.find(campaign.campaign_id)
    await pool.execute("TRUNCATE campaigns, campaign_slices, codes")
    assert await CampaignCache(pool, redis, 100).find(campaign.campaign_id) is None


async def test_while_postgres_is_away_a_copy_is_the_best_there_is(
    dsn: str, pool: Pool, redis: Redis, cache: CampaignCache
) -> None:
    copied, unknown = await create(pool), CampaignId(uuid4())
    await cache.find(copied.campaign_id)
    away = await open_pool(dsn, 1)
    await close_pool(away)
    assert await CampaignCache(away, redis, 100).find(copied.campaign_id) == copied
    other = CampaignCache(away, redis, 100)
    found = await asyncio.gather(other.find(copied.campaign_id), other.find(unknown), return_exceptions=True)
    assert isinstance(found[1], NO_ANSWER)
    assert other.peek(copied.campaign_id) == copied


async def test_what_nobody_asks_for_is_forgotten_rather_than_compared(pool: Pool, cache: CampaignCache) -> None:
    used, unused = await create(pool), await create(pool, Code("UNUSED"))
    assert (await cache.find(used.campaign_id), await cache.find(unused.campaign_id)) == (used, unused)
    for _ in range(_COMPARED_UNUSED + 1):
        assert cache.peek(used.campaign_id) == used
        await cache.compare()
    assert cache.peek(used.campaign_id) == used
    assert cache.peek(unused.campaign_id) is None


async def test_what_is_asked_for_again_while_others_are_compared_is_not_kept_uncompared(
    pool: Pool, cache: CampaignCache
) -> None:
    used, unused = await create(pool), await create(pool, Code("UNUSED"))
    assert (await cache.find(used.campaign_id), await cache.find(unused.campaign_id)) == (used, unused)
    for _ in range(_COMPARED_UNUSED):
        assert cache.peek(used.campaign_id) == used
        await cache.compare()
    changed = await rename(pool, unused)
    comparing = asyncio.create_task(cache.compare())
    await asyncio.sleep(0)
    cache.peek(unused.campaign_id)
    await comparing
    assert cache.peek(unused.campaign_id) in (None, changed)


async def test_a_campaign_that_is_gone_is_forgotten(pool: Pool, redis: Redis, cache: CampaignCache) -> None:
    campaign = await create(pool)
    await cache.find(campaign.campaign_id)
    await pool.execute("TRUNCATE campaigns, campaign_slices, codes")
    await cache.compare()
    assert cache.peek(campaign.campaign_id) is None


async def test_no_more_is_remembered_than_allowed(pool: Pool, redis: Redis) -> None:
    cache = CampaignCache(pool, redis, 2)
    ids = [(await create(pool, Code(f"CODE{number}"))).campaign_id for number in range(4)]
    for each in ids:
        await cache.find(each)
    assert [cache.peek(each) is not None for each in ids] == [False, False, True, True]


async def test_one_who_gives_up_does_not_spoil_the_look_up_of_the_others(pool: Pool, cache: CampaignCache) -> None:
    campaign = await create(pool)
    impatient, patient = (asyncio.create_task(cache.find(campaign.campaign_id)) for _ in range(2))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient == campaign


async def test_listening_goes_on_after_the_link_was_cut(redis: Redis, redis_url: str, cache: CampaignCache) -> None:
    async with hearing(cache, redis_url):
        await heard(redis, 1)
        await redis.client_kill_filter(_type="pubsub")
        await heard(redis, 0)
        await heard(redis, 1)


async def test_a_broadcast_that_cannot_be_read_is_passed_over(pool: Pool, cache: CampaignCache) -> None:
    campaign = await create(pool)
    await cache.find(campaign.campaign_id)
    for message in (b"", b"\xff", b"BLACKFRI100", campaign.campaign_id.hex.encode() + b"0"):
        cache.hear(message)
    assert cache.peek(campaign.campaign_id) == campaign
    cache.hear(campaign.campaign_id.hex.encode())
    assert cache.peek(campaign.campaign_id) is None

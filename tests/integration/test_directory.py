"""From what was typed to its campaign: what is looked up, what is remembered, and what is not."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from frontdoor import code_cache as room
from frontdoor.campaign_cache import CampaignCache
from frontdoor.code_cache import CodeCache
from frontdoor.directory import Directory
from shared import campaigns, codes
from shared.catalogue import KnownCode, codes_by_code
from shared.codes import Minted, Wish
from shared.domain.campaign import Campaign
from shared.domain.code import Code
from shared.domain.discount import Discount
from shared.domain.draft import CampaignChange, CampaignDraft, planned
from shared.domain.ids import CampaignId, UserId
from shared.postgres import Connection, Pool
from shared.redis_client import Redis

ADMIN = UserId("admin")
TEN, HALF = Discount("percent", 10), Discount("percent", 50)


async def create(pool: Pool, code: str | None = "BF", spelling: str | None = None, **terms: Any) -> Campaign:
    draft = CampaignDraft(**{"name": "n", "type": "shared", "code": code, "discount": TEN, "total_limit": None, **terms})
    campaign = planned(draft, CampaignId(uuid4()))
    assert isinstance(campaign, Campaign)
    made = await campaigns.create(pool, campaign, ADMIN, spelling)
    assert isinstance(made, campaigns.Committed)
    return made.campaign


async def minted(pool: Pool, campaign: Campaign, count: int) -> list[str]:
    made = await codes.mint(pool, campaign.campaign_id, Wish([None] * count), ADMIN)
    assert isinstance(made, Minted)
    return made.codes


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[Code]]:
    """What codes are looked up in Postgres."""
    asked: list[list[Code]] = []

    async def noted(connection: Connection, those: list[Code]) -> dict[Code, KnownCode]:
        asked.append(list(those))
        return await codes_by_code(connection, those)

    monkeypatch.setattr(room, "codes_by_code", noted)
    return asked


@pytest.fixture
def campaign_cache(pool: Pool, redis: Redis) -> CampaignCache:
    return CampaignCache(pool, redis, 100)


@pytest.fixture
def directory(pool: Pool, campaign_cache: CampaignCache) -> Directory:
    return Directory(CodeCache(pool, 100), campaign_cache, lambda _: False)


async def test_what_was_found_once_is_in_memory_however_it_is_typed(
    pool: Pool, directory: Directory, asked: list[list[Code]]
) -> None:
    campaign = await create(pool)
    assert directory.peek("BF") is None
    found = await directory.find("  bf ")
    assert found is not None
    assert (found.campaign, found.code.single_use, found.code.intended_user) == (campaign, False, None)
    assert directory.peek("Bf") == directory.peek("ＢＦ") == found == await directory.find("BF")
    assert asked == [["BF"]]


@pytest.mark.parametrize("typed", ["", "B F", "\0", "x" * 65, "NONE"])
async def test_what_is_no_code_leads_nowhere(directory: Directory, typed: str) -> None:
    assert directory.peek(typed) is None
    assert await directory.find(typed) is None


async def test_a_code_that_did_not_exist_is_found_as_soon_as_it_does(pool: Pool, directory: Directory) -> None:
    assert await directory.find("BF") is None
    campaign = await create(pool)
    found = await directory.find("BF")
    assert found is not None
    assert found.campaign == campaign


async def test_many_codes_of_one_campaign_share_one_look_up_and_one_campaign(
    pool: Pool, directory: Directory, asked: list[list[Code]]
) -> None:
    pool_campaign = await create(pool, None, type="pool")
    typed = await minted(pool, pool_campaign, 50)
    found = await asyncio.gather(*map(directory.find, typed))
    assert len(asked) == 1
    campaigns_found = {id(each.campaign) for each in found if each is not None}
    assert (len(campaigns_found), None in found) == (1, False)
    assert all(each is not None and each.code.single_use for each in found)


async def test_another_discount_is_one_row_and_every_code_gives_it(
    pool: Pool, directory: Directory, campaign_cache: CampaignCache, asked: list[list[Code]]
) -> None:
    campaign = await create(pool, None, type="pool")
    typed = await minted(pool, campaign, 20)
    await asyncio.gather(*map(directory.find, typed))
    await campaigns.change(pool, campaign.campaign_id, CampaignChange(discount=HALF), ADMIN)
    await campaign_cache.compare()
    shown = [directory.peek(each) for each in typed]
    assert {each.campaign.discount for each in shown if each is not None} == {HALF}
    assert (len(shown), None in shown, len(asked)) == (20, False, 1)


async def test_an_exact_code_is_known_by_its_spelling_alone(pool: Pool, directory: Directory) -> None:
    await create(pool, "SpringSale", "SpringSale", exact=True)
    assert await directory.find("springsale") is None
    assert directory.peek("SPRINGSALE") is None
    for typed in ("SpringSale", " SpringSale\t"):
        assert await directory.find(typed) is not None
        assert directory.peek(typed) is not None
    assert directory.peek("springSale") is None
    assert await directory.of(Code("SPRINGSALE")) == await directory.find("SpringSale")


async def test_codes_that_are_good_for_one_claim_do_not_drive_out_what_everybody_types(
    pool: Pool, campaign_cache: CampaignCache, asked: list[list[Code]]
) -> None:
    directory = Directory(CodeCache(pool, 3), campaign_cache, lambda _: False)
    await create(pool)
    await directory.find("BF")
    typed = await minted(pool, await create(pool, None, type="pool"), 9)
    for each in typed:
        await directory.find(each)
    assert directory.peek("BF") is not None
    assert [directory.peek(each) is not None for each in typed] == [False] * 6 + [True] * 3


async def test_a_campaign_that_is_gone_makes_its_codes_unknown(
    pool: Pool, redis: Redis, directory: Directory, campaign_cache: CampaignCache
) -> None:
    await create(pool)
    await directory.find("BF")
    await pool.execute("TRUNCATE campaigns, campaign_slices, codes CASCADE")
    await redis.flushall()
    await campaign_cache.compare()
    assert directory.peek("BF") is None
    assert await directory.find("BF") is None


async def test_one_who_gives_up_does_not_spoil_the_look_up_of_the_others(pool: Pool, directory: Directory) -> None:
    await create(pool)
    impatient, patient = (asyncio.create_task(directory.find("BF")) for _ in range(2))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient is not None


async def test_a_code_that_is_certainly_lacking_is_known_as_such_and_nobody_is_asked(
    pool: Pool, campaign_cache: CampaignCache, asked: list[list[Code]]
) -> None:
    directory = Directory(CodeCache(pool, 3), campaign_cache, lambda code: code != "BF")
    await create(pool)
    assert directory.unknown("SAVE01")
    assert directory.unknown("B F")
    assert not directory.unknown(" bf ")
    assert await directory.find("SAVE01") is None
    assert await directory.of(Code("SAVE01")) is None
    assert asked == []
    assert await directory.find("bf") is not None
    assert asked == [["BF"]]


async def test_what_is_not_certain_is_looked_up(directory: Directory, asked: list[list[Code]]) -> None:
    assert not directory.unknown("SAVE01")
    assert await directory.find("SAVE01") is None
    assert asked == [["SAVE01"]]

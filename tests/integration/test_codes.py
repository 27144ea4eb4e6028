"""Codes are minted all or none, once for ever, and counted in the transaction that makes them."""

import asyncio
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from shared import campaigns, codes
from shared.audit import audit
from shared.campaigns import CampaignEnded, CampaignUnknown, CodeTaken, Committed, Faulty
from shared.codes import CodesMinted, Minted, MintRefused, NothingToMint, PatternTooSmall, Wish, exported, mint
from shared.domain.campaign import Campaign, CampaignStatus, StackingRules
from shared.domain.discount import Discount
from shared.domain.draft import CampaignChange, CampaignDraft, planned
from shared.domain.ids import CampaignId, UserId
from shared.postgres import Pool

ADMIN = UserId("admin")


async def created(pool: Pool, **different: Any) -> Campaign:
    terms: dict[str, Any] = {"type": "pool", "total_limit": None, **different}
    plan = planned(CampaignDraft(name="Codes", discount=Discount("percent", 10), **terms), CampaignId(uuid4()))
    assert isinstance(plan, Campaign), plan
    made = await campaigns.create(pool, plan, ADMIN)
    assert isinstance(made, Committed)
    return made.campaign


def anybody(count: int, **spelled: Any) -> Wish:
    return Wish([None] * count, **spelled)


async def minted(pool: Pool, campaign: Campaign, wish: Wish) -> Minted:
    made = await mint(pool, campaign.campaign_id, wish, ADMIN)
    assert isinstance(made, Minted), made
    return made


async def rows(pool: Pool, campaign: Campaign) -> list[Any]:
    return [row async for page in exported(pool, campaign.campaign_id) for row in page]


async def budget(pool: Pool, campaign: Campaign) -> int:
    found: int = await pool.fetchval("SELECT budget FROM campaign_slices WHERE campaign_id = $1", campaign.campaign_id)
    return found


async def test_what_is_minted_is_there_unused_and_counted(pool: Pool, dsn: str) -> None:
    campaign = await created(pool)
    made = await minted(pool, campaign, anybody(12_000, pattern="blackfri-######"))
    listed = await rows(pool, campaign)
    assert sorted(row["shown"] for row in listed) == sorted(made.codes)
    assert len(set(made.codes)) == 12_000
    assert {(row["state"], row["intended_user"], row["claimed_by"]) for row in listed} == {("unused", None, None)}
    assert all(code.startswith("BLACKFRI-") for code in made.codes)
    assert (made.committed.campaign.minted, await budget(pool, campaign)) == (12_000, 12_000)
    assert made.committed.campaign.version > campaign.version
    assert made.committed.settlements[0][1].free == 12_000
    assert (await audit(dsn)).clean


async def test_the_ledger_says_who_minted_how_many(pool: Pool) -> None:
    campaign = await created(pool)
    made = await minted(pool, campaign, anybody(3))
    row = await pool.fetchrow("SELECT seq, payload FROM ledger WHERE kind = 'codes_minted'")
    assert row is not None
    story = msgspec.json.decode(row["payload"])
    assert (story["by"], story["count"], story["campaign"]["minted"]) == ("admin", 3, 3)
    assert story["campaign"]["campaign_id"] == str(campaign.campaign_id)
    assert row["seq"] == made.committed.settlements[0][1].seq


@pytest.mark.parametrize(("limit", "slots"), [(None, 30), (100, 30), (20, 20)])
async def test_slots_are_the_lesser_of_codes_and_limit(pool: Pool, limit: int | None, slots: int) -> None:
    campaign = await created(pool, total_limit=limit)
    await minted(pool, campaign, anybody(10))
    made = await minted(pool, campaign, anybody(20))
    assert made.committed.campaign.minted == 30
    assert made.committed.settlements[0][1].free == await budget(pool, campaign) == slots


async def test_slots_that_minting_adds_wait_for_the_certificates_from_before(pool: Pool) -> None:
    campaign = await created(pool)
    await minted(pool, campaign, anybody(1))
    assert await pool.fetchval("SELECT freed_at > now() - interval '1 minute' FROM campaign_slices")


async def test_codes_for_users_come_in_the_order_of_the_users(pool: Pool) -> None:
    campaign = await created(pool, type="unique")
    users = [UserId(f"user {number}") for number in range(7_000)]
    made = await minted(pool, campaign, Wish(users))
    owners = {row["shown"]: row["intended_user"] for row in await rows(pool, campaign)}
    assert [owners[code] for code in made.codes] == users


async def test_a_spelling_is_kept_where_it_counts(pool: Pool) -> None:
    campaign = await created(pool, exact=True)
    made = await minted(pool, campaign, anybody(50, pattern="Vip-########", charset="abcdefgh"))
    kept = await pool.fetch("SELECT code, spelling FROM codes ORDER BY code_id")
    assert sorted(row["spelling"] for row in kept) == sorted(made.codes)
    assert all(row["code"] == row["spelling"].upper() != row["spelling"] for row in kept)
    plain = await created(pool)
    await minted(pool, plain, anybody(1))
    assert await pool.fetchval("SELECT count(*) FROM codes WHERE campaign_id = $1 AND spelling IS NULL", plain.campaign_id) == 1


async def take(pool: Pool, campaign: Campaign, numbers: range, width: int) -> None:
    """Have another campaign own these numbers as codes."""
    codes = [(campaign.campaign_id, f"{number:0{width}}") for number in numbers]
    await pool.executemany("INSERT INTO codes (campaign_id, code) VALUES ($1, $2)", codes)


async def test_a_code_that_ever_existed_is_never_minted_again(pool: Pool) -> None:
    await take(pool, await created(pool), range(5_000), 4)
    made = await minted(pool, await created(pool), anybody(100, pattern="####", charset="0123456789"))
    # Half of what is drawn exists already, and is drawn again.
    assert len(set(made.codes)) == 100
    assert all(int(code) >= 5_000 for code in made.codes)


async def test_a_space_that_others_have_filled_mints_nothing(pool: Pool) -> None:
    await take(pool, await created(pool), range(1_000), 3)
    campaign = await created(pool)
    assert await refused(pool, campaign.campaign_id, anybody(5, pattern="###", charset="0123456789")) == PatternTooSmall(1_000)
    assert await rows(pool, campaign) == []


async def refused(pool: Pool, campaign: CampaignId, wish: Wish) -> MintRefused:
    made = await mint(pool, campaign, wish, ADMIN)
    assert not isinstance(made, Minted | CodesMinted)
    return made


async def test_a_pattern_must_leave_a_hundred_possible_codes_for_each(pool: Pool) -> None:
    campaign = await created(pool)
    numbers = {"pattern": "####", "charset": "0123456789"}
    assert await refused(pool, campaign.campaign_id, anybody(101, **numbers)) == PatternTooSmall(10_000)
    await minted(pool, campaign, anybody(60, **numbers))
    assert await refused(pool, campaign.campaign_id, anybody(41, **numbers)) == PatternTooSmall(10_000)
    await minted(pool, campaign, anybody(40, **numbers))


async def test_what_cannot_be_minted_says_why_and_leaves_nothing(pool: Pool) -> None:
    assert await refused(pool, CampaignId(uuid4()), anybody(1)) == CampaignUnknown()
    shared = await created(pool, type="shared", code="SHARED", total_limit=5)
    assert await refused(pool, shared.campaign_id, anybody(1)) == NothingToMint()
    unique = await created(pool, type="unique")
    refusal = await refused(pool, unique.campaign_id, anybody(1))
    assert isinstance(refusal, Faulty)
    assert refusal.faults[0].field == "count"
    refusal = await refused(pool, unique.campaign_id, Wish([ADMIN], pattern="NONE"))
    assert isinstance(refusal, Faulty)
    assert refusal.faults[0].field == "pattern"
    await campaigns.set_status(pool, unique.campaign_id, CampaignStatus.ENDED, ADMIN)
    assert await refused(pool, unique.campaign_id, Wish([ADMIN])) == CampaignEnded()
    assert await pool.fetchval("SELECT count(*) FROM codes WHERE state = 'unused'") == 0


async def test_an_end_that_comes_while_codes_are_made_undoes_them(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign = await created(pool)

    async def inserting(*arguments: Any) -> list[str]:
        made = await insert(*arguments)
        await campaigns.set_status(pool, campaign.campaign_id, CampaignStatus.ENDED, ADMIN)
        return made

    insert = codes._insert
    monkeypatch.setattr(codes, "_insert", inserting)
    assert await refused(pool, campaign.campaign_id, anybody(10)) == CampaignEnded()
    assert await rows(pool, campaign) == []


async def test_those_who_mint_at_once_count_together(pool: Pool, dsn: str) -> None:
    campaign = await created(pool)
    made = await asyncio.gather(*(minted(pool, campaign, anybody(500)) for _ in range(6)))
    assert len({code for each in made for code in each.codes}) == 3_000
    assert await budget(pool, campaign) == 3_000
    changed = await campaigns.change(pool, campaign.campaign_id, CampaignChange(name="Renamed"), ADMIN)
    assert isinstance(changed, Committed)
    assert changed.campaign.minted == 3_000
    assert (await audit(dsn)).clean


async def test_who_draws_alike_codes_at_once_gets_them_all(pool: Pool) -> None:
    pools = [await created(pool) for _ in range(4)]
    made = await asyncio.gather(*(minted(pool, each, anybody(6_000, pattern="P-####")) for each in pools))
    assert len({code for each in made for code in each.codes}) == 24_000


async def test_who_creates_a_code_that_is_being_minted_keeps_no_partition_from_its_claims(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = await created(pool)
    drawn, go = asyncio.Event(), asyncio.Event()

    async def inserting(*arguments: Any) -> list[str]:
        made = await insert(*arguments)
        drawn.set()
        await go.wait()
        return made

    insert = codes._insert
    monkeypatch.setattr(codes, "_insert", inserting)
    monkeypatch.setattr(codes, "spellings", lambda *_: ["SAVE10"])
    minting = asyncio.create_task(minted(pool, campaign, anybody(1)))
    await drawn.wait()
    stacking = planned(
        CampaignDraft(
            name="Stacking",
            type="shared",
            code="SAVE10",
            discount=Discount("percent", 10),
            total_limit=None,
            stacking_rules=StackingRules(exclusive=True),
        ),
        CampaignId(uuid4()),
    )
    assert isinstance(stacking, Campaign)
    creating = asyncio.create_task(campaigns.create(pool, stacking, ADMIN))
    while not await pool.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
        pass
    await pool.fetch("SELECT FROM partitions FOR UPDATE NOWAIT")
    go.set()
    assert (await minting).codes == ["SAVE10"]
    assert isinstance(await creating, CodeTaken)


async def test_the_public_code_of_a_pool_is_not_exported(pool: Pool) -> None:
    campaign = await created(pool, code="EVERYBODY")
    made = await minted(pool, campaign, anybody(2))
    assert {row["shown"] for row in await rows(pool, campaign)} == set(made.codes)

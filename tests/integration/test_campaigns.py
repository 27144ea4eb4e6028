import asyncio
from typing import Any
from uuid import uuid4

import asyncpg
import msgspec
import pytest

from shared import campaign_reading, campaigns
from shared.book import lock_partition
from shared.campaign_reading import Known
from shared.campaigns import (
    AmountLimitBelowClaimed,
    CampaignEnded,
    CampaignUnknown,
    CodeTaken,
    Committed,
    Faulty,
    LimitBelowClaimed,
)
from shared.catalogue import codes_by_code
from shared.domain.campaign import Campaign, CampaignStatus, StackingRules
from shared.domain.code import Code
from shared.domain.discount import Discount
from shared.domain.draft import CampaignChange, CampaignDraft, planned
from shared.domain.ids import PARTITIONS, CampaignId, PartitionNo, UserId, home_partition
from shared.domain.ledger import GENESIS, Event, Kind, Row, extend
from shared.domain.outcomes import Refusal
from shared.postgres import Pool
from shared.slices import lock_slices

ADMIN = UserId("admin")
PAUSED, ACTIVE, ENDED = CampaignStatus.PAUSED, CampaignStatus.ACTIVE, CampaignStatus.ENDED


def plan(code: str | None = "BLACKFRI100", campaign_id: CampaignId | None = None, **different: Any) -> Campaign:
    draft = CampaignDraft(
        **{
            "name": "Black Friday",
            "type": "shared",
            "code": code,
            "discount": Discount("amount", 1000, "USD"),
            "total_limit": 10,
            **different,
        }
    )
    campaign = planned(draft, campaign_id or CampaignId(uuid4()))
    assert isinstance(campaign, Campaign)
    return campaign


async def created(pool: Pool, campaign: Campaign | None = None) -> Committed:
    committed = await campaigns.create(pool, campaign or plan(), ADMIN)
    assert isinstance(committed, Committed)
    return committed


async def changed(pool: Pool, campaign: Campaign, **asked: Any) -> Committed:
    committed = await campaigns.change(pool, campaign.campaign_id, CampaignChange(**asked), ADMIN)
    assert isinstance(committed, Committed)
    return committed


async def put(pool: Pool, campaign: Campaign, status: CampaignStatus) -> Committed:
    committed = await campaigns.set_status(pool, campaign.campaign_id, status, ADMIN)
    assert isinstance(committed, Committed)
    return committed


async def hold(pool: Pool, campaign: Campaign, users: int) -> None:
    """Let `users` users hold a slot each, as the claims' write leaves it."""
    for number in range(users):
        await pool.execute(
            """INSERT INTO redemptions (redemption_id, campaign_id, slice_no, code_id, code, user_id, use_no, user_limit,
                                        order_id, discount_applied, idempotency_key, body_hash, state, claimed_at)
               VALUES ($1, $2, 0, 1, $3, $4, 1, 1, 'order', '{}', 'key', '', 'claimed', now())""",
            uuid4(),
            campaign.campaign_id,
            campaign.code,
            f"user {number}",
        )
    await pool.execute("UPDATE campaign_slices SET claimed = claimed + $2 WHERE campaign_id = $1", campaign.campaign_id, users)


async def freed(pool: Pool, campaign: Campaign) -> bool:
    """Whether slots are said to have been freed; forgets it, so that the next change is seen alone."""
    sql = "UPDATE campaign_slices SET freed_at = '-infinity' WHERE campaign_id = $1 AND freed_at > '-infinity' RETURNING true"
    return await pool.fetchval(sql, campaign.campaign_id) is not None


async def ledger(pool: Pool, campaign: Campaign) -> list[asyncpg.Record]:
    sql = "SELECT * FROM ledger WHERE partition_no = $1 ORDER BY seq"
    return list(await pool.fetch(sql, home_partition(campaign.campaign_id)))


async def test_what_was_created_is_read_back_whole(pool: Pool) -> None:
    draft = plan(starts_at="2026-11-27T00:00", timezone="Asia/Tokyo", per_user_limit=3, release_on_refund=True)
    committed = await created(pool, draft)
    assert committed.campaign == msgspec.structs.replace(draft, version=committed.campaign.version)
    async with pool.acquire() as connection:
        assert await campaign_reading.read(connection, draft.campaign_id) == Known(committed.campaign, 0, 0, False)
        assert await campaign_reading.read(connection, CampaignId(uuid4())) is None


async def test_creation_is_in_the_ledger_and_the_gate_is_told_that_place(pool: Pool) -> None:
    committed = await created(pool)
    [row] = await ledger(pool, committed.campaign)
    assert row["kind"] == Kind.CAMPAIGN_CREATED
    assert msgspec.json.decode(row["payload"])["by"] == ADMIN
    [expected] = extend(0, GENESIS, [Event(Kind.CAMPAIGN_CREATED, None, row["payload"])])
    assert Row(*(row[field] for field in Row.__struct_fields__)) == expected
    settlement = committed.settlements[0][1]
    assert (settlement.seq, settlement.free, settlement.closed, settlement.users) == (1, 10, None, {})
    assert committed.settlements[0][0] == home_partition(committed.campaign.campaign_id)


async def test_an_unlimited_campaign_has_no_budget_and_is_free_without_end(pool: Pool) -> None:
    committed = await created(pool, plan(total_limit=None))
    assert committed.settlements[0][1].free is None
    assert await pool.fetchval("SELECT budget FROM campaign_slices") is None


async def test_a_code_belongs_to_one_campaign_for_ever(pool: Pool) -> None:
    first = await created(pool)
    await put(pool, first.campaign, ENDED)
    assert await campaigns.create(pool, plan(" blackfri100 "), ADMIN) == CodeTaken()
    assert await pool.fetchval("SELECT count(*) FROM campaigns") == 1
    assert await pool.fetchval("SELECT count(*) FROM ledger") == 2


async def test_of_many_who_want_a_code_at_once_one_gets_it(pool: Pool) -> None:
    answers = await asyncio.gather(*(campaigns.create(pool, plan(), ADMIN) for _ in range(20)))
    assert sum(isinstance(answer, Committed) for answer in answers) == 1
    assert sum(isinstance(answer, CodeTaken) for answer in answers) == 19
    assert await pool.fetchval("SELECT count(*) FROM codes") == 1


async def test_a_change_is_committed_with_a_new_version_and_a_line_in_the_ledger(pool: Pool) -> None:
    first = await created(pool)
    second = await changed(pool, first.campaign, name="Cyber Monday", discount=Discount("percent", 20), per_user_limit=2)
    assert second.campaign.version > first.campaign.version
    assert second.settlements[0][1].per_user_limit == 2
    async with pool.acquire() as connection:
        assert await campaign_reading.read(connection, first.campaign.campaign_id) == Known(second.campaign, 0, 0, False)
    rows = await ledger(pool, first.campaign)
    assert [row["kind"] for row in rows] == [Kind.CAMPAIGN_CREATED, Kind.CAMPAIGN_CHANGED]
    assert second.settlements[0][1].seq == 2


async def test_a_change_that_changes_nothing_writes_nothing_and_settles_what_is_there(pool: Pool) -> None:
    first = await created(pool)
    await hold(pool, first.campaign, 4)
    again = await changed(pool, first.campaign, name="Black Friday", total_limit=10)
    assert again.campaign == first.campaign
    assert (again.settlements[0][1].seq, again.settlements[0][1].free) == (1, 6)
    assert len(await ledger(pool, first.campaign)) == 1


async def test_a_filter_is_compared_as_json_not_as_python(pool: Pool) -> None:
    first = await created(pool)
    rules = [{"===": [{"var": "attrs.vip"}, known]} for known in (1, 1, True)]
    one, again, true = [(await changed(pool, first.campaign, audience_filter=rule)).campaign.version for rule in rules]
    assert one == again < true
    assert "true" in await pool.fetchval("SELECT audience_filter::text FROM campaigns")


async def test_a_raised_limit_frees_slots_and_a_lowered_one_does_not(pool: Pool) -> None:
    campaign = (await created(pool)).campaign
    await hold(pool, campaign, 8)
    assert (await changed(pool, campaign, total_limit=8)).settlements[0][1].free == 0
    assert not await freed(pool, campaign)
    assert (await changed(pool, campaign, total_limit=20)).settlements[0][1].free == 12
    assert await freed(pool, campaign)
    assert (await changed(pool, campaign, total_limit=None)).settlements[0][1].free is None
    assert await freed(pool, campaign)


async def test_a_limit_below_what_is_held_is_refused_with_the_number(pool: Pool) -> None:
    campaign = (await created(pool)).campaign
    await hold(pool, campaign, 8)
    refused = await campaigns.change(pool, campaign.campaign_id, CampaignChange(total_limit=7), ADMIN)
    assert refused == LimitBelowClaimed(8)
    assert len(await ledger(pool, campaign)) == 1


@pytest.mark.parametrize(("asked", "held"), [({"total_limit": 2}, LimitBelowClaimed(3)), ({"name": "Cyber Monday"}, 7)])
async def test_a_change_waits_for_claims_under_way_and_counts_them(
    pool: Pool, asked: dict[str, Any], held: LimitBelowClaimed | int
) -> None:
    campaign = (await created(pool)).campaign
    async with pool.acquire() as owner:
        batch = owner.transaction()
        await batch.start()
        await lock_partition(owner, home_partition(campaign.campaign_id))
        change = asyncio.create_task(campaigns.change(pool, campaign.campaign_id, CampaignChange(**asked), ADMIN))
        await someone_waits_for_a_lock(pool)
        await owner.execute("UPDATE campaign_slices SET claimed = 3")
        await batch.commit()
    answer = await change
    assert (answer.settlements[0][1].free if isinstance(answer, Committed) else answer) == held


async def test_an_impossible_change_is_refused_with_its_faults(pool: Pool) -> None:
    campaign = (await created(pool)).campaign
    refused = await campaigns.change(pool, campaign.campaign_id, CampaignChange(per_user_limit=0, name=""), ADMIN)
    assert isinstance(refused, Faulty)
    assert [fault.field for fault in refused.faults] == ["name", "per_user_limit"]


async def test_pausing_closes_resuming_opens_and_frees_and_ending_is_for_good(pool: Pool) -> None:
    campaign = (await created(pool)).campaign
    assert (await put(pool, campaign, PAUSED)).settlements[0][1].closed is Refusal.CAMPAIGN_PAUSED
    assert not await freed(pool, campaign)
    assert (await put(pool, campaign, ACTIVE)).settlements[0][1].closed is None
    assert await freed(pool, campaign)
    assert (await put(pool, campaign, ENDED)).settlements[0][1].closed is Refusal.ENDED
    for status in (PAUSED, ACTIVE):
        assert await campaigns.set_status(pool, campaign.campaign_id, status, ADMIN) == CampaignEnded()
    assert await campaigns.change(pool, campaign.campaign_id, CampaignChange(name="x"), ADMIN) == CampaignEnded()


@pytest.mark.parametrize("status", list(CampaignStatus))
async def test_a_status_may_be_asked_for_twice(pool: Pool, status: CampaignStatus) -> None:
    campaign = (await created(pool)).campaign
    first = await put(pool, campaign, status)
    assert await put(pool, campaign, status) == first


async def test_an_unknown_campaign_cannot_be_changed(pool: Pool) -> None:
    nowhere = CampaignId(uuid4())
    assert await campaigns.change(pool, nowhere, CampaignChange(), ADMIN) == CampaignUnknown()
    assert await campaigns.set_status(pool, nowhere, PAUSED, ADMIN) == CampaignUnknown()
    async with pool.acquire() as connection:
        assert await campaign_reading.stats(connection, nowhere) is None


async def test_changes_at_once_leave_a_whole_chain(pool: Pool) -> None:
    campaign = (await created(pool)).campaign
    await asyncio.gather(*(changed(pool, campaign, total_limit=limit) for limit in range(11, 31)))
    rows = await ledger(pool, campaign)
    assert [row["seq"] for row in rows] == list(range(1, 22))
    events = [Event(Kind(row["kind"]), row["redemption_id"], row["payload"]) for row in rows]
    assert [row["hash"] for row in rows] == [row.hash for row in extend(0, GENESIS, events)]
    last = msgspec.json.decode(rows[-1]["payload"])["campaign"]
    assert [tuple(row) for row in await pool.fetch("SELECT total_limit, version FROM campaigns")] == [
        (last["total_limit"], last["version"])
    ]
    assert await pool.fetchval("SELECT budget FROM campaign_slices") == last["total_limit"]


async def test_pages_follow_each_other_from_the_newest_to_the_oldest(pool: Pool) -> None:
    made = [(await created(pool, plan(f"CODE{number}"))).campaign for number in range(5)]
    await hold(pool, made[0], 3)
    seen: list[Known] = []
    async with pool.acquire() as connection:
        while part := await campaign_reading.page(connection, seen[-1].campaign.campaign_id if seen else None, 2):
            assert len(part) <= 2
            seen += part
    assert seen == [Known(campaign, 3 if campaign is made[0] else 0, 0, False) for campaign in reversed(made)]


async def test_stats_count_every_state_in_one_snapshot(pool: Pool) -> None:
    campaign = (await created(pool)).campaign
    await hold(pool, campaign, 6)
    step = "UPDATE redemptions SET state = 'redeemed', redeemed_at = now() WHERE user_id = ANY ($1)"
    await pool.execute(step, ["user 0", "user 1", "user 2"])
    step = "UPDATE redemptions SET state = 'released', released_at = now(), released_reason = $2 WHERE user_id = $1"
    await pool.execute(step, "user 2", "refund")
    await pool.execute(step, "user 3", "failure")
    await pool.execute("UPDATE campaign_slices SET claimed = 4")
    async with pool.acquire() as connection:
        stats = await campaign_reading.stats(connection, campaign.campaign_id)
    assert stats is not None
    assert (stats.claimed, stats.redeemed, stats.released, stats.remaining) == (4, 2, 2, 6)


async def someone_waits_for_a_lock(pool: Pool) -> None:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with asyncio.timeout(5):
        while not await pool.fetchval(waiting):
            pass


EVERYTHING: dict[str, Any] = {
    "exact": True,
    "per_day_limit": 1,
    "per_week_limit": 2,
    "per_month_limit": 3,
    "amount_limit": 50_000,
    "minimum_subtotal": 2_000,
    "first_order_only": True,
    "audience_filter": {"in": [{"var": "country"}, ["DE", "AT"]]},
    "stacking_rules": StackingRules(("SAVE*",), exclusive=True, category="sitewide"),
    "hold_ttl_s": 900,
}


async def test_a_campaign_with_every_rule_is_read_back_whole_and_so_is_its_change(pool: Pool) -> None:
    first = await created(pool, plan(**EVERYTHING, ends_on="2026-11-30", timezone="Asia/Tokyo"))
    changed_rules = {name: None for name in EVERYTHING if name not in ("exact", "first_order_only")}
    second = await changed(pool, first.campaign, **changed_rules, first_order_only=False)
    for committed, rules in ((first, EVERYTHING), (second, changed_rules)):
        assert {name: getattr(committed.campaign, name) for name in rules} == rules
    async with pool.acquire() as connection:
        assert await campaign_reading.read(connection, first.campaign.campaign_id) == Known(second.campaign, 0, 0, False)


async def test_the_document_of_a_campaign_is_the_campaign_of_the_code(pool: Pool) -> None:
    await created(pool, plan(**EVERYTHING))
    text = await pool.fetchval("SELECT campaign_document(c)::text FROM campaigns c")
    assert set(msgspec.json.decode(text)) == set(Campaign.__struct_fields__)


@pytest.mark.parametrize(
    ("kind", "code", "budgets"), [("pool", None, (0, 7)), ("pool", "POOL", (0, 7)), ("unique", None, (0, 7))]
)
async def test_a_campaign_of_single_use_codes_has_as_many_slots_as_codes(
    pool: Pool, kind: str, code: str | None, budgets: tuple[int, int]
) -> None:
    campaign = (await created(pool, plan(type=kind, code=code))).campaign
    assert list(map(tuple, await pool.fetch("SELECT code, state FROM codes"))) == ([] if code is None else [(code, "shared")])
    assert await pool.fetchval("SELECT budget FROM campaign_slices") == budgets[0]
    async with pool.acquire() as connection, connection.transaction():
        locked = await lock_slices(connection, campaign.campaign_id)
        known = await campaign_reading.read(connection, campaign.campaign_id)
        assert known is not None
        minted = msgspec.structs.replace(campaign, minted=7)
        committed = await campaigns.write_change(connection, locked, known, minted, ADMIN)
    assert committed.settlements[0][1].free == budgets[1]
    assert committed.campaign.version > campaign.version
    assert await pool.fetchval("SELECT budget FROM campaign_slices") == budgets[1]
    assert await freed(pool, campaign)


@pytest.mark.parametrize(("exact", "spelling"), [(True, "BlackFri"), (False, None)])
async def test_an_exact_campaign_keeps_how_its_code_is_written(pool: Pool, exact: bool, spelling: str | None) -> None:
    committed = await campaigns.create(pool, plan("BlackFri", exact=exact), ADMIN, "BlackFri")
    assert isinstance(committed, Committed)
    async with pool.acquire() as connection:
        [known] = (await codes_by_code(connection, [Code("BLACKFRI")])).values()
    assert (known.spelling, known.single_use, known.campaign_id) == (spelling, False, committed.campaign.campaign_id)


async def test_money_that_is_spent_leaves_nothing_free_until_there_is_more(pool: Pool) -> None:
    campaign = (await created(pool, plan(amount_limit=3_000))).campaign
    assert await pool.fetchval("SELECT amount_budget FROM campaign_slices") == 3_000
    await hold(pool, campaign, 3)
    await pool.execute("UPDATE campaign_slices SET amount_claimed = 3000")
    assert (await changed(pool, campaign, name="x")).settlements[0][1].free == 0
    refused = await campaigns.change(pool, campaign.campaign_id, CampaignChange(amount_limit=2_999), ADMIN)
    assert refused == AmountLimitBelowClaimed(3_000)
    assert not await freed(pool, campaign)
    assert (await changed(pool, campaign, amount_limit=3_001)).settlements[0][1].free == 7
    assert await freed(pool, campaign)


@pytest.mark.parametrize("by", ["creating", "changing"])
async def test_a_campaign_with_stacking_rules_waits_for_every_batch_under_way(pool: Pool, by: str) -> None:
    plain = (await created(pool)).campaign
    rules = StackingRules(exclusive=True)
    elsewhere = PartitionNo((home_partition(plain.campaign_id) + 1) % PARTITIONS)
    async with pool.acquire() as owner:
        batch = owner.transaction()
        await batch.start()
        await lock_partition(owner, elsewhere)
        await changed(pool, plain, name="without rules nobody waits for another partition", stacking_rules=None)
        if by == "creating":
            writing = asyncio.create_task(created(pool, plan("OTHER", plain_id(plain), stacking_rules=rules)))
        else:
            writing = asyncio.create_task(changed(pool, plain, stacking_rules=rules))
        await someone_waits_for_a_lock(pool)
        assert await owner.fetchval("SELECT count(*) FROM campaigns WHERE stacking_rules IS NOT NULL") == 0
        await batch.commit()
    assert (await writing).campaign.stacking_rules == rules


def plain_id(other: Campaign) -> CampaignId:
    """An id that lives in the same partition as `other`."""
    while home_partition(campaign_id := CampaignId(uuid4())) != home_partition(other.campaign_id):
        pass
    return campaign_id

from uuid import uuid4

from shared import campaigns
from shared.catalogue import campaigns_by_id, codes_by_code, used_codes, versions
from shared.domain.campaign import Campaign
from shared.domain.code import Code
from shared.domain.discount import Discount
from shared.domain.draft import CampaignChange, CampaignDraft, planned
from shared.domain.ids import CampaignId, UserId
from shared.postgres import Pool
from shared.statements import statement

ADMIN = UserId("admin")


async def create(pool: Pool, code: str) -> Campaign:
    draft = CampaignDraft(name="n", type="shared", code=code, discount=Discount("free_shipping"), total_limit=5)
    campaign = planned(draft, CampaignId(uuid4()))
    assert isinstance(campaign, Campaign)
    committed = await campaigns.create(pool, campaign, ADMIN)
    assert isinstance(committed, campaigns.Committed)
    return committed.campaign


async def test_codes_and_campaigns_are_looked_up_together_and_unknown_ones_are_left_out(pool: Pool) -> None:
    one, two = await create(pool, "ONE"), await create(pool, "TWO")
    ids = [one.campaign_id, two.campaign_id]
    async with pool.acquire() as connection:
        found = await codes_by_code(connection, [Code("ONE"), Code("NONE"), Code("TWO")])
        assert {code: known.campaign_id for code, known in found.items()} == dict(zip(("ONE", "TWO"), ids, strict=True))
        assert await campaigns_by_id(connection, [*ids, CampaignId(uuid4())]) == dict(zip(ids, (one, two), strict=True))
        assert await codes_by_code(connection, []) == {}
        assert await used_codes(connection, [Code("ONE")]) == []


async def test_a_code_is_looked_up_as_it_stands(pool: Pool) -> None:
    await create(pool, "ONE")
    async with pool.acquire() as connection:
        assert await codes_by_code(connection, [Code("one")]) == {}


async def test_the_version_moves_with_every_change(pool: Pool) -> None:
    one, two = await create(pool, "ONE"), await create(pool, "TWO")
    changed = await campaigns.change(pool, one.campaign_id, CampaignChange(name="m"), ADMIN)
    assert isinstance(changed, campaigns.Committed)
    async with pool.acquire() as connection:
        now = await versions(connection, [one.campaign_id, two.campaign_id, CampaignId(uuid4())])
    assert now == {one.campaign_id: changed.campaign.version, two.campaign_id: two.version}
    assert changed.campaign.version > two.version


async def test_looking_codes_up_reads_indexes_alone(pool: Pool) -> None:
    async with pool.acquire() as connection, connection.transaction():
        # A handful of rows is cheaper to scan; what matters is that another way exists.
        await connection.execute("SET LOCAL enable_seqscan = off")
        plan = await connection.fetch(f"EXPLAIN {statement('codes_by_code')}", [Code("ONE")])
    assert not any("Seq Scan" in line["QUERY PLAN"] for line in plan), plan

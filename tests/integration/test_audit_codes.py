"""The audit of single-use codes and of money finds each kind of damage and names the first bad row.

So is found who tampers with the ledger of an engine, once the trigger that forbids it is out of the way.
"""

from typing import Any

import pytest

from shared import codes, lifecycle
from shared.audit import FaultKind, audit, render
from shared.book import lock_partition
from shared.claims import Verdicts, read_facts, write_decisions
from shared.codes import Minted, Wish
from shared.domain.campaign import Campaign
from shared.domain.decide import decide
from shared.domain.discount import Discount
from shared.domain.ids import PartitionNo, UserId
from shared.domain.operations import SubmitClaim
from shared.domain.redemption import Step
from shared.postgres import Pool
from tests.integration.drifting import damage
from tests.integration.engine import claim_of, launch

PARTITION = PartitionNo(3)
ADMIN = UserId("admin")


async def claim(pool: Pool, *claims: SubmitClaim) -> None:
    """Commit claims in one batch, as an owner does."""
    async with pool.acquire() as connection, connection.transaction():
        head = await lock_partition(connection, PARTITION)
        facts = await read_facts(connection, [head], claims)
        await write_decisions(connection, facts, [Verdicts(head, decide(claims, facts))])


@pytest.fixture
async def campaign(pool: Pool) -> Campaign:
    """A pool of 10 codes, for 5 claims and for money: three were claimed, at 400 each, and one of them was given back."""
    terms: dict[str, Any] = {"type": "pool", "code": "POOL", "amount_limit": 5_000, "release_on_failure": True}
    campaign = await launch(pool, 5, partition=PARTITION, discount=Discount("amount", 400, "EUR"), **terms)
    made = await codes.mint(pool, campaign.campaign_id, Wish([None] * 10, pattern="CODE######"), ADMIN)
    assert isinstance(made, Minted)
    await claim(pool, *(claim_of(campaign, user, subtotal=1_000) for user in ("ann", "bob", "cat")))
    failed = claim_of(campaign, "cat").claim_id
    assert isinstance(await lifecycle.take(pool, failed, Step.RELEASE_FOR_FAILURE), lifecycle.Stepped)
    return campaign


async def test_a_pool_that_was_claimed_from_has_no_faults(dsn: str, campaign: Campaign) -> None:
    report = await audit(dsn)
    assert report.clean, render(report)
    assert report.redemptions == 3


FIRST_CLAIMED = "(SELECT min(code_id) FROM codes WHERE state = 'claimed')"
FIRST_UNUSED = "(SELECT min(code_id) FROM codes WHERE state = 'unused')"
DAMAGE = {
    "a code is claimed by nobody's redemption": (
        f"UPDATE codes SET state = 'claimed', claimed_by = 'eve' WHERE code_id = {FIRST_UNUSED}",
        FaultKind.CODE_IS_MISSTATED,
        "code CODE",
    ),
    "a claimed code is handed out again": (
        f"UPDATE codes SET state = 'unused', claimed_by = NULL WHERE code_id = {FIRST_CLAIMED}",
        FaultKind.CODE_IS_MISSTATED,
        "code CODE",
    ),
    "a claimed code changes hands": (
        f"UPDATE codes SET claimed_by = 'eve' WHERE code_id = {FIRST_CLAIMED}",
        FaultKind.CODE_IS_MISSTATED,
        "code CODE",
    ),
    "a code that a redemption used up is gone": (
        f"DELETE FROM codes WHERE code_id = {FIRST_CLAIMED}",
        FaultKind.CODE_IS_MISSTATED,
        "code of id",
    ),
    "two redemptions used up one code": (
        f"DROP INDEX one_claim_per_code; UPDATE redemptions SET code_id = {FIRST_CLAIMED} WHERE released_at IS NULL",
        FaultKind.CODE_IS_MISSTATED,
        "code CODE",
    ),
    "a code is put in": (
        "INSERT INTO codes (campaign_id, code) SELECT campaign_id, 'SMUGGLED' FROM campaigns",
        FaultKind.CODES_ARE_MISCOUNTED,
        "campaign",
    ),
    "a code is taken out": (f"DELETE FROM codes WHERE code_id = {FIRST_UNUSED}", FaultKind.CODES_ARE_MISCOUNTED, "campaign"),
    "a code is nobody's": (
        "INSERT INTO codes (campaign_id, code) SELECT gen_random_uuid(), 'SMUGGLED'",
        FaultKind.CODES_ARE_MISCOUNTED,
        "campaign",
    ),
    "the count of what was minted is raised": (
        "UPDATE campaigns SET minted = minted + 1",
        FaultKind.CODES_ARE_MISCOUNTED,
        "campaign",
    ),
    "a slice has a budget for codes that are not there": (
        "UPDATE campaign_slices SET budget = 6",
        FaultKind.BUDGETS_MISS_THE_LIMIT,
        "campaign",
    ),
    "a slice has no budget for codes that are there": (
        "UPDATE campaigns SET total_limit = NULL",
        FaultKind.BUDGETS_MISS_THE_LIMIT,
        "campaign",
    ),
    "a slice has money that nobody gave": (
        "UPDATE campaign_slices SET amount_budget = 5001",
        FaultKind.BUDGETS_MISS_THE_LIMIT,
        "campaign",
    ),
    "money is unlimited in the slice alone": (
        "UPDATE campaign_slices SET amount_budget = NULL",
        FaultKind.BUDGETS_MISS_THE_LIMIT,
        "campaign",
    ),
    "money is counted short": ("UPDATE campaign_slices SET amount_claimed = 400", FaultKind.MONEY_IS_MISCOUNTED, "slice 0"),
    "money is not given back": ("UPDATE campaign_slices SET amount_claimed = 1200", FaultKind.MONEY_IS_MISCOUNTED, "slice 0"),
    "more money is gone than there was": (
        "ALTER TABLE campaign_slices DROP CONSTRAINT no_overspend; UPDATE campaign_slices SET amount_budget = 799",
        FaultKind.SLICE_IS_OVERDRAWN,
        "slice 0",
    ),
    "a redemption is made to have taken less": (
        "UPDATE redemptions SET amount = 1 WHERE user_id = 'ann'",
        FaultKind.CLAIM_WAS_ALTERED,
        "redemption",
    ),
    "a redemption is made to have used up nothing": (
        "UPDATE redemptions SET single_use = false WHERE user_id = 'ann'",
        FaultKind.CLAIM_WAS_ALTERED,
        "redemption",
    ),
}


@pytest.mark.parametrize(("statement", "kind", "where"), DAMAGE.values(), ids=list(DAMAGE))
async def test_damage_is_found_and_placed(
    dsn: str, pool: Pool, campaign: Campaign, statement: str, kind: FaultKind, where: str
) -> None:
    await damage(pool, statement)
    report = await audit(dsn)
    assert any(fault.kind is kind and where in fault.where for fault in report.faults), render(report)


async def test_the_first_of_many_misstated_codes_is_named(dsn: str, pool: Pool, campaign: Campaign) -> None:
    await damage(pool, "UPDATE codes SET state = 'claimed', claimed_by = 'eve' WHERE state = 'unused'")
    first = await pool.fetchval("SELECT code FROM codes WHERE claimed_by = 'eve' ORDER BY code_id LIMIT 1")
    [fault] = [fault for fault in (await audit(dsn)).faults if fault.kind is FaultKind.CODE_IS_MISSTATED]
    assert fault.where.endswith(f", code {first}")
    assert fault.detail.endswith("(the first of 8)")


# Of the ledger's rows: 1 the campaign, 2 its codes, 3 to 5 the claims, 6 the release.
TAMPERING = {
    "changed": (["UPDATE ledger SET payload = replace(payload, '400', '40') WHERE seq = 4"], "partition 3, seq 4"),
    "changed, and its hash with it": (
        [
            "UPDATE ledger SET payload = '{}' WHERE seq = 4",
            "UPDATE ledger SET hash = sha256(prev_hash || convert_to('4|claimed|' || replace(redemption_id::text, '-', '')"
            " || '|{}', 'UTF8')) WHERE seq = 4",
        ],
        "partition 3, seq 5",
    ),
    "deleted": (["DELETE FROM ledger WHERE seq = 4"], "partition 3, seq 5"),
    "deleted at the end": (["DELETE FROM ledger WHERE seq = 6"], "partition 3"),
    "swapped": (
        ["UPDATE ledger SET seq = -seq WHERE seq IN (3, 5)", "UPDATE ledger SET seq = 8 + seq WHERE seq < 0"],
        "partition 3, seq 3",
    ),
}


@pytest.mark.parametrize(("statements", "where"), TAMPERING.values(), ids=list(TAMPERING))
async def test_a_row_of_the_ledger_that_was_tampered_with_is_named(
    dsn: str, pool: Pool, campaign: Campaign, statements: list[str], where: str
) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("ALTER TABLE ledger DISABLE TRIGGER append_only")
        for statement in statements:
            await connection.execute(statement)
        await connection.execute("ALTER TABLE ledger ENABLE TRIGGER append_only")
    assert (await audit(dsn)).faults[0].where == where

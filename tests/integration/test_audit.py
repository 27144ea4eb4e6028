"""The audit finds each kind of damage, names its first bad row, and finds nothing in a sound database."""

import asyncio
from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest

from shared.audit import AuditReport, FaultKind, audit, audit_campaign, render
from shared.book import append, lock_partition
from shared.claims import Verdicts, read_facts, write_decisions
from shared.domain.code import Code
from shared.domain.decide import decide
from shared.domain.ids import CampaignId, DoorId, PartitionNo, UserId, claim_id
from shared.domain.ledger import Event, Kind
from shared.domain.operations import SubmitClaim, body_hash
from shared.postgres import Connection, Pool
from tests.integration.drifting import damage

PARTITION = PartitionNo(3)


def code_of(campaign: CampaignId) -> Code:
    return Code(campaign.hex[:12].upper())


async def create_campaign(connection: Connection, total_limit: int | None = 10, per_user_limit: int = 1) -> CampaignId:
    campaign = CampaignId(uuid4())
    code = code_of(campaign)
    await connection.execute(
        "INSERT INTO campaigns (campaign_id, name, type, code, discount, total_limit, per_user_limit, timezone) "
        "VALUES ($1, 'audited', 'shared', $2, $3, $4, $5, 'UTC')",
        campaign,
        code,
        {"type": "percent", "value": 10, "currency": None},
        total_limit,
        per_user_limit,
    )
    await connection.execute("INSERT INTO codes (campaign_id, code, state) VALUES ($1, $2, 'shared')", campaign, code)
    await connection.execute(
        "INSERT INTO campaign_slices (campaign_id, slice_no, partition_no, budget) VALUES ($1, 0, $2, $3)",
        campaign,
        PARTITION,
        total_limit,
    )
    return campaign


async def claim(connection: Connection, campaign: CampaignId, users: Sequence[str], key: str = "k") -> list[UUID]:
    """Have `users` claim, as the engine does it; the ids of what was granted."""
    claims = [_submission(campaign, UserId(user), key) for user in users]
    async with connection.transaction():
        head = await lock_partition(connection, PARTITION)
        facts = await read_facts(connection, [head], claims)
        await write_decisions(connection, facts, [Verdicts(head, decide(claims, facts))])
    rows = await connection.fetch(
        "SELECT redemption_id FROM redemptions WHERE redemption_id = ANY ($1)", [each.claim_id for each in claims]
    )
    return [row["redemption_id"] for row in rows]


def _submission(campaign: CampaignId, user: UserId, key: str) -> SubmitClaim:
    code = code_of(campaign)
    body = body_hash(code, "order", None)
    return SubmitClaim(claim_id(user, key), campaign, 0, user, code, "order", None, key, body, DoorId("door"), 1)


async def move(connection: Connection, redemption: UUID, kind: Kind, reason: str | None = None) -> None:
    """Confirm or release a redemption, as the direct path does it."""
    async with connection.transaction():
        head = await lock_partition(connection, PARTITION)
        if kind is Kind.REDEEMED:
            await connection.execute(
                "UPDATE redemptions SET state = 'redeemed', redeemed_at = now() WHERE redemption_id = $1", redemption
            )
        else:
            await connection.execute(
                "WITH freed AS (UPDATE redemptions SET state = 'released', released_at = now(), released_reason = $2 "
                "WHERE redemption_id = $1 RETURNING campaign_id) "
                "UPDATE campaign_slices s SET claimed = claimed - 1 FROM freed WHERE s.campaign_id = freed.campaign_id",
                redemption,
                reason,
            )
        await append(connection, head, [Event(kind, redemption, "{}")])


def kinds(report: AuditReport) -> set[FaultKind]:
    return {fault.kind for fault in report.faults}


@pytest.fixture
async def campaign(pool: Pool) -> CampaignId:
    """A campaign of 10 slots: claims of seven users and a refusal, of which one redeemed, one failed, and one was refunded."""
    async with pool.acquire() as connection:
        campaign = await create_campaign(connection)
        await claim(connection, campaign, ["ann"])
        first, second, third, *_ = sorted(await claim(connection, campaign, ["bob", "cat", "dan", "eve", "fay", "gus"]))
        await claim(connection, campaign, ["ann"], key="again")
        await move(connection, first, Kind.REDEEMED)
        await move(connection, second, Kind.RELEASED, "failure")
        await move(connection, third, Kind.REDEEMED)
        await move(connection, third, Kind.RELEASED, "refund")
    return campaign


async def test_a_sound_database_has_no_faults(dsn: str, campaign: CampaignId) -> None:
    report = await audit(dsn)
    assert report.faults == ()
    assert report.clean
    assert (report.campaigns, report.redemptions, report.users, report.ledger_rows) == (1, 7, 7, 12)
    assert render(report).endswith("every invariant holds")


async def test_an_empty_database_has_no_faults(dsn: str, pool: Pool) -> None:
    report = await audit(dsn)
    assert report.clean
    assert report.ledger_rows == 0


async def test_an_unlimited_campaign_has_no_faults(dsn: str, pool: Pool) -> None:
    async with pool.acquire() as connection:
        campaign = await create_campaign(connection, total_limit=None)
        await claim(connection, campaign, ["ann", "bob"])
    assert (await audit(dsn)).clean
    proof = await audit_campaign(dsn, campaign)
    assert proof is not None
    assert (proof.active, proof.budget) == (2, None)


async def test_a_limit_lowered_later_makes_nobody_a_fault(dsn: str, pool: Pool) -> None:
    async with pool.acquire() as connection:
        campaign = await create_campaign(connection, per_user_limit=2)
        await claim(connection, campaign, ["ann"], key="1")
        await claim(connection, campaign, ["ann"], key="2")
        await connection.execute("UPDATE campaigns SET per_user_limit = 1")
    assert (await audit(dsn)).clean


DAMAGE = {
    "a row is taken out of the ledger": (["DELETE FROM ledger WHERE seq = 5"], FaultKind.LEDGER_HAS_A_GAP, "seq 6"),
    "a payload is rewritten": (
        ["UPDATE ledger SET payload = '{}' WHERE seq = 8"],
        FaultKind.CHAIN_IS_BROKEN,
        "partition 3, seq 8",
    ),
    "two rows change what they tell": (
        [
            "UPDATE ledger SET payload = other.payload FROM (SELECT 12 - seq AS seq, payload FROM ledger) AS other "
            "WHERE ledger.seq = other.seq AND ledger.seq IN (5, 7)"
        ],
        FaultKind.CHAIN_IS_BROKEN,
        "partition 3, seq 5",
    ),
    "two rows change places": (
        ["UPDATE ledger SET seq = -seq WHERE seq IN (5, 7)", "UPDATE ledger SET seq = 12 + seq WHERE seq < 0"],
        FaultKind.CHAIN_IS_BROKEN,
        "partition 3, seq 5",
    ),
    "a kind is rewritten": (["UPDATE ledger SET kind = 'redeemed' WHERE seq = 1"], FaultKind.CHAIN_IS_BROKEN, "seq 1"),
    "a row is rewritten with a fitting hash": (
        [
            "UPDATE ledger SET payload = '', redemption_id = NULL WHERE seq = 8",
            "UPDATE ledger SET hash = sha256(prev_hash || '8|refused|-|'::bytea) WHERE seq = 8",
        ],
        FaultKind.CHAIN_IS_BROKEN,
        "partition 3, seq 9",
    ),
    "the last row is taken": (["DELETE FROM ledger WHERE seq = 12"], FaultKind.HEAD_IS_ASTRAY, "partition 3"),
    "a head is moved": (["UPDATE partitions SET last_seq = 1 WHERE partition_no = 5"], FaultKind.HEAD_IS_ASTRAY, "partition 5"),
    "a row is put in a partition of nobody": (
        ["UPDATE ledger SET partition_no = 99 WHERE seq = 12"],
        FaultKind.ROW_IS_STRAY,
        "partition 99, seq 12",
    ),
    "a counter counts too few": (["UPDATE campaign_slices SET claimed = 4"], FaultKind.SLICE_IS_MISCOUNTED, "slice 0"),
    "a counter counts too many": (["UPDATE campaign_slices SET claimed = 6"], FaultKind.SLICE_IS_MISCOUNTED, "slice 0"),
    "a slice is lost": (["DELETE FROM campaign_slices"], FaultKind.SLICE_IS_MISCOUNTED, "slice 0"),
    "a slice gives more than it has": (
        ["ALTER TABLE campaign_slices DROP CONSTRAINT no_over_issue", "UPDATE campaign_slices SET budget = 4"],
        FaultKind.SLICE_IS_OVERDRAWN,
        "slice 0",
    ),
    "budgets exceed the limit": (["UPDATE campaign_slices SET budget = 11"], FaultKind.BUDGETS_MISS_THE_LIMIT, "campaign"),
    "a budget is unlimited": (["UPDATE campaign_slices SET budget = NULL"], FaultKind.BUDGETS_MISS_THE_LIMIT, "campaign"),
    "a campaign has no slice": (["DELETE FROM campaign_slices"], FaultKind.BUDGETS_MISS_THE_LIMIT, "campaign"),
    "more are active than the limit": (["UPDATE campaigns SET total_limit = 4"], FaultKind.CAMPAIGN_IS_OVER_ISSUED, "campaign"),
    "a user holds two of one": (
        [
            "DROP INDEX one_claim_per_use",
            "UPDATE redemptions SET user_id = 'ann' WHERE released_at IS NULL AND user_id IN ('ann', 'eve', 'fay', 'gus')",
        ],
        FaultKind.USER_IS_OVER_LIMIT,
        "user ann",
    ),
    "a redemption has no ledger row": (
        ["DELETE FROM ledger WHERE seq = 1", "UPDATE ledger SET seq = seq - 1", "UPDATE partitions SET last_seq = 11"],
        FaultKind.HISTORY_IS_ILLEGAL,
        "redemption",
    ),
    "a redemption is lost": (["DELETE FROM redemptions WHERE user_id = 'ann'"], FaultKind.HISTORY_IS_ILLEGAL, "redemption"),
    "a state moves without a row": (
        ["UPDATE redemptions SET state = 'redeemed', redeemed_at = now() WHERE user_id = 'ann'"],
        FaultKind.HISTORY_IS_ILLEGAL,
        "redemption",
    ),
    "a release forgets its reason": (
        ["UPDATE redemptions SET released_reason = 'refund' WHERE released_reason = 'failure'"],
        FaultKind.HISTORY_IS_ILLEGAL,
        "redemption",
    ),
    "a refund forgets that it was redeemed": (
        ["UPDATE redemptions SET redeemed_at = NULL WHERE released_reason = 'refund'"],
        FaultKind.HISTORY_IS_ILLEGAL,
        "redemption",
    ),
    "a discount is changed": (
        ["""UPDATE redemptions SET discount_applied = discount_applied || '{"value": 90}' WHERE user_id = 'ann'"""],
        FaultKind.CLAIM_WAS_ALTERED,
        "redemption",
    ),
    "a redemption changes hands": (
        ["UPDATE redemptions SET user_id = 'mallory' WHERE user_id = 'ann'"],
        FaultKind.CLAIM_WAS_ALTERED,
        "redemption",
    ),
    "a payload is no JSON": (
        ["UPDATE ledger SET payload = 'gone' WHERE seq = 1"],
        FaultKind.CLAIM_WAS_ALTERED,
        "redemption",
    ),
    "the database allows a transition more": (
        ["INSERT INTO redemption_transitions VALUES ('released', 'revive', 'claimed')"],
        FaultKind.TRANSITIONS_DIFFER,
        "redemption_transitions",
    ),
    "the database allows a transition less": (
        ["DELETE FROM redemption_transitions WHERE step = 'refund'"],
        FaultKind.TRANSITIONS_DIFFER,
        "redemption_transitions",
    ),
}


@pytest.mark.parametrize(("statements", "kind", "where"), DAMAGE.values(), ids=list(DAMAGE))
async def test_damage_is_found_and_placed(
    dsn: str, pool: Pool, campaign: CampaignId, statements: list[str], kind: FaultKind, where: str
) -> None:
    await damage(pool, *statements)
    report = await audit(dsn)
    assert not report.clean
    assert any(fault.kind is kind and where in fault.where for fault in report.faults), render(report)
    assert kind in render(report)


async def test_a_twice_recorded_claim_is_found(dsn: str, pool: Pool, campaign: CampaignId) -> None:
    async with pool.acquire() as connection, connection.transaction():
        redemption = await connection.fetchval("SELECT redemption_id FROM redemptions WHERE user_id = 'ann'")
        head = await lock_partition(connection, PARTITION)
        await append(connection, head, [Event(Kind.CLAIMED, redemption, "{}")])
    assert FaultKind.HISTORY_IS_ILLEGAL in kinds(await audit(dsn))


async def test_of_many_faults_of_a_kind_the_first_is_named_and_the_rest_are_counted(
    dsn: str, pool: Pool, campaign: CampaignId
) -> None:
    await damage(pool, "UPDATE redemptions SET order_id = 'other'")
    report = await audit(dsn)
    [fault] = report.faults
    async with pool.acquire() as connection:
        first = await connection.fetchval("SELECT redemption_id FROM redemptions ORDER BY redemption_id LIMIT 1")
    assert fault.where == f"redemption {first}"
    assert fault.detail.endswith("(the first of 7)")


async def test_a_ledger_longer_than_the_cursor_reads_at_a_time_is_walked_to_its_end(dsn: str, pool: Pool) -> None:
    async with pool.acquire() as connection:
        async with connection.transaction():
            head = await lock_partition(connection, PARTITION)
            await append(connection, head, [Event(Kind.CAMPAIGN_CHANGED, None, str(n)) for n in range(4_500)])
        assert (await audit(dsn)).clean
    await damage(pool, "UPDATE ledger SET payload = 'other' WHERE seq = 4321")
    [fault] = (await audit(dsn)).faults
    assert (fault.kind, fault.where) == (FaultKind.CHAIN_IS_BROKEN, "partition 3, seq 4321")


async def test_an_audit_beside_a_burst_sees_whole_batches_only(dsn: str, pool: Pool) -> None:
    async with pool.acquire() as connection:
        campaign = await create_campaign(connection, total_limit=None)
    finished = asyncio.Event()

    async def burst() -> None:
        async with pool.acquire() as connection:
            for batch in range(40):
                await claim(connection, campaign, [f"u{batch}-{n}" for n in range(5)])
        finished.set()

    burning = asyncio.create_task(burst())
    reports = []
    while not finished.is_set():
        reports.append(await audit(dsn))
    await burning
    assert all(report.clean for report in reports), [render(report) for report in reports if not report.clean]
    assert (await audit(dsn)).redemptions == 200


async def test_the_proof_of_one_campaign_counts_its_own_rows(dsn: str, pool: Pool, campaign: CampaignId) -> None:
    async with pool.acquire() as connection:
        other = await create_campaign(connection)
        await claim(connection, other, ["zoe"])
    proof = await audit_campaign(dsn, campaign)
    assert proof is not None
    assert (proof.redemptions, proof.active, proof.users, proof.claimed, proof.budget) == (7, 5, 5, 5, 10)
    assert proof.chain_intact


async def test_the_proof_of_one_campaign_knows_a_broken_chain(dsn: str, pool: Pool, campaign: CampaignId) -> None:
    await damage(pool, "UPDATE ledger SET payload = '' WHERE seq = 2")
    proof = await audit_campaign(dsn, campaign)
    assert proof is not None
    assert not proof.chain_intact


async def test_there_is_no_proof_of_an_unknown_campaign(dsn: str, pool: Pool) -> None:
    assert await audit_campaign(dsn, uuid4()) is None

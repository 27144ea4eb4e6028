"""Each type of drift is found by its name and set right; an engine at work has none."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from shared import gate_comparing, gate_reading, keys
from shared.audit import audit, render
from shared.domain.campaign import Campaign
from shared.domain.drift import DriftKind
from shared.domain.outcomes import Granted
from shared.gate import Verdict
from shared.gate_reading import GateReader
from shared.history import history
from shared.postgres import Pool
from shared.reconciling import Stores, reconcile, set_right
from shared.redis_client import Redis
from tests.integration import drifting
from tests.integration.drifting import PARTITION, Bench, field
from tests.integration.engine import Owner, claim_of, launch, open_door, opened_stores, shard_at_work, until


@pytest.fixture
async def bench(dsn: str, pool: Pool, redis: Redis) -> Bench:
    return await drifting.prepared(dsn, pool, redis)


async def test_stores_that_agree_have_no_drift(bench: Bench) -> None:
    reconciled = await reconcile(bench.stores)
    assert (reconciled.gates, reconciled.found, reconciled.left) == (1, [], [])


async def stray(bench: Bench) -> None:
    """The gate of a campaign that lives elsewhere."""
    other = await launch(bench.stores.pool, 5, partition=PARTITION + 1)
    incarnation = bench.owner.life.incarnation
    for named in (keys.gate, keys.users, keys.marks):
        await bench.redis.copy(bench.key(named), name := named(PARTITION, incarnation, other.campaign_id))
        if named is keys.gate:
            await bench.redis.sadd(keys.seeded(PARTITION, incarnation), name)


async def one_missing(bench: Bench) -> None:
    """The gate forgot ann, and all it has is as if she never was."""
    await bench.redis.hdel(bench.key(keys.users), "ann")
    await bench.redis.setrange(bench.key(keys.marks), 0, b"")
    await bench.redis.set(bench.key(keys.marks), (await bench.redis.get(bench.key(keys.marks)))[:8])
    await bench.redis.hset(bench.key(keys.gate), "members", 2)


async def one_more(bench: Bench) -> None:
    """The gate knows somebody of whom Postgres never heard; nor could it."""
    await bench.redis.hset(bench.key(keys.users), mapping={"eve": "1:4", "nu\0l": "1:4"})
    await bench.redis.append(bench.key(keys.marks), b"12345678")
    await bench.redis.hset(bench.key(keys.gate), "members", 5)


async def another(bench: Bench) -> None:
    """Somebody else in place of ann."""
    await bench.redis.hdel(bench.key(keys.users), "ann")
    await bench.redis.hset(bench.key(keys.users), "eve", "1:4")


GATES: dict[str, tuple[Callable[[Bench], Awaitable[Any]], set[DriftKind]]] = {
    "free": (field("free", "4"), {DriftKind.GATE_FREE_DIFFERS}),
    "garbage": (field("free", "plenty"), {DriftKind.GATE_FREE_DIFFERS}),
    "limit": (field("limit", "2"), {DriftKind.GATE_LIMIT_DIFFERS}),
    "closed": (field("closed", "ended"), {DriftKind.GATE_CLOSED_DIFFERS}),
    "dry": (field("dry", "1"), {DriftKind.GATE_DRY_DIFFERS}),
    "ahead": (field("seq", "1000"), {DriftKind.GATE_AHEAD}),
    "stray": (stray, {DriftKind.GATE_STRAY}),
    "missing": (one_missing, {DriftKind.USER_MISSING}),
    "unknown": (one_more, {DriftKind.USER_UNKNOWN}),
    "another": (another, {DriftKind.USER_MISSING, DriftKind.USER_UNKNOWN}),
    "miscounted": (lambda bench: bench.redis.hset(bench.key(keys.users), "ann", "0:4"), {DriftKind.USER_MISCOUNTED}),
    "marks": (lambda bench: bench.redis.setrange(bench.key(keys.marks), 0, b"1234"), {DriftKind.MARKS_DIFFER}),
}


@pytest.mark.parametrize("damage", GATES)
async def test_each_drift_of_a_gate_is_found_and_set_right(bench: Bench, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    # Pages of one, so that nothing here fits on a page.
    monkeypatch.setattr(gate_comparing, "_USERS_AT_A_TIME", 1)
    monkeypatch.setattr(gate_reading, "_MARKS_AT_A_TIME", 4)
    act, expected = GATES[damage]
    await act(bench)
    for _ in range(2):
        assert await bench.found() == sorted(expected)
    reconciled = await set_right(bench.stores, "admin")
    assert ({drift.kind for drift in reconciled.found}, reconciled.left) == (expected, [])
    await bench.owner.turn()
    assert await bench.redis.hget(bench.key(keys.gate), "free") == b"2"
    assert await bench.found() == []
    asked = [(bench.campaign, claim_of(bench.campaign, user, "again", subtotal=1_000)) for user in ("ann", "cat")]
    assert (await bench.owner.ask(*asked))[0] == [Verdict.LOOK_ALREADY] * 2
    assert (await set_right(bench.stores, "admin")).found == []


CLAIMED = "(SELECT min(code_id) FROM codes WHERE state = 'claimed')"
UNUSED = "(SELECT min(code_id) FROM codes WHERE state = 'unused')"
TABLES = {
    "slots": ("UPDATE campaign_slices SET claimed = 2", DriftKind.SLOTS_MISCOUNTED),
    "money": ("UPDATE campaign_slices SET amount_claimed = 1", DriftKind.MONEY_MISCOUNTED),
    "handed out again": (f"UPDATE codes SET state = 'unused' WHERE code_id = {CLAIMED}", DriftKind.CODE_MISSTATED),
    "of nobody": (f"UPDATE codes SET state = 'claimed', claimed_by = 'eve' WHERE code_id = {UNUSED}", DriftKind.CODE_MISSTATED),
    "of another": (f"UPDATE codes SET claimed_by = 'eve' WHERE code_id = {CLAIMED}", DriftKind.CODE_MISSTATED),
}


@pytest.mark.parametrize("damage", TABLES)
async def test_each_drift_within_postgres_is_found_and_what_follows_from_redemptions_is_set_right(
    bench: Bench, dsn: str, damage: str
) -> None:
    statement, kind = TABLES[damage]
    await bench.damage(statement)
    assert kind in await bench.found()
    reconciled = await set_right(bench.stores, "eve's sister")
    assert ({drift.kind for drift in reconciled.found}, reconciled.left) == ({kind}, [])
    report = await audit(dsn)
    assert report.clean, render(report)
    told = [line async for line in history(dsn, "POOL")]
    assert "by eve's sister" in told[-1]
    await bench.owner.settler.tick(bench.owner.cursor)
    assert await bench.found() == []


async def test_what_follows_from_nothing_is_left_to_be_looked_at(bench: Bench) -> None:
    await bench.damage(
        "UPDATE campaign_slices SET claimed = 2, budget = 2",
        "UPDATE campaigns SET minted = minted + 1",
    )
    reconciled = await set_right(bench.stores, "admin")
    assert [drift.kind for drift in reconciled.left] == [DriftKind.SLOTS_MISCOUNTED, DriftKind.CODES_MISCOUNTED]


async def test_what_was_committed_and_not_settled_is_no_drift_of_the_gate(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate_comparing, "SETTLED_WITHIN_S", 0.3)
    dan = claim_of(bench.campaign, "dan", subtotal=1_000)
    assert (await bench.owner.ask((bench.campaign, dan)))[0] == [Verdict.ADMITTED]
    await bench.owner.commit()
    # Its owner is gone: nobody settles.
    assert await bench.found() == [DriftKind.MAILBOX_UNSETTLED]
    heir = await Owner.of(bench.stores.pool, bench.stores.redis, PARTITION)
    settled, waited_for = GateReader.settled, asyncio.Event()

    async def settled_in_time(reader: GateReader, cursor: str) -> bool:
        waited_for.set()
        return await settled(reader, cursor)

    monkeypatch.setattr(GateReader, "settled", settled_in_time)
    comparing = asyncio.create_task(bench.found())
    await waited_for.wait()
    await heir.settler.make_good(await heir.mailbox.unsettled(heir.cursor), heir.cursor)
    assert await comparing == []


async def test_a_gate_of_several_slices_may_let_more_through_but_not_less(bench: Bench) -> None:
    await bench.damage(
        "INSERT INTO campaign_slices (campaign_id, slice_no, partition_no, budget, amount_budget) "
        "SELECT campaign_id, 1, 4, 0, 0 FROM campaigns"
    )
    await field("free", "3")(bench)
    assert await bench.found() == []
    await field("free", "1")(bench)
    assert await bench.found() == [DriftKind.GATE_FREE_DIFFERS]


async def test_a_life_that_is_over_has_no_drift(bench: Bench) -> None:
    await field("free", "4")(bench)
    await bench.redis.delete(keys.incarnation_pointer(PARTITION))
    assert await bench.found() == []


async def test_an_engine_at_work_has_no_drift(dsn: str, redis_url: str) -> None:
    async with opened_stores(dsn, redis_url) as shop, shard_at_work(shop) as shard, open_door(shop.pool, redis_url) as door:
        campaign = await launch(shop.pool, 400, release_on_failure=True)
        await until(shard.owned)
        stores = Stores(dsn, shop.pool, shop.redis, shop.gate, pause_s=0.0)
        buying = asyncio.gather(*(_buy(door, campaign, buyer) for buyer in range(8)))
        looks = 0
        while not buying.done():
            reconciled = await reconcile(stores)
            assert reconciled.found == []
            looks += reconciled.gates
        assert sum(await buying) == 400
        assert looks >= 3


async def _buy(door: Any, campaign: Campaign, buyer: int) -> int:
    answers = [await door.redeem(campaign, f"user {buyer} {number}") for number in range(60)]
    return sum(isinstance(answer, Granted) for answer in answers)

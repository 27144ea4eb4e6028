"""Slices on real stores: routed by their layout, drained before they move, and pulling budget from each other."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from claim_workers.consumer import Stores
from frontdoor import moves
from shared import keys, lifecycle, moving
from shared.audit import audit
from shared.campaigns import Committed, change
from shared.catalogue import campaigns_by_id
from shared.domain.campaign import Campaign
from shared.domain.discount import Discount
from shared.domain.draft import CampaignChange
from shared.domain.ids import PARTITIONS, UserId
from shared.domain.outcomes import Granted, Misrouted, Refusal, Refused, Replayed
from shared.domain.redemption import Step
from shared.domain.slices import slice_of
from shared.gate import Verdict
from shared.moving import Held, Move, MoveRefused, NotDrained, OnTheMove, Split, Wish
from shared.postgres import Pool
from tests.integration.campaign_door import door_of
from tests.integration.engine import Owner, claim_of, home, launch, open_door, posted, shard_at_work, until

BY = UserId("admin")


@pytest.fixture
async def audited(postgres_dsn: str) -> AsyncIterator[None]:
    """When the test is over, the audit must find nothing."""
    yield
    report = await audit(postgres_dsn)
    assert report.clean, report.faults


def served_by(campaign: Campaign, slice_no: int, count: int, prefix: str = "user") -> list[str]:
    """Users whom this slice of the campaign serves."""
    names = (f"{prefix} {number}" for number in range(10_000))
    return [name for name in names if campaign.slice_for(UserId(name)).slice_no == slice_no][:count]


async def cut(pool: Pool, campaign: Campaign, wish: Wish) -> Campaign:
    """Move a campaign at once: nobody is let in before, and nothing waits."""
    held = await moving.hold(pool, campaign.campaign_id, wish, BY)
    assert isinstance(held, Held), held
    made = await moving.put(pool, held, wish, BY)
    assert isinstance(made, Committed), made
    return made.campaign


async def rows(pool: Pool, campaign: Campaign) -> list[tuple[int, int | None, int]]:
    """Partition, budget and claimed of each slice."""
    columns = "partition_no, budget, claimed"
    sql = f"SELECT {columns} FROM campaign_slices WHERE campaign_id = $1 ORDER BY slice_no"
    return [(partition, budget, claimed) for partition, budget, claimed in await pool.fetch(sql, campaign.campaign_id)]


async def owners(stores: Stores, campaign: Campaign) -> list[Owner]:
    """The owners of its slices."""
    return [await Owner.of(stores.pool, stores.redis, part.partition_no) for part in campaign.slices]


async def asked(owner: Owner, campaign: Campaign, *users: str) -> list[Verdict]:
    verdicts, _ = await owner.ask(*((campaign, claim_of(campaign, user)) for user in users))
    return verdicts


async def sold(owner: Owner, campaign: Campaign, *users: str) -> list[Any]:
    """What becomes of these users' claims when they are let in and committed."""
    if Verdict.COLD in await asked(owner, campaign, *users):
        await owner.turn()
        await asked(owner, campaign, *users)
    return [outcome for batch in await owner.commit() for *_, outcome in batch.outcomes]


@pytest.mark.parametrize("user", ["ann", "é", "\N{GRINNING FACE}", "x" * 256])
async def test_postgres_routes_as_the_doors_do(pool: Pool, user: str) -> None:
    for slices in (1, 2, 3, 16):
        assert await pool.fetchval("SELECT slice_of($1, $2)", user, slices) == slice_of(UserId(user), slices)


async def test_budgets_that_do_not_make_the_limit_are_refused_at_commit(pool: Pool) -> None:
    campaign = await cut(pool, await launch(pool, 10), Split(2))
    with pytest.raises(asyncpg.CheckViolationError, match="do not make its limits"):
        await pool.execute("UPDATE campaign_slices SET budget = budget + 1 WHERE slice_no = 0")
    with pytest.raises(asyncpg.CheckViolationError, match="do not make its limits"):
        await pool.execute("UPDATE campaigns SET total_limit = 11")
    with pytest.raises(asyncpg.CheckViolationError, match="do not make its limits"):
        await pool.execute("DELETE FROM campaign_slices WHERE slice_no = 1")
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("UPDATE campaign_slices SET budget = budget + 1 WHERE slice_no = 0")
        await connection.execute("UPDATE campaign_slices SET budget = budget - 1 WHERE slice_no = 1")
    assert [budget for _, budget, _ in await rows(pool, campaign)] == [6, 4]


async def test_an_even_share_of_what_is_free_goes_to_each_slice(stores: Stores, audited: None) -> None:
    campaign = await launch(stores.pool, 10)
    owner = await Owner.of(stores.pool, stores.redis, home(campaign))
    assert len(await sold(owner, campaign, "a", "b")) == 2
    split = await cut(stores.pool, campaign, Split(4))
    assert [(budget, claimed) for _, budget, claimed in await rows(stores.pool, split)] == [(4, 2), (2, 0), (2, 0), (2, 0)]
    assert len({partition for partition, *_ in await rows(stores.pool, split)}) == 4
    assert split.slices[0].partition_no == home(campaign)


async def test_a_limit_that_changes_is_spread_over_the_slices(stores: Stores, audited: None) -> None:
    campaign = await cut(stores.pool, await launch(stores.pool, 10), Split(4))
    for limit, budgets in ((21, [6, 5, 5, 5]), (3, [1, 1, 1, 0]), (None, [None] * 4), (8, [2] * 4)):
        made = await change(stores.pool, campaign.campaign_id, CampaignChange(total_limit=limit), BY)
        assert isinstance(made, Committed)
        assert [budget for _, budget, _ in await rows(stores.pool, campaign)] == budgets
        assert {settlement.free for _, settlement in made.settlements} == {limit}
        assert len(made.settlements) == 4


async def test_a_claim_in_the_old_partitions_mailbox_is_to_be_routed_again(stores: Stores, audited: None) -> None:
    campaign = await launch(stores.pool, 10)
    old = await Owner.of(stores.pool, stores.redis, home(campaign))
    assert await asked(old, campaign, "a") == [Verdict.COLD]
    await old.turn()
    assert await asked(old, campaign, "a") == [Verdict.ADMITTED]
    await cut(stores.pool, campaign, Move((home(campaign) + 1) % PARTITIONS))
    [batch] = await old.commit()
    assert [outcome for *_, outcome in batch.outcomes] == [Misrouted()]
    assert await stores.pool.fetchval("SELECT count(*) FROM redemptions") == 0


async def test_a_door_finds_its_way_when_its_claim_has_missed_the_campaign(
    stores: Stores, redis_url: str, audited: None
) -> None:
    campaign = await launch(stores.pool, 10)
    async with open_door(stores.pool, redis_url) as door:
        old = await Owner.of(stores.pool, stores.redis, home(campaign))
        asking = asyncio.create_task(door.redeem(campaign, "a"))

        async def waits() -> bool:
            await old.settler.seed({campaign.campaign_id}, old.cursor)
            return bool(await door.gate.waiting(home(campaign), campaign.campaign_id))

        await until(waits)
        await cut(stores.pool, campaign, Move((home(campaign) + 1) % PARTITIONS))
        async with shard_at_work(stores):
            assert isinstance(await asking, Granted)


async def test_an_old_gate_lets_nobody_in_and_certifies_nothing(stores: Stores, audited: None) -> None:
    campaign = await launch(stores.pool, 1)
    owner = await Owner.of(stores.pool, stores.redis, home(campaign))
    await sold(owner, campaign, "winner")
    await owner.turn()
    assert await asked(owner, campaign, "x") == [Verdict.EXHAUSTED]
    held = await moving.hold(stores.pool, campaign.campaign_id, Split(2), BY)
    assert isinstance(held, Held)
    await owner.gate.settle(home(campaign), owner.life.incarnation, [settlement for _, settlement in held.gates])
    verdicts, [reply] = await owner.ask((campaign, claim_of(campaign, "x")))
    assert (verdicts, reply.certified, reply.dry) == ([Verdict.WAIT], False, False)
    # Nor does it when its owner sets it again: Postgres says so.
    await owner.settler.tick(owner.cursor)
    assert await asked(owner, campaign, "x") == [Verdict.WAIT]
    made = await moving.put(stores.pool, held, Split(2), BY)
    assert isinstance(made, Committed)
    assert await asked(owner, campaign, "x") == [Verdict.WAIT]
    await owner.settler.tick(owner.cursor)
    # To who knows of the slices it is cold until it is seeded; to who does not it stays so.
    ours = served_by(made.campaign, 0, 1)[0]
    assert await asked(owner, made.campaign, ours) == [Verdict.COLD]
    await owner.turn()
    assert await asked(owner, made.campaign, ours) == [Verdict.EXHAUSTED]
    verdicts, [reply] = await owner.ask((campaign, claim_of(campaign, ours)))
    assert (verdicts, reply.certified) == ([Verdict.COLD], False)


async def test_a_gate_that_a_campaign_has_left_is_forgotten(stores: Stores) -> None:
    campaign = await launch(stores.pool, 10)
    owner = await Owner.of(stores.pool, stores.redis, home(campaign))
    await sold(owner, campaign, "a")
    await cut(stores.pool, campaign, Move((home(campaign) + 1) % PARTITIONS))
    await owner.settler.tick(owner.cursor)
    assert not await stores.redis.exists(keys.gate(home(campaign), owner.life.incarnation, campaign.campaign_id))


async def test_winners_of_before_are_known_where_they_are_served_now(stores: Stores, audited: None) -> None:
    campaign = await launch(stores.pool, 40)
    owner = await Owner.of(stores.pool, stores.redis, home(campaign))
    names = [f"early {number}" for number in range(20)]
    assert len(await sold(owner, campaign, *names)) == 20
    split = await cut(stores.pool, campaign, Split(4))
    for part, at in zip(split.slices, await owners(stores, split), strict=True):
        there = [name for name in names if split.slice_for(UserId(name)) == part]
        await asked(at, split, *there)
        await at.turn()
        assert set(await asked(at, split, *there)) == {Verdict.LOOK_ALREADY}


async def test_a_dry_slice_pulls_what_its_siblings_have_until_nobody_has_any(stores: Stores, audited: None) -> None:
    campaign = await cut(stores.pool, await launch(stores.pool, 20), Split(4))
    first, *_ = await owners(stores, campaign)
    told = await sold(first, campaign, *served_by(campaign, 0, 25))
    assert [type(each) for each in told[:20]] == [Granted] * 20
    assert told[20:] == [] or set(told[20:]) == {Refused(Refusal.EXHAUSTED)}
    assert [claimed for *_, claimed in await rows(stores.pool, campaign)] == [20, 0, 0, 0]
    kinds = await stores.pool.fetch("SELECT DISTINCT partition_no FROM ledger WHERE kind = 'budget_moved'")
    assert len(kinds) == 4


async def test_money_is_pulled_as_slots_are(stores: Stores, audited: None) -> None:
    off = Discount("amount", 100, "EUR")
    campaign = await launch(stores.pool, 100, discount=off, amount_limit=1_050)
    campaign = await cut(stores.pool, campaign, Split(3))
    [_, second, _] = await owners(stores, campaign)
    told = await sold(second, campaign, *served_by(campaign, 1, 12))
    assert sum(isinstance(each, Granted) for each in told) == 10
    assert set(told[10:]) == {Refused(Refusal.BUDGET_INSUFFICIENT)}
    assert await stores.pool.fetchval("SELECT sum(amount_claimed) FROM campaign_slices") == 1_000


async def test_two_slices_that_pull_from_each_other_wait_but_not_for_ever(stores: Stores, audited: None) -> None:
    campaign = await cut(stores.pool, await launch(stores.pool, 60), Split(2))
    one, other = await owners(stores, campaign)

    async def sell(owner: Owner, slice_no: int) -> int:
        """Again and again more than the slice has."""
        granted = 0
        for turn in range(10):
            told = await sold(owner, campaign, *served_by(campaign, slice_no, 6, prefix=f"turn {turn}"))
            granted += sum(isinstance(each, Granted) for each in told)
            await owner.turn()
        return granted

    with capture_logs() as logs:
        assert sum(await asyncio.gather(sell(one, 0), sell(other, 1))) == 60
    assert await stores.pool.fetchval("SELECT sum(claimed) FROM campaign_slices") == 60
    assert [log for log in logs if "deadlock" in str(log.get("error"))] == []


@pytest.mark.parametrize("campaigns", [1, 10, 1_000, 100_000])
async def test_a_campaign_in_slices_is_held_at_one_moment_however_many_campaigns_there_are(
    stores: Stores, audited: None, campaigns: int
) -> None:
    """What the planner is told decides in which order it joins, and a hold is known by its moment."""
    campaign = await cut(stores.pool, await launch(stores.pool, 100), Split(3))
    await stores.pool.execute(
        "UPDATE pg_class SET reltuples = $1, relpages = $2 WHERE relname = 'campaign_slices'", campaigns, 1 + campaigns // 100
    )
    assert len((await cut(stores.pool, campaign, Split(4))).slices) == 4


async def test_who_pulls_holds_nothing_above_what_it_waits_for(stores: Stores, audited: None) -> None:
    campaign = await cut(stores.pool, await launch(stores.pool, 10), Split(2))
    low, high = sorted(campaign.slices, key=lambda part: part.partition_no)
    owner = await Owner.of(stores.pool, stores.redis, high.partition_no)
    users = served_by(campaign, high.slice_no, 8)
    await asked(owner, campaign, *users)
    await owner.turn()
    assert await asked(owner, campaign, *users) == [Verdict.ADMITTED] * 8
    lock = "SELECT FROM partitions WHERE partition_no = $1 FOR UPDATE"

    async def waits() -> bool:
        return bool(await stores.pool.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"))

    async with stores.pool.acquire() as connection, connection.transaction():
        await connection.execute(lock, low.partition_no)
        pulling = asyncio.create_task(owner.commit())
        await until(waits)
        await stores.pool.execute(f"{lock} NOWAIT", high.partition_no)
    assert [type(outcome) for batch in await pulling for *_, outcome in batch.outcomes] == [Granted] * 8


async def test_a_burst_of_one_slices_users_sells_exactly_the_limit(stores: Stores, redis_url: str, audited: None) -> None:
    campaign = await cut(stores.pool, await launch(stores.pool, 40), Split(4))
    async with open_door(stores.pool, redis_url) as door, shard_at_work(stores):
        users = served_by(campaign, 2, 90) + served_by(campaign, 1, 10)
        answers = await asyncio.gather(*(door.redeem(campaign, user) for user in users))
        assert sum(isinstance(answer, Granted) for answer in answers) == 40
        assert answers.count(Refused(Refusal.EXHAUSTED)) == 60
        winners = [user for user, answer in zip(users, answers, strict=True) if isinstance(answer, Granted)]
        again = await asyncio.gather(*(door.redeem(campaign, user) for user in winners))
        assert {type(answer) for answer in again} == {Replayed}


async def test_a_hold_of_before_the_split_ends_where_it_lives(stores: Stores, audited: None) -> None:
    campaign = await launch(stores.pool, 10, hold_ttl_s=600)
    owner = await Owner.of(stores.pool, stores.redis, home(campaign))
    split_users = [f"user {number}" for number in range(8)]
    assert len(await sold(owner, campaign, *split_users)) == 8
    split = await cut(stores.pool, campaign, Split(2))
    user = next(name for name in split_users if split.slice_for(UserId(name)).slice_no == 1)
    await stores.pool.execute("UPDATE redemptions SET hold_expires_at = clock_timestamp() WHERE user_id = $1", user)
    _, second = await owners(stores, split)
    outcome = (await second.committer.commit(posted([claim_of(split, user, "new")])))[0].outcomes[0][2]
    assert isinstance(outcome, Granted)
    assert outcome.redemption.slice_no == 1


async def test_who_gave_back_what_another_slice_gave_may_claim_again(
    stores: Stores, postgres_dsn: str, redis_url: str, audited: None
) -> None:
    campaign = await launch(stores.pool, 10, release_on_failure=True)
    async with open_door(stores.pool, redis_url) as door, shard_at_work(stores):
        users = [f"user {number}" for number in range(8)]
        won = {user: await door.redeem(campaign, user) for user in users}
        assert isinstance(await moved(postgres_dsn, stores, campaign, Split(2)), moves.Done)
        split = await known(stores.pool, campaign)
        user = next(name for name in users if split.slice_for(UserId(name)).slice_no == 1)
        answer = won[user]
        assert isinstance(answer, Granted)
        assert await door.redeem(split, user, "new") == Refused(Refusal.ALREADY_REDEEMED)
        await lifecycle.take(stores.pool, answer.redemption.redemption_id, Step.RELEASE_FOR_FAILURE)
        assert isinstance(await door.redeem(split, user, "newer"), Granted)


async def test_who_moves_a_campaign_and_dies_harms_nobody_for_long(stores: Stores, redis_url: str, audited: None) -> None:
    campaign = await launch(stores.pool, 10)
    async with open_door(stores.pool, redis_url) as door, shard_at_work(stores):
        assert isinstance(await door.redeem(campaign, "early"), Granted)
        held = await moving.hold(stores.pool, campaign.campaign_id, Split(4), BY)
        assert isinstance(held, Held)
        assert await moving.hold(stores.pool, campaign.campaign_id, Split(2), BY) == OnTheMove()
        waited = asyncio.create_task(door.redeem(campaign, "late", wait_s=20))
        assert isinstance(await waited, Granted)
        # What was held so long ago is not moved any more.
        await until(lambda: lifted(stores.pool))
        assert await moving.put(stores.pool, held, Split(4), BY) == OnTheMove()
    assert len(await rows(stores.pool, campaign)) == 1


async def test_a_campaign_is_not_moved_while_nobody_decides_what_waits(
    stores: Stores, postgres_dsn: str, audited: None
) -> None:
    campaign = await launch(stores.pool, 10)
    owner = await Owner.of(stores.pool, stores.redis, home(campaign))
    await asked(owner, campaign, "a")
    await owner.turn()
    assert await asked(owner, campaign, "a") == [Verdict.ADMITTED]
    assert await moved(postgres_dsn, stores, campaign, Split(2)) == NotDrained(home(campaign))
    assert await lifted(stores.pool)
    # Who waits is let in again at once.
    assert await asked(owner, campaign, "b") == [Verdict.ADMITTED]


async def moved(dsn: str, stores: Stores, campaign: Campaign, wish: Wish) -> moves.Done | MoveRefused:
    """What an administrator's front door does."""
    return await moves.carry_out(door_of(dsn, stores.pool, stores.redis), campaign.campaign_id, wish, BY)


async def lifted(pool: Pool) -> bool:
    return not await pool.fetchval("SELECT count(*) FROM campaign_slices WHERE held_at IS NOT NULL")


async def known(pool: Pool, campaign: Campaign) -> Campaign:
    async with pool.acquire() as connection:
        return (await campaigns_by_id(connection, [campaign.campaign_id]))[campaign.campaign_id]

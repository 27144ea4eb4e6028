"""What a shard's consumers read is committed together, and whatever is the matter with one of them is its own affair."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from claim_workers import turns as room
from claim_workers.committer import Batch, commit_together
from claim_workers.consumer import Stores
from claim_workers.turns import Turns
from shared import beat, book, keys, mailbox, moving
from shared.audit import audit
from shared.campaigns import Committed
from shared.clock import utc_now
from shared.domain.campaign import Campaign, StackingRules
from shared.domain.ids import PartitionNo, UserId
from shared.domain.operations import SubmitClaim
from shared.domain.outcomes import Refused
from shared.errors import Fenced, IncarnationOver, RedisUnavailable
from shared.feed import decode
from shared.mailbox import Entry
from shared.moving import Held, Split
from shared.postgres import NO_ANSWER, Pool
from shared.redis_client import open_redis
from shared.statements import statement
from tests.integration.engine import Owner, at_commit, claim_of, gain, launch, posted, until

HERE, THERE, YONDER = PartitionNo(3), PartitionNo(7), PartitionNo(11)


class Bench:
    """A shard that owns three partitions, each with a campaign of ten slots."""

    def __init__(self, stores: Stores) -> None:
        self.stores, self.pool = stores, stores.pool
        self.turns = Turns(stores.pool, stores.redis, stores.gate, 512)
        self.owners: dict[PartitionNo, Owner] = {}
        self.campaigns: dict[PartitionNo, Campaign] = {}

    async def own(self, partition: PartitionNo) -> None:
        self.owners[partition] = await Owner.of(self.pool, self.stores.redis, partition)
        self.campaigns[partition] = await launch(self.pool, 10, partition=partition)

    def claim(self, at: PartitionNo, user: str, **different: Any) -> SubmitClaim:
        return claim_of(self.campaigns[at], user, **different)

    def batch(self, at: PartitionNo, *claims: SubmitClaim) -> Batch:
        return Batch(self.owners[at].life, posted(claims))

    async def hand_in(self, batch: Batch) -> None:
        await self.turns.commit(batch, lambda: None)

    async def served(self, *partitions: PartitionNo) -> None:
        """Somebody claims in each of these partitions, and their consumers hand in at the same moment."""
        heard = await self.in_turn(*(self.batch(at, self.claim(at, f"user {at}")) for at in partitions))
        assert heard == [None] * len(partitions)

    async def in_turn(self, *batches: Batch) -> list[BaseException | None]:
        """What their consumers hear when they hand in these at the same moment."""
        return await asyncio.gather(*(self.hand_in(batch) for batch in batches), return_exceptions=True)

    async def winners(self) -> dict[str, int]:
        """Who holds something, and the transaction that wrote it."""
        rows = await self.pool.fetch("SELECT user_id, xmin::text::bigint FROM redemptions ORDER BY user_id")
        return {user: int(transaction) for user, transaction in rows}

    async def cursors(self) -> dict[int, str]:
        rows = await self.pool.fetch("SELECT partition_no, cursor FROM partitions WHERE cursor <> '0-0' ORDER BY 1")
        return {number: cursor for number, cursor in rows}

    async def kinds(self, at: PartitionNo) -> list[str]:
        rows = await self.pool.fetch("SELECT kind FROM ledger WHERE partition_no = $1 ORDER BY seq", at)
        return [kind for (kind,) in rows]


@pytest.fixture
async def bench(stores: Stores, postgres_dsn: str) -> AsyncIterator[Bench]:
    """When the test is over, the audit must find nothing."""
    bench = Bench(stores)
    for partition in (HERE, THERE, YONDER):
        await bench.own(partition)
    yield bench
    report = await audit(postgres_dsn)
    assert report.clean, report.faults


def told(outcomes: Sequence[Any]) -> list[str]:
    return [
        outcome.reason.value if isinstance(outcome, Refused) else type(outcome).__name__.lower() for *_, outcome in outcomes
    ]


def undecodable(batch: Batch) -> Batch:
    return Batch(batch.life, [mailbox.decode(entry.entry_id, b"not a claim") for entry in batch.entries])


async def waits_for_a_lock(bench: Bench) -> bool:
    found: bool = await bench.pool.fetchval(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')"
    )
    return found


async def test_partitions_that_hand_in_at_once_are_committed_in_one_transaction(bench: Bench) -> None:
    heard = await bench.in_turn(
        bench.batch(HERE, bench.claim(HERE, "a"), bench.claim(HERE, "b")),
        bench.batch(THERE, bench.claim(THERE, "c")),
        bench.batch(YONDER, bench.claim(HERE, "d")),
    )
    assert heard == [None] * 3
    winners = await bench.winners()
    assert list(winners) == ["a", "b", "c"], "what lay in another partition than its own is routed again"
    assert len(set(winners.values())) == 1
    assert await bench.cursors() == {HERE: "2-0", THERE: "1-0", YONDER: "1-0"}
    assert await bench.kinds(HERE) == ["campaign_created", "claimed", "claimed"]
    assert await bench.kinds(THERE) == ["campaign_created", "claimed"]


async def test_the_outcomes_of_a_turn_go_to_each_door_in_one_message(bench: Bench, redis_url: str) -> None:
    client = open_redis(redis_url, reply_within_s=None)
    async with client, client.pubsub(ignore_subscribe_messages=True) as channel:
        await channel.subscribe(keys.outcome_channel("door"))  # type: ignore[arg-type]
        await channel.get_message(timeout=1)
        claims = [(HERE, bench.claim(HERE, "a", ticket=1)), (THERE, bench.claim(THERE, "b", ticket=2))]
        await bench.in_turn(*(bench.batch(at, claim) for at, claim in claims))
        message: Any = None
        while message is None:
            message = await channel.get_message(timeout=1)
    assert sorted(ticket for ticket, _ in decode(message["data"])) == [1, 2]


async def test_of_a_turn_what_was_committed_already_is_passed_over(bench: Bench) -> None:
    first = bench.batch(HERE, bench.claim(HERE, "a"))
    await bench.in_turn(first)
    [again, other] = await commit_together(bench.pool, [first, bench.batch(THERE, bench.claim(THERE, "b"))])
    assert (again.outcomes, again.cursor) == ([], "1-0")
    assert told(other.outcomes) == ["granted"]


async def test_who_is_fenced_is_left_out_and_hears_of_it_alone(bench: Bench) -> None:
    await gain(bench.pool, HERE, "another")
    heard = await bench.in_turn(*(bench.batch(at, bench.claim(at, f"user {at}")) for at in (HERE, THERE, YONDER)))
    assert [type(each) for each in heard] == [Fenced, type(None), type(None)]
    winners = await bench.winners()
    assert list(winners) == ["user 11", "user 7"]
    assert len(set(winners.values())) == 1


async def test_an_owner_that_is_overtaken_writes_nothing_in_a_turn_either(bench: Bench) -> None:
    async with bench.pool.acquire() as connection:
        async with connection.transaction():
            await connection.execute("UPDATE partitions SET epoch = epoch + 1 WHERE partition_no = $1", HERE)
            batches = [bench.batch(at, bench.claim(at, f"user {at}")) for at in (HERE, THERE)]
            turn = asyncio.create_task(bench.in_turn(*batches))
            await until(lambda: waits_for_a_lock(bench))
        heard = await turn
    assert [type(each) for each in heard] == [Fenced, type(None)]
    assert list(await bench.winners()) == ["user 7"]


async def test_who_reads_a_life_that_is_over_is_left_out_and_hears_of_it_alone(bench: Bench) -> None:
    await bench.pool.execute("UPDATE partitions SET incarnation = 'another' WHERE partition_no = $1", HERE)
    heard = await bench.in_turn(*(bench.batch(at, bench.claim(at, f"user {at}")) for at in (HERE, THERE)))
    assert [type(each) for each in heard] == [IncarnationOver, type(None)]
    assert list(await bench.winners()) == ["user 7"]


async def test_a_life_that_ended_in_redis_is_heard_of_by_its_own_consumer(bench: Bench) -> None:
    await bench.stores.redis.delete(keys.incarnation_pointer(HERE))
    heard = await bench.in_turn(*(bench.batch(at, bench.claim(at, f"user {at}")) for at in (HERE, THERE)))
    assert [type(each) for each in heard] == [IncarnationOver, type(None)]
    assert list(await bench.winners()) == ["user 3", "user 7"], "committed all the same"


async def test_gates_are_set_although_redis_has_forgotten_the_scripts(bench: Bench) -> None:
    await bench.stores.redis.script_flush()
    await bench.served(HERE, THERE)


async def test_a_redis_that_is_away_is_heard_of_by_everybody(bench: Bench) -> None:
    away = open_redis("redis://127.0.0.1:1")
    bench.turns = Turns(bench.pool, away, type(bench.stores.gate)(away, 10), 512)
    heard = await bench.in_turn(*(bench.batch(at, bench.claim(at, f"user {at}")) for at in (HERE, THERE)))
    assert [type(each) for each in heard] == [RedisUnavailable] * 2
    assert len(await bench.winners()) == 2
    await away.aclose()


async def test_poison_in_one_partition_is_put_aside_and_the_others_are_committed(bench: Bench) -> None:
    poison = undecodable(bench.batch(HERE, bench.claim(HERE, "a")))
    nul = bench.batch(YONDER, bench.claim(YONDER, "x", order_id="\0"), bench.claim(YONDER, "y"))
    assert await bench.in_turn(poison, bench.batch(THERE, bench.claim(THERE, "b")), nul) == [None] * 3
    assert list(await bench.winners()) == ["b", "y"]
    rows = await bench.pool.fetch("SELECT partition_no, entry_id FROM dead_letters ORDER BY 1")
    assert [tuple(row) for row in rows] == [(HERE, "1-0"), (YONDER, "1-0")]


async def test_nobody_waits_for_a_partition_that_somebody_else_has_locked(bench: Bench) -> None:
    async with bench.pool.acquire() as connection:
        async with connection.transaction():
            await connection.execute("SELECT FROM partitions WHERE partition_no = $1 FOR UPDATE", HERE)
            late = asyncio.create_task(bench.hand_in(bench.batch(HERE, bench.claim(HERE, "a"))))
            assert (
                await bench.in_turn(*(bench.batch(at, bench.claim(at, f"user {at}")) for at in (THERE, YONDER))) == [None] * 2
            )
            await until(lambda: waits_for_a_lock(bench))
            assert list(await bench.winners()) == ["user 11", "user 7"]
        await late
    assert list(await bench.winners()) == ["a", "user 11", "user 7"]


async def test_who_waits_for_an_order_that_somebody_else_has_locked_keeps_no_other_partition_waiting(bench: Bench) -> None:
    bench.campaigns[HERE] = await launch(bench.pool, 10, partition=HERE, stacking_rules=StackingRules(category="sitewide"))
    batches = [bench.batch(at, bench.claim(at, f"user {at}", order_id=f"order {at}")) for at in (HERE, THERE, YONDER)]
    async with bench.pool.acquire() as connection:
        async with connection.transaction():
            await connection.execute(statement("hold_orders"), [f"order {HERE}"], utc_now())
            late, *others = [asyncio.create_task(bench.hand_in(batch)) for batch in batches]
            assert await asyncio.wait_for(asyncio.gather(*others), 2) == [None] * 2
            assert not late.done()
        await late
    assert len(await bench.winners()) == 3


async def test_a_page_of_one_partition_that_is_bad_keeps_no_other_partition_from_its_commit(bench: Bench) -> None:
    await bench.pool.execute(
        "CREATE FUNCTION bad_page() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF NEW.user_id = 'bad' THEN RAISE EXCEPTION 'bad page' USING ERRCODE = 'XX002'; END IF; RETURN NEW; END $$; "
        "CREATE TRIGGER bad_page BEFORE INSERT ON redemptions FOR EACH ROW EXECUTE FUNCTION bad_page()"
    )
    bad, good = bench.batch(HERE, bench.claim(HERE, "bad")), bench.batch(THERE, bench.claim(THERE, "good"))
    heard = await bench.in_turn(bad, good)
    assert isinstance(heard[0], NO_ANSWER)
    assert heard[1] is None
    assert list(await bench.winners()) == ["good"]


async def test_what_is_handed_in_while_a_turn_is_under_way_goes_into_the_next_and_waits_for_a_hanging_one_no_longer(
    bench: Bench,
) -> None:
    async with bench.pool.acquire() as connection:
        async with connection.transaction():
            await connection.execute("SELECT FROM partitions WHERE partition_no = $1 FOR UPDATE", HERE)
            hangs = asyncio.create_task(bench.hand_in(bench.batch(HERE, bench.claim(HERE, "a"))))
            await until(lambda: waits_for_a_lock(bench))
            assert (
                await bench.in_turn(*(bench.batch(at, bench.claim(at, f"user {at}")) for at in (THERE, YONDER))) == [None] * 2
            )
            assert len(set((await bench.winners()).values())) == 1
        await hangs
    assert list(await bench.winners()) == ["a", "user 11", "user 7"]


async def test_after_a_turn_of_several_what_comes_gathers_for_as_long_as_it_took(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slowly(pool: Pool, batches: Sequence[Batch]) -> Any:
        await asyncio.sleep(0.1)
        return await commit_together(pool, batches)

    monkeypatch.setattr(room, "commit_together", slowly)
    monkeypatch.setattr(beat, "GATHER_S", 0.2)
    await bench.served(HERE, THERE)
    first, second = (Batch(bench.owners[at].life, posted([bench.claim(at, f"late {at}")], 2)) for at in (HERE, THERE))
    early = asyncio.create_task(bench.hand_in(first))
    await asyncio.sleep(0.03)
    await asyncio.gather(early, bench.hand_in(second))
    winners = await bench.winners()
    assert winners["late 3"] == winners["late 7"] > winners["user 3"]


async def test_a_turn_holds_no_more_entries_than_it_may(bench: Bench) -> None:
    bench.turns = Turns(bench.pool, bench.stores.redis, bench.stores.gate, 3)
    two = [bench.batch(at, *(bench.claim(at, f"user {at} {n}") for n in range(2))) for at in (HERE, THERE)]
    assert await bench.in_turn(*two) == [None] * 2
    assert len(set((await bench.winners()).values())) == 2


async def test_one_that_is_abandoned_in_the_middle_hurts_nobody(bench: Bench) -> None:
    async with bench.pool.acquire() as connection:
        async with connection.transaction():
            await connection.execute("SELECT FROM campaign_slices FOR UPDATE")
            tasks = [asyncio.create_task(bench.hand_in(bench.batch(at, bench.claim(at, f"user {at}")))) for at in (HERE, THERE)]
            await until(lambda: waits_for_a_lock(bench))
            tasks[0].cancel()
            await asyncio.wait([tasks[0]])
        await tasks[1]
    assert len(set((await bench.winners()).values())) == 1


async def test_a_turn_that_everybody_was_abandoned_in_is_ended(bench: Bench) -> None:
    async with bench.pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT FROM campaign_slices FOR UPDATE")
        tasks = [asyncio.create_task(bench.hand_in(bench.batch(at, bench.claim(at, "a")))) for at in (HERE, THERE)]
        await until(lambda: waits_for_a_lock(bench))
        for task in tasks:
            task.cancel()

        async def nobody_waits() -> bool:
            return not await waits_for_a_lock(bench)

        await until(nobody_waits, within_s=3)
    assert await bench.winners() == {}


async def test_an_answer_that_is_lost_is_unknown_to_all_and_nothing_is_said(bench: Bench) -> None:
    await at_commit(bench.pool, "57P01", times=1)
    heard = await bench.in_turn(*(bench.batch(at, bench.claim(at, "a")) for at in (HERE, THERE)))
    assert all(isinstance(each, NO_ANSWER) for each in heard), heard
    assert await bench.cursors() == {}


@pytest.mark.parametrize("sqlstate", ["40P01", "40001", "23505", "23514"])
async def test_after_an_objection_each_is_decided_by_itself(bench: Bench, sqlstate: str) -> None:
    await at_commit(bench.pool, sqlstate, times=1)
    await bench.served(HERE, THERE)
    assert len(set((await bench.winners()).values())) == 2


async def test_a_head_that_moved_rolls_everybody_back(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    real = book.append_each

    async def moved_before(connection: Any, pages: Any) -> Any:
        if len(pages) > 1:
            await connection.execute("UPDATE partitions SET last_seq = last_seq + 1 WHERE partition_no = $1", THERE)
        return await real(connection, pages)

    monkeypatch.setattr("shared.claims.append_each", moved_before)
    batches = [bench.batch(at, bench.claim(at, f"user {at}")) for at in (HERE, THERE)]
    assert await commit_together(bench.pool, batches) == []
    assert (await bench.winners(), await bench.cursors()) == ({}, {})


async def test_both_slices_of_a_campaign_sell_in_one_turn(bench: Bench) -> None:
    campaign = await split_over(bench, 10)
    batches = [sliced(bench, campaign, number, 2) for number in range(2)]
    found = {each.life: each for each in await commit_together(bench.pool, batches)}
    for batch in batches:
        assert told(found[batch.life].outcomes) == ["granted"] * 2
        [settlement] = found[batch.life].settlements
        assert settlement.free == 6
        assert settlement.users == {entry.claim.user_id: 1 for entry in batch.entries if entry.claim}


async def test_a_slice_that_runs_dry_in_a_turn_gets_what_its_sibling_in_the_same_turn_has(bench: Bench) -> None:
    campaign = await split_over(bench, 10)
    assert await bench.in_turn(sliced(bench, campaign, 0, 9), sliced(bench, campaign, 1, 1)) == [None] * 2
    assert len(await bench.winners()) == 10
    assert "budget_moved" in await bench.kinds(campaign.slices[0].partition_no)


async def test_an_overdue_hold_of_one_partition_is_released_by_its_own_commit(bench: Bench) -> None:
    bench.campaigns[HERE] = campaign = await launch(bench.pool, 1, partition=HERE, hold_ttl_s=60)
    await bench.in_turn(bench.batch(HERE, bench.claim(HERE, "a")))
    await bench.pool.execute("UPDATE redemptions SET hold_expires_at = clock_timestamp()")
    again = posted([claim_of(campaign, "a", "again")], 2)
    assert await bench.in_turn(Batch(bench.owners[HERE].life, again), bench.batch(THERE, bench.claim(THERE, "b"))) == [None] * 2
    rows = await bench.pool.fetch("SELECT user_id, state FROM redemptions ORDER BY claimed_at, user_id")
    assert sorted(tuple(row) for row in rows) == [("a", "claimed"), ("a", "released"), ("b", "claimed")]


async def test_an_order_is_given_one_of_two_codes_that_exclude_each_other_in_one_turn(bench: Bench) -> None:
    for at in (HERE, THERE):
        bench.campaigns[at] = await launch(bench.pool, 10, partition=at, stacking_rules=StackingRules(category="sitewide"))
    one, two = (bench.batch(at, bench.claim(at, f"user {at}", order_id="one")) for at in (HERE, THERE))
    found = await commit_together(bench.pool, [two, one])
    assert sorted(name for each in found for name in told(each.outcomes)) == ["granted", "not_stackable"]


async def split_over(bench: Bench, limit: int) -> Campaign:
    """A campaign in two slices, both owned by the bench's shard."""
    campaign = await launch(bench.pool, limit, partition=HERE)
    held = await moving.hold(bench.pool, campaign.campaign_id, Split(2), UserId("admin"))
    assert isinstance(held, Held), held
    made = await moving.put(bench.pool, held, Split(2), UserId("admin"))
    assert isinstance(made, Committed), made
    for part in made.campaign.slices:
        if part.partition_no not in bench.owners:
            bench.owners[part.partition_no] = await Owner.of(bench.pool, bench.stores.redis, part.partition_no)
    return made.campaign


def sliced(bench: Bench, campaign: Campaign, number: int, count: int) -> Batch:
    """Claims for one slice of it."""
    names = (f"user {n}" for n in range(1_000))
    users = [name for name in names if campaign.slice_for(UserId(name)).slice_no == number][:count]
    entries: list[Entry] = posted([claim_of(campaign, user) for user in users])
    return Batch(bench.owners[campaign.slices[number].partition_no].life, entries)

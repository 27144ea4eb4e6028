"""Claims while Redis is away: decided by the front door where a partition has no life, and nowhere else."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest

from claim_workers.consumer import Stores
from frontdoor import direct as room
from frontdoor.direct import CLAIMS_PER_S
from frontdoor.lives import SEEN_S
from frontdoor.problems import BUSY, UNAVAILABLE
from frontdoor.submissions import Answer
from lastslot.embedded import EmbeddedServer
from lastslot.ports import free_port
from shared import lifecycle
from shared.audit import audit
from shared.deciding import Others, decided_with_others
from shared.domain.campaign import Campaign
from shared.domain.ids import UserId, claim_id
from shared.domain.outcomes import Granted, Refusal, Refused, Replayed
from shared.domain.redemption import Step
from shared.postgres import Connection, Pool, close_pool, open_pool
from shared.redemptions import outcomes
from shared.redis_client import Redis, open_redis
from tests.integration.engine import (
    Door,
    Owner,
    at_commit,
    claim_of,
    home,
    launch,
    open_door,
    opened_stores,
    shard_at_work,
    until,
)
from tests.servers import embedded_postgres, embedded_redis, fresh_database, frozen, make_template, running

SOLD_OUT, ALREADY, KEY_REUSED = (
    Refused(reason) for reason in (Refusal.EXHAUSTED, Refusal.ALREADY_REDEEMED, Refusal.KEY_REUSED)
)
PARTITION = 5


@pytest.fixture
async def nowhere() -> AsyncIterator[Redis]:
    """A client of a Redis that is away."""
    async with open_redis(f"redis://127.0.0.1:{free_port()}") as redis:
        yield redis


@pytest.fixture
async def cut_off(pool: Pool, postgres_dsn: str, nowhere: Redis) -> AsyncIterator[Door]:
    """A door that cannot reach Redis. When the test is over, the audit must find nothing."""
    yield Door("cut-off", pool, nowhere)
    report = await audit(postgres_dsn)
    assert report.clean, report.faults


def names(answers: list[Answer]) -> Counter[str]:
    """How many answers there are of each kind."""
    return Counter(each.reason if isinstance(each, Refused) else type(each).__name__ for each in answers)


async def test_without_redis_a_burst_has_exactly_as_many_winners_as_slots(pool: Pool, cut_off: Door, nowhere: Redis) -> None:
    campaign, other = await launch(pool, 20), Door("other", pool, nowhere)
    doors = (cut_off, other)
    answers = await asyncio.gather(*(doors[n % 2].redeem(campaign, f"user {n}") for n in range(200)))
    assert names(answers) == {"Granted": 20, "exhausted": 180}
    for n, answer in enumerate(answers):
        if isinstance(answer, Granted):
            assert await doors[(n + 1) % 2].redeem(campaign, f"user {n}") == Replayed(answer.redemption)


async def test_without_redis_everybody_is_told_what_the_owner_would_say(pool: Pool, cut_off: Door) -> None:
    campaign = await launch(pool, 2)
    assert isinstance(await cut_off.redeem(campaign, "a"), Granted)
    assert await cut_off.redeem(campaign, "a", order_id="another") == KEY_REUSED
    assert await cut_off.redeem(campaign, "a", "new") == ALREADY
    assert isinstance(await cut_off.redeem(campaign, "b"), Granted)
    assert await cut_off.redeem(campaign, "c") == SOLD_OUT
    told = await outcomes_of(pool, "c")
    assert told == SOLD_OUT, "whoever polls finds the refusal"


async def outcomes_of(pool: Pool, user: str) -> object:
    claim = claim_id(UserId(user), "k")
    async with pool.acquire() as connection:
        return (await outcomes(connection, [claim]))[claim].outcome


async def test_without_redis_a_replay_outranks_whom_a_campaign_is_for(pool: Pool, cut_off: Door) -> None:
    campaign = await launch(pool, 2)
    won = await cut_off.redeem(campaign, "a")
    assert isinstance(won, Granted)
    claims = [claim_of(campaign, user, door="cut-off", ticket=0) for user in "ab"]
    answers = [await cut_off.desk.submit(claim, campaign, 2.0, Refusal.AUDIENCE_MISMATCH) for claim in claims]
    assert answers == [Replayed(won.redemption), Refused(Refusal.AUDIENCE_MISMATCH)]


async def test_a_door_that_alone_is_cut_off_decides_nothing_while_the_partition_lives(stores: Stores, cut_off: Door) -> None:
    campaign = await launch(stores.pool, 5, partition=PARTITION)
    async with shard_at_work(stores):
        await until(lambda: lives(stores.pool))
        answers = await asyncio.gather(*(cut_off.redeem(campaign, f"user {n}", wait_s=1.5) for n in range(20)))
        assert answers == [UNAVAILABLE] * 20
        assert await stores.pool.fetchval("SELECT count(*) FROM ledger WHERE kind IN ('claimed', 'refused')") == 0


async def lives(pool: Pool) -> bool:
    alive: bool = await pool.fetchval("SELECT incarnation IS NOT NULL FROM partitions WHERE partition_no = $1", PARTITION)
    return alive


async def test_who_asks_all_the_time_hears_that_a_life_is_over(stores: Stores, cut_off: Door) -> None:
    """That there was one is remembered for a moment, and no longer because somebody asks."""
    campaign = await launch(stores.pool, None, partition=PARTITION)
    await Owner.of(stores.pool, stores.redis, home(campaign))
    asking = []
    for number in range(40):
        asking.append(asyncio.create_task(cut_off.redeem(campaign, f"user {number}", wait_s=4.0)))
        await asyncio.sleep(0.02)
    await end_life(stores.pool)
    assert names(await asyncio.gather(*asking)) == {"Granted": 40}


async def test_a_life_that_begins_after_the_door_looked_is_seen_under_the_lock(
    stores: Stores, cut_off: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = await launch(stores.pool, 5, partition=PARTITION)

    async def begun_meanwhile(pool: Pool, write: Callable[[Connection, Others], Awaitable[Any]]) -> Any:
        if not await lives(stores.pool):
            await Owner.of(stores.pool, stores.redis, home(campaign))
        return await decided_with_others(pool, write)

    monkeypatch.setattr(room, "decided_with_others", begun_meanwhile)
    assert await cut_off.redeem(campaign, "a", wait_s=1.0) == UNAVAILABLE
    assert await stores.pool.fetchval("SELECT count(*) FROM redemptions") == 0


async def test_beyond_the_bound_a_door_says_so_and_what_was_refused_so_can_be_asked_again(pool: Pool, cut_off: Door) -> None:
    campaign = await launch(pool, None)
    users = [f"user {n}" for n in range(4 * CLAIMS_PER_S)]
    answers = await asyncio.gather(*(cut_off.redeem(campaign, user) for user in users))
    counted = names(answers)
    assert set(counted) == {"Granted", "Problem"}
    assert CLAIMS_PER_S <= counted["Granted"] < 3 * CLAIMS_PER_S
    assert BUSY.status == 503
    assert BUSY.retry_after_s == 1
    late = users[answers.index(BUSY)]
    await asyncio.sleep(1.0)
    assert isinstance(await cut_off.redeem(campaign, late), Granted)


async def test_a_commit_whose_reply_was_lost_is_found_by_its_claim(
    pool: Pool, cut_off: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign, once = await launch(pool, 5), iter([True])

    async def reply_lost(pool: Pool, write: Callable[[Connection, Others], Awaitable[Any]]) -> Any:
        done = await decided_with_others(pool, write)
        if next(once, False):
            raise ConnectionResetError
        return done

    monkeypatch.setattr(room, "decided_with_others", reply_lost)
    answer = await cut_off.redeem(campaign, "a")
    assert isinstance(answer, Granted | Replayed)
    assert await pool.fetchval("SELECT claimed FROM campaign_slices") == 1


async def test_a_claim_that_no_transaction_can_hold_hurts_no_neighbour(
    pool: Pool, cut_off: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = await launch(pool, 10)
    poison = claim_id(UserId("user 3"), "k")
    await pool.execute(
        f"CREATE FUNCTION objection() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"RAISE EXCEPTION 'poison' USING ERRCODE = '22021'; END $$; "
        f"CREATE TRIGGER objection BEFORE INSERT ON redemptions FOR EACH ROW WHEN (NEW.redemption_id = '{poison}') "
        f"EXECUTE FUNCTION objection()"
    )
    answers = await asyncio.gather(*(cut_off.redeem(campaign, f"user {n}") for n in range(8)))
    assert names(answers) == {"Granted": 7, "claim_rejected": 1}


async def test_a_claim_that_the_server_could_not_write_is_not_to_blame(pool: Pool, cut_off: Door) -> None:
    campaign = await launch(pool, 10)
    await at_commit(pool, "58030", times=1)
    assert isinstance(await cut_off.redeem(campaign, "a"), Granted)


async def test_what_is_in_a_mailbox_that_nobody_will_read_is_decided_directly(stores: Stores, redis_url: str) -> None:
    """The door reaches Redis; the owner does not, and has ended the life."""
    campaign = await launch(stores.pool, 1, partition=PARTITION)
    owner = await Owner.of(stores.pool, stores.redis, home(campaign))
    await owner.settler.seed([campaign.campaign_id], owner.cursor)
    async with open_door(stores.pool, redis_url) as door:
        asked = asyncio.create_task(door.redeem(campaign, "a"))
        await until(lambda: stores.gate.pending(home(campaign), [claim_id(UserId("a"), "k")]))
        await end_life(stores.pool)
        assert isinstance(await asked, Granted)
        assert await door.redeem(campaign, "b") == SOLD_OUT


@pytest.fixture
async def silenced(stores: Stores, redis_url: str) -> AsyncIterator[tuple[Door, Owner, Campaign]]:
    """A door that reaches Redis, and a campaign's owner who does not, and has ended the life; the gate is warm and goes on."""
    campaign = await launch(stores.pool, 10, partition=PARTITION)
    owner = await Owner.of(stores.pool, stores.redis, home(campaign))
    await owner.settler.seed([campaign.campaign_id], owner.cursor)
    async with open_door(stores.pool, redis_url) as door:
        await end_life(stores.pool)
        yield door, owner, campaign


async def test_who_has_a_claim_in_a_mailbox_that_nobody_reads_waits_for_nothing(
    silenced: tuple[Door, Owner, Campaign],
) -> None:
    door, owner, campaign = silenced
    await owner.ask((campaign, claim_of(campaign, "waits", "first")), (campaign, claim_of(campaign, "pending")))
    assert isinstance(await door.redeem(campaign, "waits", "second", wait_s=1.0), Granted)
    await asyncio.sleep(SEEN_S)
    assert isinstance(await door.redeem(campaign, "pending", wait_s=0.0), Replayed | Granted)


async def test_a_mailbox_that_nobody_reads_is_full_for_nobody(silenced: tuple[Door, Owner, Campaign]) -> None:
    door, owner, campaign = silenced
    await owner.ask((campaign, claim_of(campaign, "pending")))
    door.gate._mailbox_max = 1
    answers = await asyncio.gather(*(door.redeem(campaign, f"user {n}", wait_s=1.0) for n in range(3)))
    assert names(answers) == {"Granted": 3}
    assert isinstance(await door.redeem(campaign, "next", wait_s=1.0), Granted), "what is known of the gate is over as well"


async def test_a_gate_that_is_cold_and_has_nobody_behind_it_is_not_waited_for(
    stores: Stores, silenced: tuple[Door, Owner, Campaign]
) -> None:
    door, _, _ = silenced
    new = await launch(stores.pool, 2, partition=PARTITION)
    answers = await asyncio.gather(*(door.redeem(new, f"user {n}", wait_s=1.0) for n in range(5)))
    assert names(answers) == {"Granted": 2, "exhausted": 3}


async def test_a_partition_that_never_had_a_life_is_decided_without_one(stores: Stores, redis_url: str) -> None:
    """Doors that came up before any worker."""
    campaign = await launch(stores.pool, 2)
    async with open_door(stores.pool, redis_url) as door:
        answers = await asyncio.gather(*(door.redeem(campaign, f"user {n}", wait_s=1.0) for n in range(5)))
        assert names(answers) == {"Granted": 2, "exhausted": 3}
        owner = await Owner.of(stores.pool, stores.redis, home(campaign))
        await owner.settler.seed([campaign.campaign_id], owner.cursor)
        assert await door.redeem(campaign, "late") == SOLD_OUT


async def end_life(pool: Pool) -> None:
    await pool.execute("UPDATE partitions SET incarnation = NULL WHERE partition_no = $1", PARTITION)


async def test_a_gate_of_a_life_that_is_over_refuses_nobody(stores: Stores, redis_url: str, cut_off: Door) -> None:
    """It has sold out, as far as it knows; since then a slot was given back, and taken without it."""
    campaign = await launch(stores.pool, 2, partition=PARTITION, release_on_failure=True)
    owner = await Owner.of(stores.pool, stores.redis, home(campaign))
    await owner.settler.seed([campaign.campaign_id], owner.cursor)
    winners = [claim_of(campaign, user) for user in "xy"]
    await owner.ask(*((campaign, claim) for claim in winners))
    await owner.turn()
    async with open_door(stores.pool, redis_url) as door:
        assert await door.redeem(campaign, "z") == SOLD_OUT
        await asyncio.sleep(2.0)  # the owner's last word, and every certificate
        await end_life(stores.pool)
        for claim in winners:
            await lifecycle.take(stores.pool, claim.claim_id, Step.RELEASE_FOR_FAILURE)
        won = await cut_off.redeem(campaign, "a")
        assert isinstance(won, Granted)
        assert await door.redeem(campaign, "a") == Replayed(won.redemption)
        assert isinstance(await door.redeem(campaign, "b"), Granted)
        assert await door.redeem(campaign, "c") == SOLD_OUT


async def burst(doors: tuple[Door, ...], campaign: Campaign, people: int, on_win: Callable[[int], Awaitable[None]]) -> None:
    """Everybody asks until an answer comes; `on_win` hears how many have won. Winners ask again, everywhere and at once."""
    wins, turn = 0, asyncio.Semaphore(25)

    async def one(number: int) -> Answer:
        nonlocal wins
        async with turn:
            answer = await insist(doors[number % len(doors)], campaign, f"user {number}")
            if isinstance(answer, Granted | Replayed):
                wins += 1
                await on_win(wins)
                for door in doors:
                    again = await insist(door, campaign, f"user {number}")
                    assert isinstance(again, Replayed), again
            return answer

    answers = await asyncio.gather(*(one(number) for number in range(people)))
    won = [answer for answer in answers if isinstance(answer, Granted | Replayed)]
    assert len(won) == campaign.total_limit
    assert answers.count(SOLD_OUT) == people - len(won)


async def insist(door: Door, campaign: Campaign, user: str) -> Answer:
    """What the user is told in the end, who asks again whenever nothing was decided."""
    answer: Answer = UNAVAILABLE
    for _ in range(60):
        answer = await door.redeem(campaign, user, wait_s=1.0)
        if isinstance(answer, Granted | Replayed | Refused):
            break
        await asyncio.sleep(0.05)
    return answer


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "emptied"])
async def test_redis_dies_in_a_burst_and_comes_back_in_it(postgres_dsn: str, tmp_path: Path, kept: bool) -> None:
    with running(embedded_redis(tmp_path)) as server:
        async with opened_stores(postgres_dsn, server.url) as stores, shard_at_work(stores):
            campaign = await launch(stores.pool, 60, partition=PARTITION)
            async with open_door(stores.pool, server.url, "one") as one, open_door(stores.pool, server.url, "two") as two:
                happened = []

                async def happening(wins: int) -> None:
                    if wins == 15:
                        happened.append("away")
                        await asyncio.to_thread(server.kill)
                    if wins == 40:
                        happened.append("back" if await lives(stores.pool) else "decided without it")
                        await asyncio.to_thread(come_back, server, kept)

                await burst((one, two), campaign, 150, happening)
                assert happened == ["away", "decided without it"]
                await until(lambda: lives(stores.pool))
    report = await audit(postgres_dsn)
    assert report.clean, report.faults


def come_back(server: EmbeddedServer, kept: bool) -> None:
    if not kept:
        for left in server.directory.iterdir():
            if left.is_dir():
                rmtree(left)
            elif left.suffix != ".conf":
                left.unlink()
    server.start()


async def test_redis_that_was_frozen_comes_back_as_it_was_and_refuses_no_winner(postgres_dsn: str, tmp_path: Path) -> None:
    with running(embedded_redis(tmp_path)) as server:
        async with opened_stores(postgres_dsn, server.url) as stores, shard_at_work(stores):
            campaign = await launch(stores.pool, 1, partition=PARTITION, release_on_failure=True)
            async with open_door(stores.pool, server.url, "one") as one, open_door(stores.pool, server.url, "two") as two:
                first = await one.redeem(campaign, "a")
                assert isinstance(first, Granted)
                assert await two.redeem(campaign, "b") == SOLD_OUT
                with frozen(server):
                    await lifecycle.take(stores.pool, first.redemption.redemption_id, Step.RELEASE_FOR_FAILURE)
                    won = await insist(one, campaign, "b")
                    assert isinstance(won, Granted)
                for _ in range(100):
                    for door in (one, two):
                        assert not isinstance(await door.redeem(campaign, "b", wait_s=0.5), Refused)
                assert await insist(two, campaign, "b") == Replayed(won.redemption)


async def test_a_redis_that_takes_nothing_any_more_is_away_until_it_does(postgres_dsn: str, tmp_path: Path) -> None:
    """It is out of memory: it reads, and everything that is written is refused."""
    with running(embedded_redis(tmp_path)) as server:
        async with opened_stores(postgres_dsn, server.url) as stores, shard_at_work(stores):
            campaign = await launch(stores.pool, 3, partition=PARTITION)
            async with open_door(stores.pool, server.url) as door:
                assert isinstance(await door.redeem(campaign, "a"), Granted)
                gate = door.desk._course._gates[PARTITION]
                await stores.redis.config_set("maxmemory", "1")
                assert isinstance(await insist(door, campaign, "b"), Granted | Replayed)
                for _ in range(25):
                    assert (gate.away, await lives(stores.pool)) == (True, False)
                    await asyncio.sleep(0.1)
                await stores.redis.config_set("maxmemory", "0")

                async def back() -> bool:
                    return not gate.away and await lives(stores.pool)

                await until(back)
                assert isinstance(await insist(door, campaign, "c"), Granted | Replayed)
                assert await insist(door, campaign, "d") == SOLD_OUT


async def test_with_both_stores_away_nothing_is_decided_and_nobody_waits_for_long(nowhere: Redis, tmp_path: Path) -> None:
    with running(embedded_postgres(tmp_path)) as server:
        make_template(server.url)
        with fresh_database(server.url) as dsn:
            pool = await open_pool(dsn, 8)
            campaign, door = await launch(pool, 5), Door("cut-off", pool, nowhere)
            assert isinstance(await door.redeem(campaign, "a"), Granted)
            server.kill()
            async with asyncio.timeout(4):
                assert await door.redeem(campaign, "b", wait_s=1.0) == UNAVAILABLE
            server.start()
            assert isinstance(await insist(door, campaign, "b"), Granted | Replayed)
            assert await pool.fetchval("SELECT count(*) FROM redemptions") == 2
            await close_pool(pool)

"""Steps with a redemption: each is taken once, whoever else writes meanwhile."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest

from claim_workers.expiry import expire_overdue
from claim_workers.incarnation import Life
from shared import lifecycle, moving
from shared.audit import audit
from shared.book import append, decided, lock_partition
from shared.campaigns import Committed
from shared.claims import Verdicts, read_facts, write_decisions
from shared.domain.campaign import Campaign
from shared.domain.decide import decide
from shared.domain.ids import PARTITIONS, ClaimId, Incarnation, PartitionNo, UserId
from shared.domain.ledger import Event, Kind
from shared.domain.redemption import State, Step
from shared.domain.settlement import Settlement
from shared.lifecycle import Stepped
from shared.moving import Held, Move
from shared.postgres import Connection, Pool
from tests.integration.engine import at_commit, claim_of, gain, home, launch, until

T = TypeVar("T")


async def claimed(pool: Pool, campaign: Campaign, user: str = "ann") -> ClaimId:
    """The redemption of a user who has just won."""
    claim = claim_of(campaign, user)

    async def write(connection: Connection) -> None:
        head = await lock_partition(connection, home(campaign))
        facts = await read_facts(connection, [head], [claim])
        await write_decisions(connection, facts, [Verdicts(head, decide([claim], facts))])

    await decided(pool, write)
    return claim.claim_id


@pytest.fixture
async def redemption(pool: Pool) -> ClaimId:
    return await claimed(pool, await launch(pool, 3, release_on_failure=True))


@pytest.mark.parametrize("sqlstate", ["40P01", "40001"])
async def test_a_step_that_lost_against_another_writer_is_decided_again(
    dsn: str, pool: Pool, redemption: ClaimId, sqlstate: str
) -> None:
    await at_commit(pool, sqlstate, times=2)
    released = await lifecycle.take(pool, redemption, Step.RELEASE_FOR_FAILURE)
    assert isinstance(released, Stepped)
    assert released.redemption.state is State.RELEASED
    assert released.settlement is not None
    assert (released.settlement.free, released.settlement.users) == (3, {"ann": 0})
    assert (await audit(dsn)).clean


async def test_a_step_asked_for_many_times_at_once_is_taken_once(dsn: str, pool: Pool) -> None:
    campaign = await launch(pool, 3, release_on_failure=True)
    redemption = await claimed(pool, campaign)
    # Others hold slots that could be given back in its stead.
    await claimed(pool, campaign, "bob")
    await claimed(pool, campaign, "eve")
    async with pool.acquire() as connection, connection.transaction():
        await lock_partition(connection, home(campaign))
        taking = asyncio.gather(*(lifecycle.take(pool, redemption, Step.RELEASE_FOR_FAILURE) for _ in range(6)))
        # All six have read that it is claimed.
        await until(lambda: wait_for_a_lock(pool, 6))
    taken = await taking
    assert sum(isinstance(each, Stepped) and each.settlement is not None for each in taken) == 1
    assert await pool.fetchval("SELECT claimed FROM campaign_slices") == 2
    assert (await audit(dsn)).clean


async def test_of_holds_that_end_those_that_were_given_back_are_not_given_back_again(dsn: str, pool: Pool) -> None:
    campaign = await launch(pool, 3, release_on_failure=True, hold_ttl_s=60)
    ended, given_back, _ = [await claimed(pool, campaign, user) for user in ("ann", "bob", "eve")]
    await lifecycle.take(pool, given_back, Step.RELEASE_FOR_FAILURE)

    async def end(connection: Connection) -> list[Settlement]:
        return await lifecycle.expire(connection, await lock_partition(connection, home(campaign)), [ended, given_back])

    [settlement] = await decided(pool, end)
    assert (settlement.free, settlement.users) == (2, {"ann": 0})
    assert await pool.fetchval("SELECT claimed FROM campaign_slices") == 1
    assert (await audit(dsn)).clean


async def test_what_moves_while_its_order_is_refunded_is_refunded_too(dsn: str, pool: Pool) -> None:
    campaign = await launch(pool, 3, release_on_refund=True)
    redemption = await claimed(pool, campaign)
    await lifecycle.take(pool, redemption, Step.CONFIRM)
    refunded = await after_a_move(pool, campaign, lifecycle.refund(pool, "order"))
    assert [(each.redemption_id, each.state) for each in refunded.redemptions] == [(redemption, State.RELEASED)]
    assert [(partition, each.free) for partition, each in refunded.settlements] == [(next_door(campaign), 3)]
    assert (await audit(dsn)).clean


async def test_holds_that_move_while_they_are_to_end_end_where_they_live_then(dsn: str, pool: Pool) -> None:
    campaign = await launch(pool, 3, hold_ttl_s=60)
    await claimed(pool, campaign)
    await pool.execute("UPDATE redemptions SET hold_expires_at = clock_timestamp()")
    old, new = [Life(at, await gain(pool, at), Incarnation("run"), "0-0") for at in (home(campaign), next_door(campaign))]
    assert (await after_a_move(pool, campaign, expire_overdue(pool, old))).settlements == []
    assert await pool.fetchval("SELECT state FROM redemptions") == "claimed"
    [settlement] = (await expire_overdue(pool, new)).settlements
    assert (settlement.free, settlement.users) == (3, {"ann": 0})
    assert (await audit(dsn)).clean


async def after_a_move(pool: Pool, campaign: Campaign, write: Coroutine[Any, Any, T]) -> T:
    """What comes of `write` when the campaign moves next door while `write` waits for the partition that it knows of."""
    wish, by = Move(next_door(campaign)), UserId("admin")
    held = await moving.hold(pool, campaign.campaign_id, wish, by)
    assert isinstance(held, Held)
    async with pool.acquire() as connection, connection.transaction():
        await lock_partition(connection, home(campaign))
        moved = asyncio.create_task(moving.put(pool, held, wish, by))
        # Who comes first gets the lock first.
        await until(lambda: wait_for_a_lock(pool, 1))
        written = asyncio.create_task(write)
        await until(lambda: wait_for_a_lock(pool, 2))
    assert isinstance(await moved, Committed)
    return await written


def next_door(campaign: Campaign) -> PartitionNo:
    return PartitionNo((home(campaign) + 1) % PARTITIONS)


async def wait_for_a_lock(pool: Pool, number: int) -> bool:
    """Whether so many transactions of this database wait for a lock."""
    waiting: int = await pool.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return waiting == number


async def test_who_finds_the_ledger_gone_on_decides_again(pool: Pool) -> None:
    campaign = await launch(pool, 3)
    heads: list[int] = []

    async def write(connection: Connection) -> int:
        head = await lock_partition(connection, home(campaign))
        heads.append(head.last_seq)
        if len(heads) == 1:
            await append(connection, head, [Event(Kind.REFUSED, None, "{}")])
        return await append(connection, head, [Event(Kind.REFUSED, None, "{}")])

    assert await decided(pool, write) == 2
    assert heads == [1, 1]

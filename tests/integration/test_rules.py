"""The rules of redemption on a real database: codes that are used up, money, periods, holds, refunds, and orders."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from claim_workers.committer import Committed, Committer
from claim_workers.expiry import expire_overdue
from claim_workers.incarnation import Life
from frontdoor.submissions import Answer
from shared import campaigns, codes, lifecycle
from shared import deciding as room
from shared.audit import audit
from shared.book import lock_partition
from shared.codes import Minted, Wish
from shared.domain.campaign import Campaign, StackingRules
from shared.domain.decide import Decision, decide
from shared.domain.discount import MAX_SUBTOTAL, Discount
from shared.domain.draft import MAX_NUMBER, CampaignChange
from shared.domain.facts import Facts
from shared.domain.ids import CampaignId, Incarnation, PartitionNo, UserId
from shared.domain.operations import SubmitClaim
from shared.domain.outcomes import Granted, Heard, Misrouted, Refusal, Refused, Replayed
from shared.domain.periods import Period, start_of
from shared.domain.redemption import Redemption, State, Stay, Step
from shared.gate_facts import gate_facts
from shared.history import history
from shared.lifecycle import Kept, Stepped
from shared.postgres import Pool
from shared.redemptions import Told, by_order, outcomes, standings
from shared.statements import statement
from tests.integration.engine import (
    claim_of,
    gain,
    home,
    launch,
    open_door,
    opened_stores,
    posted,
    shard_at_work,
    until,
)

HERE, THERE = PartitionNo(3), PartitionNo(11)
ADMIN = UserId("admin")
FOUR_OFF = Discount("amount", 400, "EUR")


class Bench:
    """The owners of two partitions, and what they commit."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.lives: dict[PartitionNo, Life] = {}
        self._entries = Counter[PartitionNo]()

    async def own(self, partition: PartitionNo) -> None:
        epoch, incarnation = await gain(self.pool, partition), Incarnation("run-1")
        await self.pool.execute(statement("begin_incarnation"), partition, epoch, incarnation)
        self.lives[partition] = Life(partition, epoch, incarnation, "0-0")

    async def commit(self, *claims: SubmitClaim, at: PartitionNo = HERE) -> Committed:
        """Commit claims in one batch."""
        first = self._entries[at] + 1
        self._entries[at] += len(claims)
        [committed] = await Committer(self.pool, self.lives[at]).commit(posted(claims, first))
        return committed

    async def decided(self, *claims: SubmitClaim, at: PartitionNo = HERE) -> list[Heard]:
        return [outcome for _, _, outcome in (await self.commit(*claims, at=at)).outcomes]

    async def granted(self, *claims: SubmitClaim, at: PartitionNo = HERE) -> list[Redemption]:
        outcomes = await self.decided(*claims, at=at)
        assert all(isinstance(outcome, Granted) for outcome in outcomes), outcomes
        return [outcome.redemption for outcome in outcomes if isinstance(outcome, Granted)]

    async def taken(self, redemption: Redemption, step: Step) -> Redemption:
        stepped = await lifecycle.take(self.pool, redemption.redemption_id, step)
        assert isinstance(stepped, Stepped), stepped
        return stepped.redemption

    async def lapse(self, *redemptions: Redemption) -> None:
        """Let the time of holds run out."""
        ids = [each.redemption_id for each in redemptions]
        await self.pool.execute(
            "UPDATE redemptions SET hold_expires_at = clock_timestamp() WHERE redemption_id = ANY ($1)", ids
        )

    async def mint(self, campaign: Campaign, *intended: str | None) -> list[str]:
        minted = await codes.mint(
            self.pool, campaign.campaign_id, Wish([None if u is None else UserId(u) for u in intended]), ADMIN
        )
        assert isinstance(minted, Minted), minted
        rows = await self.pool.fetch(
            "SELECT code FROM codes WHERE campaign_id = $1 AND state <> 'shared' ORDER BY code_id", campaign.campaign_id
        )
        return [code for (code,) in rows]

    async def counts(self, campaign: Campaign) -> tuple[int, int]:
        row = await self.pool.fetchrow(
            "SELECT claimed, amount_claimed FROM campaign_slices WHERE campaign_id = $1", campaign.campaign_id
        )
        assert row is not None
        return row[0], row[1]

    async def code(self, code: str) -> tuple[str, str | None]:
        row = await self.pool.fetchrow("SELECT state, claimed_by, claimed_at FROM codes WHERE code = $1", code)
        assert row is not None
        assert (row["claimed_at"] is None) == (row["claimed_by"] is None)
        return row["state"], row["claimed_by"]


@pytest.fixture
async def bench(dsn: str, pool: Pool) -> AsyncIterator[Bench]:
    """When the test is over, the audit must find nothing."""
    bench = Bench(pool)
    for partition in (HERE, THERE):
        await bench.own(partition)
    yield bench
    report = await audit(dsn)
    assert report.clean, report.faults


def told(outcomes: Sequence[Heard]) -> list[str]:
    return [outcome.reason.value if isinstance(outcome, Refused) else type(outcome).__name__.lower() for outcome in outcomes]


# Codes that are good for one use.


async def test_the_public_code_of_a_pool_is_answered_with_the_next_free_one(bench: Bench) -> None:
    pool = await launch(bench.pool, 10, partition=HERE, type="pool", code="POOL")
    minted = await bench.mint(pool, None, None, "vip", None)
    outcomes = await bench.decided(*(claim_of(pool, user) for user in "abcd"))
    assert told(outcomes) == ["granted"] * 3 + ["exhausted"]
    given = [outcome.redemption for outcome in outcomes if isinstance(outcome, Granted)]
    free = [code for code in minted if (await bench.code(code))[1] is not None]
    assert [each.code for each in given] == free
    assert len(set(free)) == 3
    assert all(each.single_use for each in given)
    assert [await bench.code(code) for code in free] == [("claimed", user) for user in "abc"]
    assert await bench.counts(pool) == (3, 0)


async def test_a_pool_is_dry_when_its_codes_are_for_somebody_and_no_longer(bench: Bench) -> None:
    pool = await launch(bench.pool, None, partition=HERE, type="pool", code="POOL", release_on_failure=True)
    minted = await bench.mint(pool, None, "vip", None)

    async def settled(*claims: SubmitClaim) -> tuple[int | None, bool]:
        """What the gate is set to after the batch, which must be what anybody who looks would set it to."""
        [settlement] = (await bench.commit(*claims)).settlements
        async with bench.pool.acquire() as connection:
            [seen] = await gate_facts(connection, HERE, [pool.campaign_id])
        assert (settlement.free, settlement.dry) == (seen.free, seen.dry)
        return settlement.free, settlement.dry

    by_code = {
        row["intended_user"]: row["code"] for row in await bench.pool.fetch("SELECT * FROM codes WHERE state = 'unused'")
    }
    assert await settled(claim_of(pool, "a")) == (2, False)
    assert await settled(claim_of(pool, "x", code=minted[2]), claim_of(pool, "b")) == (1, True)
    assert await settled(claim_of(pool, "vip", code=by_code["vip"]), claim_of(pool, "b", "2")) == (0, True)
    given = next(iter(await bench.pool.fetch("SELECT redemption_id FROM redemptions WHERE user_id = 'a'")))
    stepped = await lifecycle.take(bench.pool, given["redemption_id"], Step.RELEASE_FOR_FAILURE)
    assert isinstance(stepped, Stepped)
    assert stepped.settlement is not None
    assert (stepped.settlement.free, stepped.settlement.dry) == (1, False)
    assert await settled(claim_of(pool, "c")) == (0, True)
    again = await codes.mint(bench.pool, pool.campaign_id, Wish([None]), ADMIN)
    assert isinstance(again, Minted)
    assert (again.committed.settlements[0][1].free, again.committed.settlements[0][1].dry) == (1, False)
    more = await codes.mint(bench.pool, pool.campaign_id, Wish([UserId("vip")]), ADMIN)
    assert isinstance(more, Minted)
    assert (more.committed.settlements[0][1].free, more.committed.settlements[0][1].dry) == (2, False)
    assert await settled(claim_of(pool, "d")) == (1, True)


async def test_a_replay_of_a_pools_claim_shows_the_code_that_was_given(bench: Bench) -> None:
    pool = await launch(bench.pool, 10, partition=HERE, type="pool", code="POOL")
    await bench.mint(pool, None, None)
    [given] = await bench.granted(claim_of(pool, "a"))
    assert await bench.decided(claim_of(pool, "a")) == [Replayed(given)]


async def test_a_particular_code_is_good_for_one_claim(bench: Bench) -> None:
    pool = await launch(bench.pool, 10, partition=HERE, type="pool", code=None)
    first, second = await bench.mint(pool, None, None)
    outcomes = await bench.decided(claim_of(pool, "a", code=first), claim_of(pool, "b", code=first))
    assert told(outcomes) == ["granted", "code_used"]
    outcomes = await bench.decided(claim_of(pool, "b", code=first), claim_of(pool, "b", "2", code=second))
    assert told(outcomes) == ["code_used", "granted"]


async def test_a_code_made_for_somebody_is_unknown_to_everybody_else(bench: Bench) -> None:
    unique = await launch(bench.pool, None, partition=HERE, type="unique", code=None)
    await bench.mint(unique, "ann", "bob")
    of = {row["intended_user"]: row["code"] for row in await bench.pool.fetch("SELECT intended_user, code FROM codes")}
    outcomes = await bench.decided(claim_of(unique, "eve", code=of["ann"]), claim_of(unique, "ann", code=of["ann"]))
    assert told(outcomes) == ["unknown_code", "granted"]
    assert await bench.code(of["bob"]) == ("unused", None)


async def test_a_released_code_of_a_pool_is_given_again(bench: Bench) -> None:
    pool = await launch(bench.pool, 10, partition=HERE, type="pool", code="POOL", release_on_failure=True)
    await bench.mint(pool, None)
    [given] = await bench.granted(claim_of(pool, "a"))
    assert told(await bench.decided(claim_of(pool, "b"))) == ["exhausted"]
    await bench.taken(given, Step.RELEASE_FOR_FAILURE)
    assert await bench.code(given.code) == ("unused", None)
    assert await bench.counts(pool) == (0, 0)
    [again] = await bench.granted(claim_of(pool, "b"))
    assert again.code == given.code


async def test_facts_that_lie_cannot_give_a_code_twice(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = await launch(bench.pool, 10, partition=HERE, type="pool", code=None)
    [code, _] = await bench.mint(pool, None, None)
    await bench.granted(claim_of(pool, "a", code=code))
    lies: list[Facts] = []

    def decide_as_if_unused(claims: Sequence[SubmitClaim], facts: Facts) -> list[Decision]:
        if len(lies) == 2:
            return decide(claims, facts)
        lies.append(facts)
        unused = {name: msgspec.structs.replace(each, state="unused") for name, each in facts.codes.items()}
        return decide(claims, msgspec.structs.replace(facts, codes=unused))

    monkeypatch.setattr(room, "decide", decide_as_if_unused)
    assert told(await bench.decided(claim_of(pool, "b", code=code))) == ["code_used"]
    assert len(lies) == 2


# Money.


async def test_money_is_sold_out_only_when_nothing_is_left_of_it(bench: Bench) -> None:
    campaign = await launch(bench.pool, 10, partition=HERE, discount=FOUR_OFF, amount_limit=1_000, release_on_failure=True)
    [first, _] = await bench.granted(claim_of(campaign, "a", subtotal=900), claim_of(campaign, "b"))
    committed = await bench.commit(claim_of(campaign, "c", subtotal=900))
    assert told([outcome for *_, outcome in committed.outcomes]) == ["budget_insufficient"]
    assert committed.settlements[0].free == 8
    committed = await bench.commit(claim_of(campaign, "c", "2", subtotal=200), claim_of(campaign, "d", subtotal=1))
    assert told([outcome for *_, outcome in committed.outcomes]) == ["granted", "exhausted"]
    assert committed.settlements[0].free == 0
    assert await bench.counts(campaign) == (3, 1_000)
    stepped = await lifecycle.take(bench.pool, first.redemption_id, Step.RELEASE_FOR_FAILURE)
    assert isinstance(stepped, Stepped)
    assert stepped.settlement is not None
    assert (stepped.settlement.free, stepped.settlement.users) == (8, {"a": 0})
    assert await bench.counts(campaign) == (2, 600)


async def test_facts_that_lie_cannot_overspend(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign = await launch(bench.pool, 10, partition=HERE, discount=FOUR_OFF, amount_limit=1_000)
    lies: list[Facts] = []

    def decide_as_if_rich(claims: Sequence[SubmitClaim], facts: Facts) -> list[Decision]:
        if len(lies) == 2:
            return decide(claims, facts)
        lies.append(facts)
        rich = {key: msgspec.structs.replace(terms, amount_budget=10_000) for key, terms in facts.slices.items()}
        return decide(claims, msgspec.structs.replace(facts, slices=rich))

    monkeypatch.setattr(room, "decide", decide_as_if_rich)
    outcomes = await bench.decided(*(claim_of(campaign, user) for user in "abc"))
    assert told(outcomes) == ["granted", "granted", "budget_insufficient"]
    assert len(lies) == 2


async def test_the_largest_carts_and_discounts_hurt_no_neighbour_in_their_batch(bench: Bench) -> None:
    whole = await launch(bench.pool, None, partition=HERE, discount=Discount("percent", 100))
    dear = await launch(bench.pool, None, partition=HERE, discount=Discount("amount", MAX_NUMBER, "EUR"))
    await bench.granted(claim_of(whole, "eve", subtotal=MAX_SUBTOTAL))
    # Of so many whose discount is written as it is, without regard to a cart, the sum would be no bigint.
    for first in range(0, 1_200, 400):
        await bench.granted(*(claim_of(dear, f"u{n}") for n in range(first, first + 400)))
    claims = [claim_of((whole, dear)[n % 2], f"v{n}", subtotal=5_000) for n in range(32)]
    # One transaction for all of them: none was set aside to find the one that does not fit.
    assert told(await bench.decided(*claims)) == ["granted"] * 32
    assert (await bench.counts(whole))[1] == MAX_SUBTOTAL + 16 * 5_000


# Periods.


def far_from_midnight() -> str:
    """A time zone in which the present day neither begins nor ends while a test runs."""
    hour = datetime.now(UTC).hour
    return f"Etc/GMT{hour - 12:+d}" if hour != 12 else "Etc/GMT"


@pytest.mark.parametrize(
    ("limit", "period"), [("per_day_limit", Period.DAY), ("per_week_limit", Period.WEEK), ("per_month_limit", Period.MONTH)]
)
async def test_a_period_is_over_at_its_last_midnight(bench: Bench, limit: str, period: Period) -> None:
    zone = far_from_midnight()
    campaign = await launch(bench.pool, 10, partition=HERE, per_user_limit=5, timezone=zone, **{limit: 1})
    await bench.granted(claim_of(campaign, "a"))
    start = start_of(period, datetime.now(UTC), zone)
    move = "UPDATE redemptions SET claimed_at = $1"
    for claimed_at, expected in ((start, "period_limit_reached"), (start - timedelta(microseconds=1), "granted")):
        await bench.pool.execute(move, claimed_at)
        assert told(await bench.decided(claim_of(campaign, "a", key=expected))) == [expected]
    assert told(await bench.decided(claim_of(campaign, "a", key="third"))) == ["period_limit_reached"]


# Holds.


async def holding(bench: Bench, users: str = "a", **different: Any) -> tuple[Campaign, list[Redemption]]:
    campaign = await launch(bench.pool, 10, partition=HERE, hold_ttl_s=600, **different)
    return campaign, await bench.granted(*(claim_of(campaign, user) for user in users))


async def test_a_hold_is_shown_to_its_owner_until_it_is_over(bench: Bench) -> None:
    campaign, [hold] = await holding(bench)
    assert hold.hold_expires_at == hold.claimed_at + timedelta(seconds=600)
    assert await bench.decided(claim_of(campaign, "a", "new")) == [Replayed(hold, Refusal.ALREADY_REDEEMED)]
    await bench.taken(hold, Step.CONFIRM)
    assert told(await bench.decided(claim_of(campaign, "a", "newer"))) == ["already_redeemed"]


async def test_who_polls_for_a_claim_that_was_answered_with_a_hold_is_shown_the_hold(bench: Bench) -> None:
    pool = await launch(bench.pool, 10, partition=HERE, type="pool", code="POOL", per_user_limit=2, hold_ttl_s=600)
    [code, _] = await bench.mint(pool, None, None)
    [hold] = await bench.granted(claim_of(pool, "a", code=code))
    again = claim_of(pool, "a", "new", code=code)
    assert await bench.decided(again) == [Replayed(hold, Refusal.CODE_USED)]
    assert told(await bench.decided(claim_of(pool, "b", code=code))) == ["code_used"]
    async with bench.pool.acquire() as connection:
        found = await outcomes(connection, [again.claim_id])
    assert found == {again.claim_id: Told(UserId("a"), Replayed(hold))}
    assert told(await bench.decided(claim_of(pool, "a", "newer"))) == ["granted"]


@pytest.mark.parametrize("released_before", [False, True])
async def test_what_was_not_confirmed_in_time_is_not_confirmed_any_more(bench: Bench, released_before: bool) -> None:
    campaign, [hold] = await holding(bench)
    await bench.lapse(hold)
    if released_before:
        [settlement] = (await expire_overdue(bench.pool, bench.lives[HERE])).settlements
        assert (settlement.free, settlement.users) == (10, {"a": 0})
    assert await lifecycle.take(bench.pool, hold.redemption_id, Step.CONFIRM) is Stay.HOLD_EXPIRED
    await expire_overdue(bench.pool, bench.lives[HERE])
    row = await bench.pool.fetchrow("SELECT state, released_reason FROM redemptions")
    assert row is not None
    assert tuple(row) == ("released", "expiry")
    assert await bench.counts(campaign) == (0, 0)
    kinds = await bench.pool.fetch("SELECT kind FROM ledger WHERE redemption_id IS NOT NULL ORDER BY seq")
    assert [kind for (kind,) in kinds] == ["claimed", "released"]


async def test_confirming_and_expiring_at_once_agree(bench: Bench) -> None:
    campaign, holds = await holding(bench, "abcdefghij")
    soon = "UPDATE redemptions SET hold_expires_at = clock_timestamp() + $2 * interval '1 ms' WHERE redemption_id = $1"
    for number, hold in enumerate(holds):
        await bench.pool.execute(soon, hold.redemption_id, 3 * number)

    async def expiring() -> None:
        while await bench.pool.fetchval("SELECT count(*) FROM redemptions WHERE state = 'claimed'"):
            await expire_overdue(bench.pool, bench.lives[HERE])

    confirming = (lifecycle.take(bench.pool, hold.redemption_id, Step.CONFIRM) for hold in holds)
    *answers, _ = await asyncio.gather(*confirming, expiring())
    states = {row["redemption_id"]: row["state"] for row in await bench.pool.fetch("SELECT * FROM redemptions")}
    for hold, answer in zip(holds, answers, strict=True):
        assert (answer is Stay.HOLD_EXPIRED) == (states[hold.redemption_id] == "released"), answer
    confirmed = sum(state == "redeemed" for state in states.values())
    assert await bench.counts(campaign) == (confirmed, 0)


async def test_an_owners_overdue_hold_is_released_in_the_batch_of_the_next_claim(bench: Bench) -> None:
    campaign, [first, _] = await holding(bench, "ab")
    await bench.lapse(first)
    committed = await bench.commit(claim_of(campaign, "a", "new"), claim_of(campaign, "b", "new"))
    assert told([outcome for *_, outcome in committed.outcomes]) == ["granted", "replayed"]
    assert committed.settlements[-1].users == {"a": 1, "b": 1}
    assert await bench.counts(campaign) == (2, 0)
    rows = await bench.pool.fetch("SELECT redemption_id, kind FROM ledger WHERE redemption_id IS NOT NULL ORDER BY seq")
    assert [kind for _, kind in rows] == ["claimed", "claimed", "released", "claimed", "refused"]
    assert rows[2]["redemption_id"] == first.redemption_id


async def test_an_overdue_hold_in_the_way_of_a_claim_that_came_to_the_wrong_partition_ends_where_it_lives(bench: Bench) -> None:
    campaign, [hold] = await holding(bench)
    await bench.lapse(hold)
    assert await bench.decided(claim_of(campaign, "a", "new"), at=THERE) == [Misrouted()]
    assert await bench.counts(campaign) == (1, 0)
    assert told(await bench.decided(claim_of(campaign, "a", "new"))) == ["granted"]
    rows = await bench.pool.fetch("SELECT partition_no FROM ledger WHERE redemption_id = $1", hold.redemption_id)
    assert [partition for (partition,) in rows] == [HERE, HERE]


async def test_many_overdue_holds_end_bit_by_bit_the_most_overdue_first(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("claim_workers.expiry.BATCH_MAX", 3)
    campaign, holds = await holding(bench, "abcdefgh")
    elsewhere = await launch(bench.pool, 10, partition=THERE, hold_ttl_s=600)
    [other] = await bench.granted(claim_of(elsewhere, "a", "other"), at=THERE)
    await bench.lapse(*holds[:7], other)
    turns = [await expire_overdue(bench.pool, bench.lives[HERE]) for _ in range(4)]
    assert [turn.more for turn in turns] == [True, True, False, False]
    assert [settlement.free for turn in turns for settlement in turn.settlements] == [5, 8, 9]
    assert await bench.counts(campaign) == (1, 0)
    assert await bench.counts(elsewhere) == (1, 0)


async def test_a_shard_gives_back_what_is_overdue_by_itself(dsn: str, redis_url: str) -> None:
    async with opened_stores(dsn, redis_url) as stores, shard_at_work(stores), open_door(stores.pool, redis_url) as door:
        campaign = await launch(stores.pool, 1, hold_ttl_s=1)
        assert isinstance(await door.redeem(campaign, "a"), Granted)
        assert await door.redeem(campaign, "b") == Refused(Refusal.EXHAUSTED)

        async def released() -> object:
            return await stores.pool.fetchval("SELECT released_reason FROM redemptions")

        assert await until(released) < 4
        # Nobody claims in between: the gate was told, too.
        await until(lambda: won(door.redeem(campaign, "c")))


async def test_claims_do_not_wait_for_the_end_of_many_holds(dsn: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("claim_workers.expiry.BATCH_MAX", 1)
    async with opened_stores(dsn, redis_url) as stores, shard_at_work(stores), open_door(stores.pool, redis_url) as door:
        held = await launch(stores.pool, None, partition=HERE, hold_ttl_s=600)
        unrelated = await launch(stores.pool, None, partition=HERE)
        assert await won(door.redeem(unrelated, "first"))
        assert all(await asyncio.gather(*(won(door.redeem(held, f"u{number}")) for number in range(100))))
        await stores.pool.execute(
            "UPDATE redemptions SET hold_expires_at = clock_timestamp() WHERE campaign_id = $1", held.campaign_id
        )
        await until(lambda: ended(stores.pool))
        assert await won(door.redeem(unrelated, "second"))
        assert await ended(stores.pool) < 100
        # None of them waits for another tick either.
        assert await until(lambda: all_ended(stores.pool, 100)) < 5


async def ended(pool: Pool) -> int:
    count: int = await pool.fetchval("SELECT count(*) FROM redemptions WHERE released_reason = 'expiry'")
    return count


async def all_ended(pool: Pool, number: int) -> bool:
    return await ended(pool) == number


async def won(answer: Awaitable[Answer]) -> bool:
    return isinstance(await answer, Granted)


async def test_a_door_is_told_of_open_holds_and_not_of_overdue_ones(bench: Bench) -> None:
    campaign, [first, second] = await holding(bench, "ab")
    await bench.lapse(second)
    asked = [(each.redemption_id, CampaignId(campaign.campaign_id), each.user_id) for each in (first, second)]
    async with bench.pool.acquire() as connection:
        found = await standings(connection, asked)
    assert [(found[each].active, found[each].hold) for each in asked] == [(1, first), (0, None)]


# Refunds.


async def test_an_order_is_refunded_over_all_its_partitions(bench: Bench) -> None:
    here = await launch(bench.pool, 10, partition=HERE, release_on_refund=True, discount=FOUR_OFF)
    there = await launch(bench.pool, 10, partition=THERE, release_on_refund=True)
    kept = await launch(bench.pool, 10, partition=THERE)
    claims = [claim_of(here, "a", "1"), claim_of(there, "a", "2"), claim_of(kept, "a", "3"), claim_of(there, "b", "4")]
    redemptions = [
        (await bench.granted(claim, at=PartitionNo(partition)))[0]
        for claim, partition in zip(claims, (3, 11, 11, 11), strict=True)
    ]
    for each in redemptions[:3]:
        await bench.taken(each, Step.CONFIRM)
    refunded = await lifecycle.refund(bench.pool, "order")
    assert {each.redemption_id: each.state for each in refunded.redemptions} == {
        redemptions[0].redemption_id: State.RELEASED,
        redemptions[1].redemption_id: State.RELEASED,
        redemptions[2].redemption_id: State.REDEEMED,
        redemptions[3].redemption_id: State.CLAIMED,
    }
    stays = [Kept(redemptions[2].redemption_id, Stay.NOT_ALLOWED), Kept(redemptions[3].redemption_id, Stay.NOT_REDEEMED)]
    assert refunded.kept == stays
    assert [(partition, each.campaign_id, each.free) for partition, each in refunded.settlements] == [
        (HERE, here.campaign_id, 10),
        (THERE, there.campaign_id, 9),
    ]
    again = await lifecycle.refund(bench.pool, "order")
    assert (again.redemptions, again.kept, again.settlements) == (refunded.redemptions, stays, [])
    assert (await bench.counts(here), await bench.counts(there)) == ((0, 0), (1, 0))


async def test_an_order_that_holds_nothing_is_refunded_all_the_same(bench: Bench) -> None:
    refunded = await lifecycle.refund(bench.pool, "unheard of")
    assert (refunded.redemptions, refunded.kept, refunded.settlements) == ([], [], [])


async def test_refunds_at_once_give_back_once(bench: Bench) -> None:
    campaigns = [await launch(bench.pool, 10, partition=each, release_on_refund=True) for each in (HERE, THERE)]
    for campaign in campaigns:
        [given] = await bench.granted(claim_of(campaign, "a", str(home(campaign))), at=home(campaign))
        await bench.taken(given, Step.CONFIRM)
    refunds = await asyncio.gather(*(lifecycle.refund(bench.pool, "order") for _ in range(6)))
    assert sum(len(refund.settlements) for refund in refunds) == 2
    assert [await bench.counts(campaign) for campaign in campaigns] == [(0, 0), (0, 0)]


# What may stand together on one order.


async def test_where_nobody_has_rules_no_order_is_locked(bench: Bench) -> None:
    campaign = await launch(bench.pool, 10, partition=HERE)
    await bench.granted(claim_of(campaign, "a"))
    assert await bench.pool.fetchval("SELECT count(*) FROM order_holds") == 0


async def test_rules_that_demand_nothing_lock_no_order(bench: Bench) -> None:
    campaign = await launch(bench.pool, 10, partition=HERE, stacking_rules=StackingRules())
    await bench.granted(claim_of(campaign, "a"))
    assert await bench.pool.fetchval("SELECT count(*) FROM order_holds") == 0


@pytest.mark.parametrize(
    ("over", "locked"),
    [
        ("status = 'ended'", 0),
        ("ends_at = clock_timestamp() - interval '2 minutes'", 0),
        ("ends_at = clock_timestamp() - interval '2 seconds'", 1),
        ("status = 'paused'", 1),
    ],
)
async def test_rules_of_a_campaign_that_is_over_bind_and_lock_no_order(bench: Bench, over: str, locked: int) -> None:
    alone = await launch(bench.pool, 10, partition=THERE, stacking_rules=StackingRules(exclusive=True))
    plain = await launch(bench.pool, 10, partition=HERE)
    await bench.granted(claim_of(alone, "a"), at=THERE)
    await bench.pool.execute(f"DELETE FROM order_holds; UPDATE campaigns SET {over} WHERE campaign_id = '{alone.campaign_id}'")
    assert told(await bench.decided(claim_of(plain, "b"))) == ["not_stackable"]
    assert await bench.pool.fetchval("SELECT count(*) FROM order_holds") == locked


async def test_a_window_with_rules_is_opened_again_for_all_partitions_at_once(bench: Bench) -> None:
    alone = await launch(bench.pool, 10, partition=THERE, stacking_rules=StackingRules(exclusive=True))
    await bench.pool.execute("UPDATE campaigns SET ends_at = '2020-01-01'")
    async with bench.pool.acquire() as connection, connection.transaction():
        await lock_partition(connection, HERE)
        opened = asyncio.create_task(campaigns.change(bench.pool, alone.campaign_id, CampaignChange(ends_at=None), ADMIN))
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        await until(lambda: bench.pool.fetchval(waiting))
        assert not opened.done()
    assert isinstance(await opened, campaigns.Committed)


async def test_a_pool_passes_over_the_codes_that_do_not_go_with_an_order(bench: Bench) -> None:
    pool = await launch(bench.pool, None, partition=HERE, type="pool", code="POOL")
    minted = await bench.mint(pool, *[None] * 8)
    picky = await launch(bench.pool, 10, partition=THERE, stacking_rules=StackingRules(tuple(minted[:6])))
    await bench.granted(claim_of(picky, "a"), at=THERE)
    [given] = await bench.granted(claim_of(pool, "a", "2"))
    assert given.code == minted[6]
    [other] = await bench.granted(claim_of(pool, "b", order_id="another"))
    assert other.code == minted[0]


async def test_a_code_is_shown_as_it_was_made_wherever_it_is_shown(bench: Bench, dsn: str) -> None:
    pool = await launch(bench.pool, None, partition=HERE, type="pool", code="POOL", exact=True)
    made = await codes.mint(bench.pool, pool.campaign_id, Wish([None], "vip-####", "abcd"), ADMIN)
    assert isinstance(made, Minted)
    [spelt] = made.codes
    claim = claim_of(pool, "a")
    [given] = await bench.granted(claim)
    assert (given.code, given.written) == (spelt.upper(), spelt)
    assert await bench.decided(claim) == [Replayed(given)]
    picky = await launch(bench.pool, 10, partition=THERE, stacking_rules=StackingRules(exclusive=True))
    assert await bench.decided(claim_of(picky, "a", "2"), at=THERE) == [Refused(Refusal.NOT_STACKABLE, spelt)]
    assert told(await bench.decided(claim_of(pool, "b", code=spelt.upper()))) == ["code_used"]
    await bench.taken(given, Step.CONFIRM)
    async with bench.pool.acquire() as connection:
        held = await by_order(connection, ["order"])
    assert [each.written for each in held["order"]] == [spelt]
    lines = [line async for line in history(dsn, spelt) if "order" in line]
    assert len(lines) == 3
    assert all(f" {spelt} " in line for line in lines), lines
    [page] = [page async for page in codes.exported(bench.pool, pool.campaign_id)]
    assert [row["shown"] for row in page] == [spelt]


async def test_rules_bind_both_ways_and_over_partitions(bench: Bench) -> None:
    plain = await launch(bench.pool, 10, partition=HERE, release_on_failure=True)
    picky = await launch(bench.pool, 10, partition=THERE, stacking_rules=StackingRules((str(plain.code)[:4] + "*",)))
    [first] = await bench.granted(claim_of(plain, "a", order_id="one"))
    [other] = await bench.granted(claim_of(picky, "a", "2", order_id="two"), at=THERE)
    assert await bench.decided(claim_of(picky, "b", order_id="one"), at=THERE) == [Refused(Refusal.NOT_STACKABLE)]
    assert await bench.decided(claim_of(plain, "b", order_id="two")) == [Refused(Refusal.NOT_STACKABLE)]
    await bench.taken(first, Step.RELEASE_FOR_FAILURE)
    assert told(await bench.decided(claim_of(picky, "b", order_id="one"), at=THERE)) == ["granted"]
    assert other.order_id == "two"


async def test_an_overdue_hold_stands_in_no_orders_way(bench: Bench) -> None:
    _, [hold] = await holding(bench, stacking_rules=StackingRules(exclusive=True))
    other = await launch(bench.pool, 10, partition=THERE)
    assert told(await bench.decided(claim_of(other, "b"), at=THERE)) == ["not_stackable"]
    await bench.lapse(hold)
    assert told(await bench.decided(claim_of(other, "b"), at=THERE)) == ["granted"]


async def test_a_pool_is_excluded_by_its_public_code_and_by_the_code_it_gives(bench: Bench) -> None:
    pool = await launch(bench.pool, 10, partition=HERE, type="pool", code="POOL")
    minted = await bench.mint(pool, None, None)
    by_public = await launch(bench.pool, 10, partition=THERE, stacking_rules=StackingRules(("POOL",)))
    by_own = await launch(bench.pool, 10, partition=THERE, stacking_rules=StackingRules((minted[0],)))
    await bench.granted(claim_of(pool, "a"))
    refused = Refused(Refusal.NOT_STACKABLE, minted[0])
    assert await bench.decided(claim_of(by_public, "a", "2"), claim_of(by_own, "a", "3"), at=THERE) == [refused, refused]


async def test_of_two_codes_claimed_at_once_for_one_order_one_is_granted(bench: Bench) -> None:
    rules = StackingRules(category="sitewide")
    here, there = [await launch(bench.pool, 1_000, partition=each, stacking_rules=rules) for each in (HERE, THERE)]
    for turn in range(8):
        orders = [f"order {turn} {number}" for number in range(12)]
        one = [claim_of(here, f"{order} x", order_id=order) for order in orders]
        two = [claim_of(there, f"{order} y", order_id=order) for order in reversed(orders)]
        decided = await asyncio.gather(bench.decided(*one), bench.decided(*two, at=THERE))
        for first, second in zip(decided[0], reversed(decided[1]), strict=True):
            assert sorted(told([first, second])) == ["granted", "not_stackable"]
    held = await bench.pool.fetch("SELECT order_id, count(*) AS held FROM redemptions GROUP BY order_id")
    assert len(held) == 96
    assert {row["held"] for row in held} == {1}


async def test_a_refusal_is_told_later_with_the_code_it_is_about(bench: Bench) -> None:
    first = await launch(bench.pool, 10, partition=HERE, stacking_rules=StackingRules(exclusive=True))
    second = await launch(bench.pool, 10, partition=HERE)
    await bench.granted(claim_of(first, "a"))
    refused = claim_of(second, "a", "2")
    await bench.decided(refused)
    story = await bench.pool.fetchval("SELECT payload FROM ledger WHERE redemption_id = $1", UUID(str(refused.claim_id)))
    assert msgspec.json.decode(story)["about"] == first.code

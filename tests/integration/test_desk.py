"""A front door's desk before a real engine: who is answered what, and when nobody may be left waiting."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from claim_workers.consumer import Stores
from frontdoor import lookups as room
from frontdoor.admission import Lack
from frontdoor.availability import Availability
from frontdoor.course import BUSY_S
from frontdoor.problems import BUSY, UNAVAILABLE
from frontdoor.submissions import LOOK_AFTER_S, Answer, Undecided
from lastslot.ports import free_port
from shared import campaigns, clock, keys, lifecycle
from shared.audit import audit
from shared.domain.campaign import Campaign, CampaignStatus
from shared.domain.ids import CampaignId, ClaimId, Incarnation, PartitionNo, UserId, claim_id
from shared.domain.outcomes import Granted, Refusal, Refused, Replayed
from shared.domain.redemption import State, Step
from shared.errors import RedisUnavailable
from shared.feed import publish
from shared.gate import CERTIFICATE_MS, Admission, CampaignAsk, ClaimAsk, Moved
from shared.postgres import Connection
from shared.redemptions import standings
from shared.redis_client import Redis, open_redis
from tests.integration.engine import Door, Owner, home, launch, open_door, shard_at_work, until
from tests.servers import embedded_redis, running

SOLD_OUT, ALREADY, KEY_REUSED = (
    Refused(reason) for reason in (Refusal.EXHAUSTED, Refusal.ALREADY_REDEEMED, Refusal.KEY_REUSED)
)


@pytest.fixture
async def door(stores: Stores, postgres_dsn: str, redis_url: str) -> AsyncIterator[Door]:
    """A door, while a shard works. When the test is over, the audit must find nothing."""
    async with open_door(stores.pool, redis_url) as door, shard_at_work(stores):
        yield door
    report = await audit(postgres_dsn)
    assert report.clean, report.faults


@pytest.fixture
async def alone(stores: Stores, redis_url: str) -> AsyncIterator[Door]:
    """A door, and nobody who works: what is in a mailbox stays there until the test commits it."""
    async with open_door(stores.pool, redis_url) as door:
        yield door


def granted(answer: Answer) -> ClaimId:
    assert isinstance(answer, Granted), answer
    return answer.redemption.redemption_id


def replayed(answer: Answer) -> ClaimId:
    assert isinstance(answer, Replayed), answer
    return answer.redemption.redemption_id


async def test_a_burst_has_exactly_as_many_winners_as_slots(stores: Stores, door: Door) -> None:
    campaign = await launch(stores.pool, 20)
    answers = await asyncio.gather(*(door.redeem(campaign, f"user {n}") for n in range(200)))
    winners = [f"user {n}" for n, answer in enumerate(answers) if isinstance(answer, Granted)]
    assert len(winners) == 20
    assert answers.count(SOLD_OUT) == 180
    again = await asyncio.gather(*(door.redeem(campaign, user) for user in winners))
    assert [replayed(answer) for answer in again] == [claim_id(UserId(user), "k") for user in winners]


async def test_a_winner_is_shown_the_win_whatever_has_become_of_the_campaign(stores: Stores, door: Door) -> None:
    campaign = await launch(stores.pool, 1, release_on_failure=True)
    won = granted(await door.redeem(campaign, "a"))
    assert await door.redeem(campaign, "b") == SOLD_OUT
    assert replayed(await door.redeem(campaign, "a")) == won
    door.shut = Refusal.EXPIRED
    assert replayed(await door.redeem(campaign, "a")) == won
    assert await door.redeem(campaign, "b") == Refused(Refusal.EXPIRED)
    door.shut = None
    await lifecycle.take(stores.pool, won, Step.RELEASE_FOR_FAILURE)
    answer = await door.redeem(campaign, "a")
    assert isinstance(answer, Replayed)
    assert answer.redemption.state is State.RELEASED


async def test_who_holds_the_limit_is_told_so_and_other_claims_stay_as_they_are(stores: Stores, door: Door) -> None:
    campaign = await launch(stores.pool, 5, per_user_limit=2)
    first = granted(await door.redeem(campaign, "a", "1"))
    second = granted(await door.redeem(campaign, "a", "2"))
    assert first != second
    assert await door.redeem(campaign, "a", "3") == ALREADY
    assert replayed(await door.redeem(campaign, "a", "1")) == first
    # Another user may choose the same key.
    assert granted(await door.redeem(campaign, "b", "1")) != first
    assert await stores.pool.fetchval("SELECT claimed FROM campaign_slices") == 3


async def test_who_holds_the_last_slot_is_shown_the_hold_rather_than_sold_out(stores: Stores, door: Door) -> None:
    campaign = await launch(stores.pool, 1, per_user_limit=2, hold_ttl_s=600)
    hold = granted(await door.redeem(campaign, "a"))
    assert await door.redeem(campaign, "b") == SOLD_OUT
    assert replayed(await door.redeem(campaign, "a", "new")) == hold
    await lifecycle.take(stores.pool, hold, Step.CONFIRM)
    assert await door.redeem(campaign, "a", "newer") == SOLD_OUT


async def test_a_winner_who_asks_again_keeps_no_slot_from_anybody(stores: Stores, alone: Door) -> None:
    """Nobody reads the mailbox meanwhile: were it asked for there, nothing would be left for the last who come."""
    campaign = await launch(stores.pool, 3, per_user_limit=2)
    owner = await seeded(stores, campaign)
    first = asyncio.create_task(alone.redeem(campaign, "a"))
    await until(pending(stores, campaign, "a"))
    await owner.turn()
    won = granted(await first)
    assert {replayed(await alone.redeem(campaign, "a")) for _ in range(3)} == {won}
    others = [alone.redeem(campaign, user, wait_s=0) for user in "bcd"]
    assert await asyncio.gather(*others) == [Undecided(home(campaign))] * 2 + [SOLD_OUT]


async def lapsed(stores: Stores, door: Door, limit: int) -> tuple[Campaign, ClaimId]:
    """A sold-out campaign whose one slot is a hold of a's that is over, and has yet to be given back."""
    campaign = await launch(stores.pool, 1, per_user_limit=limit, hold_ttl_s=600)
    hold = granted(await door.redeem(campaign, "a"))
    assert await door.redeem(campaign, "b") == SOLD_OUT
    await stores.pool.execute("UPDATE redemptions SET hold_expires_at = clock_timestamp() WHERE redemption_id = $1", hold)
    return campaign, hold


@pytest.mark.parametrize("limit", [1, 2])
async def test_a_hold_that_is_over_is_shown_as_what_it_has_come_to(stores: Stores, door: Door, limit: int) -> None:
    campaign, hold = await lapsed(stores, door, limit)
    again = await door.redeem(campaign, "a")
    assert isinstance(again, Replayed)
    assert (again.redemption.redemption_id, again.redemption.state) == (hold, State.RELEASED)


@pytest.mark.parametrize("limit", [1, 2])
async def test_a_hold_that_is_over_is_not_in_its_owners_way(stores: Stores, door: Door, limit: int) -> None:
    campaign, hold = await lapsed(stores, door, limit)
    assert granted(await door.redeem(campaign, "a", "new")) != hold


async def test_a_hold_that_is_over_and_that_nobody_ends_is_promised_nothing(stores: Stores, alone: Door) -> None:
    campaign = await launch(stores.pool, 1, hold_ttl_s=600)
    owner = await Owner.of(stores.pool, stores.redis, home(campaign))
    first = asyncio.create_task(alone.redeem(campaign, "a"))

    async def decided() -> bool:
        await owner.turn()
        return first.done()

    await until(decided)
    hold = granted(first.result())
    await stores.pool.execute("UPDATE redemptions SET hold_expires_at = clock_timestamp() WHERE redemption_id = $1", hold)
    answers = await asyncio.gather(*(alone.redeem(campaign, "a", key, wait_s=0.5) for key in ("k", "new")))
    assert answers == [UNAVAILABLE, UNAVAILABLE]


async def test_a_key_that_is_used_for_another_order_is_refused_and_changes_nothing(stores: Stores, door: Door) -> None:
    campaign = await launch(stores.pool, 1)
    won = granted(await door.redeem(campaign, "a"))
    assert await door.redeem(campaign, "a", order_id="another") == KEY_REUSED
    other = await launch(stores.pool, 1)
    assert await door.redeem(other, "a") == KEY_REUSED
    assert replayed(await door.redeem(campaign, "a")) == won


async def test_tabs_that_ask_at_once_are_one_claim(stores: Stores, door: Door) -> None:
    campaign = await launch(stores.pool, 5)
    answers = await asyncio.gather(*(door.redeem(campaign, "a") for _ in range(50)))
    assert sum(isinstance(answer, Granted) for answer in answers) == 1
    assert sum(isinstance(answer, Replayed) for answer in answers) == 49
    assert await stores.pool.fetchval("SELECT claimed FROM campaign_slices") == 1


async def test_tabs_of_one_user_with_keys_of_their_own_have_one_winner(stores: Stores, door: Door) -> None:
    campaign = await launch(stores.pool, 5)
    answers = await asyncio.gather(*(door.redeem(campaign, "a", f"tab {n}") for n in range(20)))
    assert sum(isinstance(answer, Granted) for answer in answers) == 1
    assert answers.count(ALREADY) == 19


async def test_a_tab_with_the_same_key_and_another_order_is_not_answered_with_the_first_ones_win(
    stores: Stores, door: Door
) -> None:
    campaign = await launch(stores.pool, 5)
    answers = await asyncio.gather(
        door.redeem(campaign, "a"), door.redeem(campaign, "a", order_id="other"), door.redeem(campaign, "a", order_id="third")
    )
    assert granted(answers[0])
    assert list(answers[1:]) == [KEY_REUSED] * 2


async def test_two_doors_with_the_same_claim_at_once_are_one_claim(stores: Stores, door: Door, redis_url: str) -> None:
    campaign = await launch(stores.pool, 5)
    async with open_door(stores.pool, redis_url, "another") as other:
        for turn in range(5):
            answers = await asyncio.gather(door.redeem(campaign, f"{turn}"), other.redeem(campaign, f"{turn}"))
            assert all(isinstance(answer, Granted | Replayed) for answer in answers), answers
    assert await stores.pool.fetchval("SELECT claimed FROM campaign_slices") == 5


async def test_who_joined_a_tab_that_was_closed_goes_on_alone(stores: Stores, alone: Door) -> None:
    campaign = await launch(stores.pool, 5)
    owner = await Owner.of(stores.pool, stores.redis, home(campaign))
    first = asyncio.create_task(alone.redeem(campaign, "a"))
    second = asyncio.create_task(alone.redeem(campaign, "a"))
    await admitted(stores, owner, 1)
    first.cancel()
    await until_done(first)
    await owner.turn()
    assert isinstance(await second, Granted | Replayed)


async def test_who_joins_a_refusal_that_is_on_its_way_is_shown_what_he_has_won_since(
    stores: Stores, door: Door, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gate has refused, and its answer is slow: meanwhile a slot is given back, and won at another door."""
    campaign = await launch(stores.pool, 1, release_on_failure=True)
    taken = granted(await door.redeem(campaign, "z"))
    async with open_door(stores.pool, redis_url, "slow") as slow:
        refused, telling, real = asyncio.Event(), asyncio.Event(), slow.gate.admit

        async def slowly(*asked: Any) -> Admission | Moved:
            answer = await real(*asked)
            if isinstance(answer, Admission):
                refused.set()
                await telling.wait()
            return answer

        monkeypatch.setattr(slow.gate, "admit", slowly)
        first = asyncio.create_task(slow.redeem(campaign, "a"))
        await refused.wait()
        await lifecycle.take(stores.pool, taken, Step.RELEASE_FOR_FAILURE)

        async def won() -> bool:
            return isinstance(await door.redeem(campaign, "a"), Granted)

        await until(won)
        later = [asyncio.create_task(slow.redeem(campaign, "a")) for _ in range(20)]
        await asyncio.sleep(0)
        telling.set()
        assert await first == SOLD_OUT
        assert {replayed(each) for each in await asyncio.gather(*later)} == {claim_id(UserId("a"), "k")}


async def test_tabs_that_are_refused_at_once_are_asked_for_twice_at_most(
    stores: Stores, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = await launch(stores.pool, 1)
    assert granted(await door.redeem(campaign, "z"))
    asked = asked_of(door, monkeypatch)
    assert set(await asyncio.gather(*(door.redeem(campaign, "a") for _ in range(50)))) == {SOLD_OUT}
    assert sum(asked) <= 2


async def test_an_outcome_that_the_feed_does_not_bring_is_looked_up(stores: Stores, redis_url: str, door: Door) -> None:
    campaign = await launch(stores.pool, 1)
    async with open_door(stores.pool, redis_url, "deaf", hears=False) as deaf:
        assert granted(await deaf.redeem(campaign, "a"))
        assert await deaf.redeem(campaign, "b") == SOLD_OUT
        assert await deaf.redeem(campaign, "a", order_id="another") == KEY_REUSED


async def test_a_refusal_that_the_feed_does_not_bring_is_found_too(stores: Stores, redis_url: str, door: Door) -> None:
    campaign = await launch(stores.pool, 5)
    assert granted(await door.redeem(campaign, "z"))
    # The gate lets more through than there are: the commit refuses, and the refusal is not heard.
    await stores.pool.execute("UPDATE campaigns SET total_limit = 1; UPDATE campaign_slices SET budget = 1")
    async with open_door(stores.pool, redis_url, "deaf", hears=False) as deaf:
        assert await deaf.redeem(campaign, "a") == SOLD_OUT


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xc1",
        b"\x91\x92\x01\x82\xa4type\xa7refused\xa6reason\xa2no",
        b"\x91\x92\x01\x82\xa4type\xa7refused\xa6reason\xa2\xff\xfe",
        b"\x91\x92\x01\x83\xa4type\xa7refused\xa6reason\xa9exhausted\xa1x" + b"\x91" * 100_000,
    ],
    ids=["empty", "no_msgpack", "no_reason", "no_text", "too_deep"],
)
async def test_a_message_that_cannot_be_read_is_passed_over(stores: Stores, alone: Door, message: bytes) -> None:
    campaign = await launch(stores.pool, 5)
    redis: Any = stores.redis
    assert await redis.publish(keys.outcome_channel(alone.name), message) == 1
    async with shard_at_work(stores):
        assert granted(await alone.redeem(campaign, "a"))
    assert await redis.pubsub_numsub(keys.outcome_channel(alone.name)) == [(keys.outcome_channel(alone.name).encode(), 1)]


async def test_who_waited_through_a_flush_is_submitted_again_and_decided_once(stores: Stores, alone: Door) -> None:
    campaign = await launch(stores.pool, 5)
    owner = await Owner.of(stores.pool, stores.redis, home(campaign))
    waiting = [asyncio.create_task(alone.redeem(campaign, f"user {n}")) for n in range(8)]
    await admitted(stores, owner, 5)
    await stores.redis.flushall()
    async with shard_at_work(stores):
        # The test's owner is overtaken.
        await stores.pool.execute("UPDATE partitions SET lease_until = '-infinity'")
        answers = await asyncio.gather(*waiting)
    assert sum(isinstance(answer, Granted) for answer in answers) == 5
    assert await stores.pool.fetchval("SELECT count(*) FROM redemptions") == 5


async def test_who_was_told_no_does_not_win_behind_his_back(
    stores: Stores, alone: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look-up finds the claim neither pending nor committed; by the time it says so, the caller has heard the refusal."""
    campaign = await launch(stores.pool, 5)
    owner = await seeded(stores, campaign)
    looked, slow = asyncio.Event(), asyncio.Event()

    async def slowly(connection: Connection, asked: Sequence[tuple[ClaimId, CampaignId, UserId]]) -> object:
        found = await standings(connection, asked)
        looked.set()
        await slow.wait()
        return found

    monkeypatch.setattr(room, "standings", slowly)
    asking = asyncio.create_task(alone.redeem(campaign, "a"))
    await until(pending(stores, campaign, "a"))
    await switch(stores, owner, campaign, CampaignStatus.PAUSED)
    [committed] = await owner.commit()
    await owner.settler.settle(committed.settlements, committed.cursor)
    await looked.wait()
    await publish(stores.redis, committed.outcomes)
    assert await asking == Refused(Refusal.CAMPAIGN_PAUSED)
    await switch(stores, owner, campaign, CampaignStatus.ACTIVE)
    slow.set()

    async def looked_up() -> bool:
        return not alone.desk._course._errands

    await until(looked_up)
    # In the same mailbox, behind whatever was asked for by then.
    assert await alone.redeem(campaign, "b", wait_s=0) == Undecided(home(campaign))
    await owner.turn()
    assert await stores.pool.fetchval("SELECT array_agg(user_id) FROM redemptions") == ["b"]


async def test_who_was_answered_in_the_queue_of_the_gate_is_not_asked_for(
    stores: Stores, alone: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = await launch(stores.pool, 5)
    await seeded(stores, campaign)
    answering, real = asyncio.Event(), alone.gate.admit

    async def slowly(*asked: Any) -> Admission | Moved:
        await answering.wait()
        return await real(*asked)

    monkeypatch.setattr(alone.gate, "admit", slowly)
    first = asyncio.create_task(alone.redeem(campaign, "a", wait_s=0))
    await asyncio.sleep(0)
    leaving = asyncio.create_task(alone.redeem(campaign, "b", wait_s=0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    leaving.cancel()
    await until_done(leaving)
    answering.set()
    assert await first == Undecided(home(campaign))
    assert await alone.redeem(campaign, "c", wait_s=0) == Undecided(home(campaign))
    assert [await pending(stores, campaign, user)() for user in "abc"] == [True, False, True]


async def test_a_refusal_of_an_earlier_attempt_is_not_the_answer_to_a_later_one(stores: Stores, alone: Door) -> None:
    """Refused and settled, but its message is slow: the look-up asks again, and only then the message comes."""
    campaign = await launch(stores.pool, 5)
    owner = await seeded(stores, campaign)
    asking = asyncio.create_task(alone.redeem(campaign, "a"))
    await until(pending(stores, campaign, "a"))
    await switch(stores, owner, campaign, CampaignStatus.PAUSED)
    [committed] = await owner.commit()
    await switch(stores, owner, campaign, CampaignStatus.ACTIVE)
    await owner.settler.settle(committed.settlements, committed.cursor)
    await until(pending(stores, campaign, "a"))
    await publish(stores.redis, committed.outcomes)
    await owner.turn()
    assert isinstance(await asking, Granted | Replayed)


async def test_a_claim_that_was_committed_before_the_flush_is_not_decided_again(stores: Stores, alone: Door) -> None:
    campaign = await launch(stores.pool, 5)
    owner = await Owner.of(stores.pool, stores.redis, home(campaign))
    waiting = asyncio.create_task(alone.redeem(campaign, "a"))
    await admitted(stores, owner, 1)
    await owner.commit()
    await stores.redis.flushall()
    async with shard_at_work(stores):
        await stores.pool.execute("UPDATE partitions SET lease_until = '-infinity'")
        assert isinstance(await waiting, Granted | Replayed)
    assert await stores.pool.fetchval("SELECT count(*) FROM ledger WHERE kind = 'claimed'") == 1


async def test_a_certificate_answers_everybody_but_who_holds_something(stores: Stores, door: Door) -> None:
    campaign = await launch(stores.pool, 2)
    assert granted(await door.redeem(campaign, "a"))
    assert granted(await door.redeem(campaign, "b"))
    assert await door.redeem(campaign, "c") == SOLD_OUT

    def refused(user: str) -> Refusal | None:
        return door.certificates.refusal(campaign.campaign_id, UserId(user), clock.monotonic())

    async def certified() -> bool:
        await door.redeem(campaign, "c")
        return refused("d") is Refusal.EXHAUSTED

    await until(certified)
    assert [refused(user) for user in "abcd"] == [None, None, Refusal.EXHAUSTED, Refusal.EXHAUSTED]


async def test_a_certificate_is_good_from_before_it_was_asked_for(
    stores: Stores, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = await launch(stores.pool, 0)
    assert await door.redeem(campaign, "a") == SOLD_OUT
    admit = door.gate.admit

    async def admit_and_be_slow_to_say_so(*asked: Any) -> Any:
        answer = await admit(*asked)
        await asyncio.sleep(CERTIFICATE_MS / 1000)
        return answer

    monkeypatch.setattr(door.gate, "admit", admit_and_be_slow_to_say_so)
    assert await door.redeem(campaign, "b") == SOLD_OUT
    assert door.certificates.refusal(campaign.campaign_id, UserId("b"), clock.monotonic()) is None


async def test_there_is_no_certificate_while_a_claim_is_pending(stores: Stores, alone: Door) -> None:
    campaign = await launch(stores.pool, 1)
    owner = await Owner.of(stores.pool, stores.redis, home(campaign))
    waiting = asyncio.create_task(alone.redeem(campaign, "a"))
    await admitted(stores, owner, 1)
    assert await alone.redeem(campaign, "b") == SOLD_OUT
    assert alone.certificates.refusal(campaign.campaign_id, UserId("b"), clock.monotonic()) is None
    await owner.turn()
    assert isinstance(await waiting, Granted | Replayed)
    assert await alone.redeem(campaign, "b") == SOLD_OUT
    assert alone.certificates.refusal(campaign.campaign_id, UserId("b"), clock.monotonic()) is Refusal.EXHAUSTED
    assert alone.certificates.refusal(campaign.campaign_id, UserId("a"), clock.monotonic()) is None


async def test_a_users_second_claim_waits_for_the_first_and_hears_no_sooner(stores: Stores, alone: Door) -> None:
    campaign = await launch(stores.pool, 5)
    owner = await Owner.of(stores.pool, stores.redis, home(campaign))
    first = asyncio.create_task(alone.redeem(campaign, "a", "1"))
    await admitted(stores, owner, 1)
    second = asyncio.create_task(alone.redeem(campaign, "a", "2"))
    await asyncio.wait([second], timeout=0.2)
    assert not second.done()
    await owner.turn()
    assert await second == ALREADY
    assert isinstance(await first, Granted | Replayed)


async def test_who_may_be_about_to_win_is_not_told_that_nothing_is_left(stores: Stores, alone: Door) -> None:
    """Redis has lost the name of his reservation: he is looked for, not found, and asked for again while in the mailbox."""
    campaign = await launch(stores.pool, 1, per_user_limit=2)
    owner = await seeded(stores, campaign)
    asking = asyncio.create_task(alone.redeem(campaign, "a"))
    await until(pending(stores, campaign, "a"))
    await stores.redis.delete(keys.reservations(home(campaign), owner.life.incarnation))
    await asyncio.wait([asking], timeout=3 * LOOK_AFTER_S)
    assert not asking.done()
    assert await alone.redeem(campaign, "b") == SOLD_OUT
    await owner.turn()
    assert isinstance(await asking, Granted | Replayed)


async def test_who_may_be_about_to_win_is_not_told_that_it_is_over(stores: Stores, alone: Door) -> None:
    """The same, while the campaign is paused."""
    campaign = await launch(stores.pool, 5)
    owner = await seeded(stores, campaign)
    asking = asyncio.create_task(alone.redeem(campaign, "a"))
    await until(pending(stores, campaign, "a"))
    gate = keys.gate(home(campaign), owner.life.incarnation, campaign.campaign_id)
    await stores.redis.hset(gate, "closed", "campaign_paused")  # type: ignore[misc]
    await stores.redis.delete(keys.reservations(home(campaign), owner.life.incarnation))
    await asyncio.wait([asking], timeout=3 * LOOK_AFTER_S)
    assert not asking.done()
    await owner.turn()
    assert isinstance(await asking, Granted | Replayed)


async def test_a_users_second_claim_gets_the_slot_that_the_first_did_not_take(stores: Stores, alone: Door) -> None:
    campaign = await launch(stores.pool, 5)
    owner = await Owner.of(stores.pool, stores.redis, home(campaign))
    first = asyncio.create_task(alone.redeem(campaign, "a", "1"))
    await admitted(stores, owner, 1)
    second = asyncio.create_task(alone.redeem(campaign, "a", "2"))
    # The first is lost with the mailbox: it was never committed.
    await stores.redis.flushall()
    async with shard_at_work(stores):
        await stores.pool.execute("UPDATE partitions SET lease_until = '-infinity'")
        answers = [await first, await second]
    assert sorted(type(answer).__name__ for answer in answers) == ["Granted", "Refused"]


async def test_who_does_not_want_to_wait_is_undecided_once_the_claim_is_in_the_mailbox(stores: Stores, alone: Door) -> None:
    campaign = await launch(stores.pool, 5)
    owner = await Owner.of(stores.pool, stores.redis, home(campaign))
    # Nobody seeds the gate: nothing is in a mailbox, so nothing may be promised.
    assert await alone.redeem(campaign, "a", wait_s=0) == UNAVAILABLE
    asking = asyncio.create_task(alone.redeem(campaign, "a", wait_s=0))
    await until_turned(owner, asking)
    assert await asking == Undecided(home(campaign))
    assert await stores.gate.pending(home(campaign), [claim_id(UserId("a"), "k")])
    await owner.turn()
    assert isinstance(await alone.redeem(campaign, "a", wait_s=0), Replayed)


async def test_who_waits_longer_than_he_said_is_undecided(stores: Stores, alone: Door) -> None:
    campaign = await launch(stores.pool, 5)
    owner = await Owner.of(stores.pool, stores.redis, home(campaign))
    asking = asyncio.create_task(alone.redeem(campaign, "a", wait_s=0.4))
    await admitted(stores, owner, 1)
    joined = asyncio.create_task(alone.redeem(campaign, "a", wait_s=0))
    assert await joined == Undecided(home(campaign))
    assert await asking == Undecided(home(campaign))
    assert alone.desk.waiting == 0


async def test_a_redis_that_is_away_is_said_at_once_rather_than_waited_for(stores: Stores) -> None:
    campaign = await launch(stores.pool, 5)
    await Owner.of(stores.pool, stores.redis, home(campaign))
    async with open_redis(f"redis://127.0.0.1:{free_port()}") as redis:
        door = Door("door", stores.pool, redis)
        began = clock.monotonic()
        assert await door.redeem(campaign, "a", wait_s=0.2) == UNAVAILABLE
        assert clock.monotonic() - began < 5


@pytest.mark.parametrize("partitions", [[7] * 1_000, list(range(16))], ids=["one", "all"])
async def test_nobody_waits_for_a_frozen_redis_much_longer_than_he_said(
    stores: Stores, tmp_path: Path, partitions: list[int]
) -> None:
    """Neither a batch at a time, nor a partition at a time."""
    homes = {number: await launch(stores.pool, 5_000, partition=number) for number in set(partitions)}
    async with frozen_redis(tmp_path) as redis:
        door = Door("door", stores.pool, redis)
        began = clock.monotonic()
        asked = (door.redeem(homes[number], f"user {n}", wait_s=0.5) for n, number in enumerate(partitions))
        answers = await asyncio.gather(*asked)
        assert clock.monotonic() - began < 2.5
    assert answers == [UNAVAILABLE] * len(partitions)


async def test_what_is_available_is_asked_of_all_partitions_at_once(stores: Stores, tmp_path: Path) -> None:
    everywhere = [await launch(stores.pool, 5, partition=number) for number in range(16)]
    async with frozen_redis(tmp_path) as redis:
        availability = Availability(Door("door", stores.pool, redis).desk, 100)
        began = clock.monotonic()
        await asyncio.gather(*(availability.learn(campaign) for campaign in everywhere))
        assert clock.monotonic() - began < 2.5


async def test_nobody_waits_for_a_silent_postgres_longer_than_he_said(stores: Stores, alone: Door, postgres_dsn: str) -> None:
    campaign = await launch(stores.pool, 1)
    owner = await seeded(stores, campaign)
    won = asyncio.create_task(alone.redeem(campaign, "a"))
    await until(pending(stores, campaign, "a"))
    await owner.turn()
    assert isinstance(await won, Granted | Replayed)
    other = await launch(stores.pool, 5)
    await seeded(stores, other)
    connection = await asyncpg.connect(postgres_dsn)
    try:
        async with connection.transaction(), asyncio.timeout(5):
            await connection.execute("LOCK TABLE redemptions IN ACCESS EXCLUSIVE MODE")
            began = clock.monotonic()
            answers = await asyncio.gather(
                alone.redeem(other, "a", key="other", wait_s=0.6), alone.redeem(campaign, "a", wait_s=0.6)
            )
            assert clock.monotonic() - began < 1.5
    finally:
        await connection.close()
    assert list(answers) == [Undecided(home(other)), UNAVAILABLE]


async def test_a_pointer_that_is_no_text_makes_no_door_spin(
    stores: Stores, alone: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = await launch(stores.pool, 5)
    await Owner.of(stores.pool, stores.redis, home(campaign))
    redis: Any = stores.redis
    await redis.set(keys.incarnation_pointer(home(campaign)), b"\xff\xfe")
    asked = asked_of(alone, monkeypatch)
    async with asyncio.timeout(5):
        assert await alone.redeem(campaign, "a", wait_s=0.2) == UNAVAILABLE
    assert len(asked) < 20


async def test_a_gate_that_stays_cold_is_asked_less_and_less(
    stores: Stores, alone: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = await launch(stores.pool, 5)
    await Owner.of(stores.pool, stores.redis, home(campaign))
    asked = asked_of(alone, monkeypatch)
    assert await alone.redeem(campaign, "a", wait_s=2) == UNAVAILABLE
    assert 5 < len(asked) < 20


async def test_what_a_door_thinks_of_a_window_is_thought_anew_whenever_it_asks(stores: Stores, alone: Door) -> None:
    campaign = await launch(stores.pool, 5)
    owner = await Owner.of(stores.pool, stores.redis, home(campaign))
    alone.shut = Refusal.NOT_STARTED
    asking = asyncio.create_task(alone.redeem(campaign, "a", wait_s=5))

    async def asked() -> bool:
        return bool((await owner.mailbox.read(owner.cursor, "0-0", 512, 1)).cold)

    await until(asked)
    alone.shut = None
    await owner.settler.seed([campaign.campaign_id], owner.cursor)
    await until(pending(stores, campaign, "a"))
    await owner.turn()
    assert isinstance(await asking, Granted | Replayed)


async def test_another_body_under_the_key_of_a_claim_that_waits_is_promised_nothing(stores: Stores, alone: Door) -> None:
    campaign = await launch(stores.pool, 5)
    owner = await seeded(stores, campaign)
    first = asyncio.create_task(alone.redeem(campaign, "a"))
    await until(pending(stores, campaign, "a"))
    assert await alone.redeem(campaign, "a", wait_s=0.1) == Undecided(home(campaign))
    assert await alone.redeem(campaign, "a", order_id="another", wait_s=0.1) == UNAVAILABLE
    await owner.turn()
    assert isinstance(await first, Granted | Replayed)
    assert await alone.redeem(campaign, "a", order_id="another") == KEY_REUSED


async def test_a_partition_whose_owner_is_gone_is_said_to_be_unavailable(stores: Stores, alone: Door) -> None:
    campaign = await launch(stores.pool, 5)
    await Owner.of(stores.pool, stores.redis, home(campaign))
    await stores.pool.execute("UPDATE partitions SET lease_until = '-infinity'")
    assert await alone.redeem(campaign, "a", wait_s=0.2) == UNAVAILABLE


async def test_a_gate_with_a_limit_nobody_can_reach_holds_no_request_beyond_its_time(stores: Stores, alone: Door) -> None:
    """Spoilt, and no owner to put it right: the gate sends every claim to Postgres, Postgres sends it back."""
    campaign = await launch(stores.pool, 5)
    owner = await Owner.of(stores.pool, stores.redis, home(campaign))
    await owner.settler.seed([campaign.campaign_id], owner.cursor)
    redis: Any = stores.redis
    await redis.hset(keys.gate(home(campaign), owner.life.incarnation, campaign.campaign_id), "limit", "0")
    async with asyncio.timeout(5):
        assert await alone.redeem(campaign, "a", wait_s=0.2) == UNAVAILABLE


async def test_too_many_at_once_are_told_to_come_back(stores: Stores, redis: Redis) -> None:
    campaign = await launch(stores.pool, 5)
    await Owner.of(stores.pool, stores.redis, home(campaign))
    door = Door("door", stores.pool, redis)
    door.desk._waiters_max = 2
    answers = await asyncio.gather(*(door.redeem(campaign, f"user {n}", wait_s=0.1) for n in range(3)))
    assert answers == [UNAVAILABLE, UNAVAILABLE, BUSY]


async def test_a_full_mailbox_is_said_and_nothing_in_it_is_lost(stores: Stores, alone: Door) -> None:
    campaign = await launch(stores.pool, 5)
    owner = await Owner.of(stores.pool, stores.redis, home(campaign))
    waiting = [asyncio.create_task(alone.redeem(campaign, f"user {n}")) for n in range(2)]
    await admitted(stores, owner, 2)
    alone.gate._mailbox_max = 2
    assert await alone.redeem(campaign, "late") == BUSY
    alone.gate._mailbox_max = 3
    # What the gate has just said is not asked again, for a while.
    assert await alone.redeem(campaign, "later") == BUSY
    await asyncio.sleep(BUSY_S)
    assert await alone.redeem(campaign, "much later", wait_s=0.1) != BUSY
    await owner.turn()
    assert all(isinstance(answer, Granted | Replayed) for answer in await asyncio.gather(*waiting))


async def test_what_breaks_in_one_look_up_breaks_those_requests_and_no_others(
    stores: Stores, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = await launch(stores.pool, 5)
    assert granted(await door.redeem(campaign, "a"))

    async def broken(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(room, "standings", broken)
        with pytest.raises(ZeroDivisionError):
            await door.redeem(campaign, "a")
        assert granted(await door.redeem(campaign, "b"))
    assert replayed(await door.redeem(campaign, "a"))
    assert door.desk.waiting == 0


async def test_what_breaks_at_the_gate_breaks_that_batch_and_the_next_is_served(stores: Stores, door: Door) -> None:
    campaign = await launch(stores.pool, 5)
    real = door.gate.admit

    async def broken(
        partition: PartitionNo, incarnation: Incarnation, campaigns: Sequence[CampaignAsk], claims: Sequence[ClaimAsk]
    ) -> Admission | Moved:
        raise ZeroDivisionError

    door.gate.admit = broken  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError):
        await door.redeem(campaign, "a")
    door.gate.admit = real  # type: ignore[method-assign]
    assert granted(await door.redeem(campaign, "a"))


async def test_an_answer_of_the_gate_that_was_lost_costs_no_second_slot(stores: Stores, door: Door) -> None:
    campaign = await launch(stores.pool, 5)
    assert granted(await door.redeem(campaign, "warm"))
    real, lost = door.gate.admit, iter([True])

    async def loses_its_first_answer(
        partition: PartitionNo, incarnation: Incarnation, campaigns: Sequence[CampaignAsk], claims: Sequence[ClaimAsk]
    ) -> Admission | Moved:
        answer = await real(partition, incarnation, campaigns, claims)
        if next(lost, False):
            raise RedisUnavailable
        return answer

    door.gate.admit = loses_its_first_answer  # type: ignore[method-assign]
    assert isinstance(await door.redeem(campaign, "a"), Granted | Replayed)
    assert await stores.pool.fetchval("SELECT claimed FROM campaign_slices") == 2


async def test_a_spoilt_gate_fails_nobody_and_its_neighbours_least(stores: Stores, door: Door) -> None:
    spoilt, sound = [await launch(stores.pool, 50, partition=5) for _ in range(2)]
    for campaign in (spoilt, sound):
        assert granted(await door.redeem(campaign, "first", key=str(campaign.code)))
    living = await stores.gate.living(home(spoilt))
    assert living is not None
    redis: Any = stores.redis
    await redis.hset(keys.gate(home(spoilt), living, spoilt.campaign_id), "closed", "garbage")
    answers = await asyncio.gather(*(door.redeem(campaign, "next", key=str(campaign.code)) for campaign in (spoilt, sound)))
    assert all(isinstance(answer, Granted) for answer in answers), answers


async def test_a_survey_says_why_a_campaign_gives_nothing(stores: Stores, door: Door) -> None:
    campaign = await launch(stores.pool, 1)
    assert await door.desk.survey(home(campaign), [campaign]) == [None]
    assert granted(await door.redeem(campaign, "a"))

    async def surveyed() -> bool:
        return await door.desk.survey(home(campaign), [campaign]) == [Lack(Refusal.EXHAUSTED)]

    await until(surveyed)


async def seeded(stores: Stores, campaign: Campaign) -> Owner:
    """The owner of a campaign's partition, and its gate warm."""
    owner = await Owner.of(stores.pool, stores.redis, home(campaign))
    await owner.settler.seed([campaign.campaign_id], owner.cursor)
    return owner


async def switch(stores: Stores, owner: Owner, campaign: Campaign, status: CampaignStatus) -> None:
    """Pause or resume a campaign, as an administrator's door does."""
    made = await campaigns.set_status(stores.pool, campaign.campaign_id, status, UserId("admin"))
    assert isinstance(made, campaigns.Committed)
    await stores.gate.settle(home(campaign), owner.life.incarnation, [made.settlements[0][1]])


def pending(stores: Stores, campaign: Campaign, user: str) -> Callable[[], Awaitable[bool]]:
    """Whether the user's claim is in the mailbox."""

    async def in_the_mailbox() -> bool:
        return bool(await stores.gate.pending(home(campaign), [claim_id(UserId(user), "k")]))

    return in_the_mailbox


def asked_of(door: Door, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many claims the door asks for with each call of its gates, from now on."""
    sizes: list[int] = []
    real = door.gate.admit

    async def noted(
        partition: PartitionNo, incarnation: Incarnation, campaigns: Sequence[CampaignAsk], claims: Sequence[ClaimAsk]
    ) -> Admission | Moved:
        sizes.append(len(claims))
        return await real(partition, incarnation, campaigns, claims)

    monkeypatch.setattr(door.gate, "admit", noted)
    return sizes


@asynccontextmanager
async def frozen_redis(directory: Path) -> AsyncIterator[Redis]:
    """A Redis that takes connections and answers nothing."""
    with running(embedded_redis(directory)) as server:
        async with open_redis(server.url) as redis:
            os.kill(server.pid, signal.SIGSTOP)
            try:
                yield redis
            finally:
                os.kill(server.pid, signal.SIGCONT)


async def admitted(stores: Stores, owner: Owner, number: int) -> None:
    """Let the gate be seeded, and wait until `number` claims are in the mailbox."""

    async def in_the_mailbox() -> bool:
        post = await owner.mailbox.read(owner.cursor, "0-0", 512, 1)
        await owner.settler.seed(post.cold, owner.cursor)
        return len(post.entries) >= number

    await until(in_the_mailbox)


async def until_turned(owner: Owner, asking: asyncio.Task[Answer]) -> None:
    """Let the owner seed gates, and commit nothing, until the request is answered."""

    async def answered() -> bool:
        post = await owner.mailbox.read(owner.cursor, "0-0", 512, 1)
        await owner.settler.seed(post.cold, owner.cursor)
        return asking.done()

    await until(answered)


async def until_done(task: asyncio.Task[Any]) -> None:
    await asyncio.wait([task])

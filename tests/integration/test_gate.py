"""The gate's two scripts on a real Redis."""

from collections.abc import AsyncIterator
from itertools import count
from typing import Any
from uuid import UUID

import pytest

from shared import keys
from shared.domain.ids import CampaignId, ClaimId, Incarnation, PartitionNo, UserId, claim_id, user_mark
from shared.domain.outcomes import Refusal
from shared.domain.settlement import Settlement
from shared.gate import Admission, CampaignAsk, CampaignReply, ClaimAsk, Gate, Mode, Moved, Settled, Term, Verdict
from shared.redis_client import Redis, open_redis

CAMPAIGN = CampaignId(UUID(int=7))
PARTITION = PartitionNo(3)
EPOCH = 5


class Bench:
    """A gate with one campaign, and the few calls that the tests make of it."""

    def __init__(self, redis: Redis, run: str) -> None:
        self.redis: Any = redis  # its stubs cannot tell its calls' two flavours apart
        self.gate = Gate(redis, mailbox_max=5)
        self.life = Incarnation(f"{run}-1")
        self._seedings = count(1)
        self.vouches = True

    async def seed(self, free: int | None, limit: int = 1, seq: int = 1, **users: int) -> None:
        seeding = f"seeding {next(self._seedings)}"
        await self._set(Settlement(CAMPAIGN, seq, free, limit, None, _named(users)), mode="wipe", seeding=seeding)
        await self._set(Settlement(CAMPAIGN, seq, free, limit, None, {}), mode="seed", seeding=seeding)
        await self.redis.hdel(self.gate_key, "held_until")

    async def settle(
        self,
        free: int | None,
        *,
        seq: int,
        closed: Refusal | None = None,
        cursor: str | None = None,
        users: dict[str, int] | None = None,
        dry: bool = False,
    ) -> int | None:
        return await self._set(Settlement(CAMPAIGN, seq, free, 1, closed, _named(users or {}), dry), cursor)

    async def _set(
        self, settlement: Settlement, cursor: str | None = None, *, mode: Mode = "move", seeding: str = ""
    ) -> int | None:
        term = Term(EPOCH, cursor)
        settled = await self.gate.settle(PARTITION, self.life, [settlement], term, mode=mode, seeding=seeding)
        assert isinstance(settled, Settled)
        return settled.sequences[0]

    async def ask(self, *users: str, key: str = "k", closed: str = "", checked: bool = False) -> list[Verdict]:
        return (await self.asked(*users, key=key, closed=closed, checked=checked))[0]

    async def asked(
        self,
        *users: str,
        key: str = "k",
        closed: str = "",
        checked: bool = False,
        edition: bytes = b"",
        known: int = 0,
        own_code: bool = False,
    ) -> tuple[list[Verdict], CampaignReply]:
        if self.vouches:
            await self.vouch(1_000)
        claims = [ClaimAsk(0, claim(user, key), UserId(user), checked, b"entry", own_code=own_code) for user in users]
        answer = await self.gate.admit(PARTITION, self.life, [CampaignAsk(CAMPAIGN, closed, edition, known)], claims)
        assert isinstance(answer, Admission)
        return [Verdict(verdict) for verdict in answer.verdicts], answer.campaigns[0]

    async def vouch(self, for_ms: int, epoch: int = EPOCH) -> int | Moved:
        return await self.gate.vouch(PARTITION, self.life, epoch, await self.now_ms() + for_ms)

    async def given_out_after_the_hold(self) -> None:
        """See that the slot goes to b, and not before the certificate that was given has run out."""
        verdicts, reply = await self.asked("b")
        assert (verdicts, reply.certified) == ([Verdict.WAIT], False)
        held_until = int(await self.redis.hget(self.gate_key, "held_until"))
        assert 0 < held_until - await self.now_ms() <= 500
        while verdicts == [Verdict.WAIT]:
            verdicts = await self.ask("b")
        assert verdicts == [Verdict.ADMITTED]
        assert await self.now_ms() >= held_until

    async def now_ms(self) -> int:
        seconds, microseconds = await self.redis.time()
        return int(seconds * 1000 + microseconds // 1000)

    async def last_entry(self) -> str:
        [(entry_id, _)] = await self.redis.xrevrange(keys.mailbox(PARTITION, self.life), count=1)
        return str(entry_id.decode())

    @property
    def gate_key(self) -> str:
        return keys.gate(PARTITION, self.life, CAMPAIGN)


def _named(users: dict[str, int]) -> dict[UserId, int]:
    return {UserId(user): active for user, active in users.items()}


def claim(user: str, key: str = "k") -> ClaimId:
    return claim_id(UserId(user), key)


@pytest.fixture
async def bench(redis_url: str) -> AsyncIterator[Bench]:
    redis = open_redis(redis_url)
    bench = Bench(redis, await Gate(redis, 5).run_id())
    assert await bench.gate.point(PARTITION, b"", bench.life, EPOCH)
    yield bench
    await redis.aclose()


async def test_slots_are_reserved_until_none_is_left(bench: Bench) -> None:
    await bench.seed(free=2)
    assert await bench.ask("a", "b", "c") == [Verdict.ADMITTED, Verdict.ADMITTED, Verdict.EXHAUSTED]


async def test_the_same_claim_is_pending_and_takes_no_second_reservation(bench: Bench) -> None:
    await bench.seed(free=2)
    assert await bench.ask("a", "a") == [Verdict.ADMITTED, Verdict.PENDING]
    assert await bench.ask("b") == [Verdict.ADMITTED]


async def test_another_claim_of_a_user_waits_for_the_pending_one(bench: Bench) -> None:
    await bench.seed(free=5)
    assert await bench.ask("a") == [Verdict.ADMITTED]
    assert await bench.ask("a", key="other") == [Verdict.WAIT]


async def test_a_user_below_the_limit_may_have_several_pending(bench: Bench) -> None:
    await bench.seed(free=5, limit=2)
    assert await bench.ask("a", key="1") == [Verdict.ADMITTED]
    assert await bench.ask("a", key="2") == [Verdict.ADMITTED]
    assert await bench.ask("a", key="3") == [Verdict.WAIT]


async def test_who_holds_something_is_looked_up_and_never_refused_by_the_gate(bench: Bench) -> None:
    await bench.seed(free=0, limit=2, a=2, b=1, released=0)
    assert await bench.ask("a", "b", "released", "c") == [
        Verdict.LOOK_ALREADY,
        Verdict.LOOK_EXHAUSTED,
        Verdict.LOOK_EXHAUSTED,
        Verdict.EXHAUSTED,
    ]
    assert await bench.ask("a", "c", closed="expired") == [Verdict.LOOK_CLOSED, Verdict.CLOSED]


async def test_a_claim_may_be_closed_out_alone_and_whoever_holds_something_is_looked_up(bench: Bench) -> None:
    await bench.seed(5, a=1)
    asks = [
        ClaimAsk(0, claim(user), UserId(user), False, b"entry", closed)
        for user, closed in (("a", "audience_mismatch"), ("b", "audience_mismatch"), ("c", ""))
    ]
    await bench.vouch(1_000)
    answer = await bench.gate.admit(PARTITION, bench.life, [CampaignAsk(CAMPAIGN, "", b"", 0)], asks)
    assert isinstance(answer, Admission)
    assert answer.verdicts == [Verdict.LOOK_CLOSED, Verdict.CLOSED, Verdict.ADMITTED]
    assert (answer.campaigns[0].closed, answer.campaigns[0].certified) == ("", False)


async def test_a_checked_claim_passes_over_what_the_gate_knows_of_the_user(bench: Bench) -> None:
    await bench.seed(free=1, a=99)
    assert await bench.ask("a") == [Verdict.LOOK_ALREADY]
    assert await bench.ask("a", checked=True) == [Verdict.ADMITTED]


async def test_a_campaign_that_was_never_seeded_is_cold_and_rings_the_bell(bench: Bench) -> None:
    assert await bench.ask("a") == [Verdict.COLD]
    [(_, ring)] = await bench.redis.xrange(keys.bell(PARTITION, bench.life))
    assert ring == {b"c": CAMPAIGN.hex.encode()}


async def test_a_full_mailbox_refuses_and_drops_nothing(bench: Bench) -> None:
    await bench.seed(free=100)
    verdicts = await bench.ask(*"abcdefg")
    assert verdicts == [Verdict.ADMITTED] * 5 + [Verdict.BUSY] * 2
    assert await bench.redis.xlen(keys.mailbox(PARTITION, bench.life)) == 5


async def test_another_incarnation_is_named_and_nothing_is_done(bench: Bench) -> None:
    other = Incarnation(f"{bench.life}2")
    assert await bench.gate.point(PARTITION, bench.life.encode(), other, EPOCH)
    answer = await bench.gate.admit(
        PARTITION, bench.life, [CampaignAsk(CAMPAIGN, "", b"", 0)], [ClaimAsk(0, claim("a"), UserId("a"), False, b"")]
    )
    assert answer == Moved(other)
    assert not await bench.redis.exists(keys.mailbox(PARTITION, bench.life), keys.bell(PARTITION, bench.life))


@pytest.mark.parametrize("kind", ["mailbox", "reservations", "reserved", "bell", "active"])
async def test_a_partition_key_of_the_wrong_type_is_a_lost_life(bench: Bench, kind: str) -> None:
    await bench.seed(free=1)
    await bench.redis.delete(getattr(keys, kind)(PARTITION, bench.life))
    await bench.redis.set(getattr(keys, kind)(PARTITION, bench.life), "garbage")
    answer = await bench.gate.admit(PARTITION, bench.life, [CampaignAsk(CAMPAIGN, "", b"", 0)], [])
    assert answer == Moved(None)


@pytest.mark.parametrize("kind", ["gate", "users", "marks"])
async def test_a_campaign_key_of_the_wrong_type_makes_only_that_campaign_cold(bench: Bench, kind: str) -> None:
    await bench.seed(free=1, a=1)
    name = getattr(keys, kind)(PARTITION, bench.life, CAMPAIGN)
    await bench.redis.delete(name)
    await bench.redis.lpush(name, "garbage")
    assert await bench.ask("b") == [Verdict.COLD]
    assert await bench.settle(1, seq=2) is None
    await bench.seed(free=1, seq=2, a=1)
    assert await bench.ask("b") == [Verdict.ADMITTED]


@pytest.mark.parametrize("field", ["free", "limit", "members", "seq", "edition", "dry"])
async def test_a_spoilt_or_missing_field_makes_the_campaign_cold(bench: Bench, field: str) -> None:
    await bench.seed(free=1, a=1)
    await bench.redis.hset(bench.gate_key, field, "garbage")
    if field in ("edition", "dry"):
        await bench.redis.hdel(bench.gate_key, field)
    assert await bench.ask("b") == [Verdict.COLD]


async def test_users_that_vanished_make_the_campaign_cold_rather_than_certified(bench: Bench) -> None:
    await bench.seed(free=0, winner=1)
    await bench.redis.delete(keys.users(PARTITION, bench.life, CAMPAIGN), keys.marks(PARTITION, bench.life, CAMPAIGN))
    verdicts, reply = await bench.asked("winner")
    assert (verdicts, reply.certified) == ([Verdict.COLD], False)
    assert await bench.settle(0, seq=2) is None


async def test_settling_drops_the_reservations_up_to_the_cursor_and_no_others(bench: Bench) -> None:
    await bench.seed(free=3)
    await bench.ask("a", "b")
    cursor = await bench.last_entry()
    await bench.ask("c")
    assert await bench.settle(1, seq=3, cursor=cursor, users={"a": 1, "b": 1}) == 3
    assert await bench.gate.pending(PARTITION, [claim("a"), claim("c")]) == {claim("c"): UserId("c")}
    assert await bench.redis.xlen(keys.mailbox(PARTITION, bench.life)) == 1
    assert await bench.ask("d") == [Verdict.EXHAUSTED]


async def test_settling_again_or_late_changes_nothing(bench: Bench) -> None:
    await bench.seed(free=3)
    await bench.ask("a")
    cursor = await bench.last_entry()
    assert await bench.settle(2, seq=5, cursor=cursor, users={"a": 1}) == 5
    assert await bench.settle(2, seq=5, cursor=cursor, users={"a": 1}) == 5
    assert await bench.settle(3, seq=4, users={"a": 0}) == 5
    assert await bench.redis.hget(bench.gate_key, "free") == b"2"
    assert await bench.redis.hget(keys.users(PARTITION, bench.life, CAMPAIGN), "a") == b"1:5"


async def test_a_late_settlement_still_adds_the_users_it_knows(bench: Bench) -> None:
    await bench.seed(free=3)
    await bench.settle(1, seq=9)
    await bench.settle(2, seq=8, users={"winner": 1})
    assert await bench.ask("winner") == [Verdict.LOOK_ALREADY]


async def test_a_lost_settlement_leaks_no_reservation(bench: Bench) -> None:
    await bench.seed(free=2)
    await bench.ask("a")
    await bench.ask("b")
    assert await bench.settle(1, seq=3, cursor=await bench.last_entry()) == 3
    assert await bench.ask("c") == [Verdict.ADMITTED]


async def test_spoilt_counts_of_reservations_are_right_again_once_the_mailbox_is_empty(bench: Bench) -> None:
    await bench.seed(free=1)
    await bench.redis.hset(keys.reserved(PARTITION, bench.life), CAMPAIGN.hex, "1000")
    assert await bench.ask("a") == [Verdict.EXHAUSTED]
    await bench.settle(1, seq=1, cursor="0-0")
    assert await bench.ask("a") == [Verdict.ADMITTED]


async def test_a_number_of_claims_that_cannot_be_read_is_taken_for_some_that_wait(bench: Bench) -> None:
    assert await bench.gate.waiting(PARTITION, CAMPAIGN) == 0
    await bench.redis.hset(keys.reserved(PARTITION, bench.life), CAMPAIGN.hex, "-3.5")
    assert await bench.gate.waiting(PARTITION, CAMPAIGN) == 1


async def test_a_certificate_needs_that_nothing_is_free_and_nothing_pending(bench: Bench) -> None:
    await bench.seed(free=1)
    verdicts, reply = await bench.asked("a", "b")
    assert (verdicts, reply.certified) == ([Verdict.ADMITTED, Verdict.EXHAUSTED], False)
    await bench.settle(0, seq=2, cursor=await bench.last_entry(), users={"a": 1})
    verdicts, reply = await bench.asked("b")
    assert (verdicts, reply.certified) == ([Verdict.EXHAUSTED], True)


@pytest.mark.parametrize("closed", [None, Refusal.CAMPAIGN_PAUSED])
async def test_who_is_pending_forbids_a_certificate_also_of_a_gate_that_has_nothing_to_give(
    bench: Bench, closed: Refusal | None
) -> None:
    """The pending claim may have won before that, and is not among the users yet."""
    await bench.seed(free=1)
    await bench.ask("a")
    await bench.settle(0, seq=2, closed=closed)
    _, reply = await bench.asked("b")
    assert not reply.certified


async def test_a_pending_claim_is_pending_also_when_the_campaign_has_been_closed_meanwhile(bench: Bench) -> None:
    await bench.seed(free=2)
    await bench.ask("a")
    await bench.settle(2, seq=2, closed=Refusal.CAMPAIGN_PAUSED)
    assert await bench.ask("a", "b") == [Verdict.PENDING, Verdict.CLOSED]


async def test_a_certificate_carries_everybody_who_holds_or_held_something(bench: Bench) -> None:
    await bench.seed(free=0, limit=1, winner=1, released=0)
    _, reply = await bench.asked("b")
    marks = {user_mark(UserId(user)).to_bytes(4, "little") for user in ("winner", "released")}
    assert {reply.marks[:4], reply.marks[4:]} == marks
    await bench.settle(0, seq=2, users={"late": 1})
    _, more = await bench.asked("b", edition=reply.edition, known=len(reply.marks))
    assert more.marks == user_mark(UserId("late")).to_bytes(4, "little")
    assert more.marks_total == 12


async def test_a_gate_seeded_anew_sends_its_marks_from_the_beginning(bench: Bench) -> None:
    await bench.seed(free=0, a=1, b=1)
    _, reply = await bench.asked("x")
    await bench.seed(free=0, seq=2, b=1, c=1)
    _, again = await bench.asked("x", edition=reply.edition, known=len(reply.marks))
    assert again.edition != reply.edition
    assert len(again.marks) == again.marks_total == 8


async def test_a_freed_slot_is_given_out_only_when_the_last_certificate_has_run_out(bench: Bench) -> None:
    await bench.seed(free=0, a=1)
    _, reply = await bench.asked("b")
    assert reply.certified
    await bench.settle(1, seq=2, users={"a": 0})
    await bench.given_out_after_the_hold()


async def test_a_dry_gate_gives_nothing_by_its_own_code_and_what_is_free_by_others(bench: Bench) -> None:
    await bench.seed(free=1)
    await bench.settle(1, seq=2, users={"held": 0}, dry=True)
    verdicts, reply = await bench.asked("a", "held", own_code=True)
    assert verdicts == [Verdict.EXHAUSTED, Verdict.LOOK_EXHAUSTED]
    assert (reply.certified, reply.dry, reply.marks_total) == (False, True, 4)
    verdicts, reply = await bench.asked("a", "b")
    assert verdicts == [Verdict.ADMITTED, Verdict.EXHAUSTED]
    assert not reply.dry, "who is pending may win, and is not among the users yet"
    await bench.settle(0, seq=3, cursor=await bench.last_entry(), users={"a": 1}, dry=True)
    _, reply = await bench.asked("b", own_code=True)
    assert (reply.certified, reply.dry) == (True, False)


async def test_a_code_that_is_free_again_is_given_by_the_own_code_only_when_the_certificate_has_run_out(bench: Bench) -> None:
    await bench.seed(free=2)
    await bench.settle(2, seq=2, dry=True)
    await bench.asked("a", own_code=True)
    until = int(await bench.redis.hget(bench.gate_key, "dry_until"))
    assert 0 < until - await bench.now_ms() <= 500
    await bench.settle(2, seq=3)
    verdicts, _ = await bench.asked("a", own_code=True)
    assert verdicts == [Verdict.WAIT]
    assert await bench.ask("b") == [Verdict.ADMITTED]
    while verdicts == [Verdict.WAIT]:
        verdicts, _ = await bench.asked("a", own_code=True)
    assert verdicts == [Verdict.ADMITTED]
    assert await bench.now_ms() >= until


async def test_a_paused_campaign_is_certified_with_its_reason_and_gives_nothing_before_that_has_run_out(bench: Bench) -> None:
    await bench.seed(free=5)
    await bench.settle(5, seq=2, closed=Refusal.CAMPAIGN_PAUSED)
    verdicts, reply = await bench.asked("b")
    assert (verdicts, reply.certified, reply.closed) == ([Verdict.CLOSED], True, "campaign_paused")
    await bench.settle(5, seq=3)
    await bench.given_out_after_the_hold()


async def test_what_only_the_caller_thinks_to_be_closed_is_not_certified(bench: Bench) -> None:
    await bench.seed(free=5)
    verdicts, reply = await bench.asked("b", closed="expired")
    assert (verdicts, reply.certified) == ([Verdict.CLOSED], False)
    assert await bench.ask("b") == [Verdict.ADMITTED]


@pytest.mark.parametrize("free", ["0", "50", "-3", "nan", "inf", "1e400"])
async def test_a_spoilt_number_of_free_slots_lasts_until_the_next_settlement(bench: Bench, free: str) -> None:
    await bench.seed(free=1)
    await bench.redis.hset(bench.gate_key, "free", free)
    await bench.ask("a")
    await bench.settle(1, seq=1, cursor="9999999999999-0")
    # The wrong value may have been certified; the slot is held back for as long as such a certificate lasts.
    verdicts = await bench.ask("b", "c")
    while set(verdicts) <= {Verdict.WAIT, Verdict.EXHAUSTED}:
        verdicts = await bench.ask("b", "c")
    assert verdicts == [Verdict.ADMITTED, Verdict.EXHAUSTED]


@pytest.mark.parametrize(("field", "own_code"), [("held_until", False), ("dry_until", True)])
async def test_a_hold_beyond_any_certificate_lasts_as_long_as_one(bench: Bench, field: str, own_code: bool) -> None:
    """The clock of Redis was set back: what it had certified may still be good."""
    await bench.seed(free=1)
    await bench.redis.hset(bench.gate_key, field, "99999999999999")
    verdicts, _ = await bench.asked("a", own_code=own_code)
    until_ms = int(await bench.redis.hget(bench.gate_key, field))
    assert 0 < until_ms - await bench.now_ms() <= 500
    while verdicts == [Verdict.WAIT]:
        verdicts, _ = await bench.asked("a", own_code=own_code)
    assert verdicts == [Verdict.ADMITTED]
    assert await bench.now_ms() >= until_ms


async def test_what_is_left_of_other_lives_is_forgotten(bench: Bench) -> None:
    await bench.seed(free=1, a=1)
    other = Incarnation(f"{bench.life}2")
    assert await bench.gate.point(PARTITION, bench.life.encode(), other, EPOCH)
    await bench.gate.forget_others(PARTITION, other)
    left = {keys.incarnation_pointer(PARTITION).encode(), keys.term(PARTITION, other).encode()}
    assert set(await bench.redis.keys("*")) == left


async def test_who_is_no_longer_pointed_to_points_and_forgets_nothing(bench: Bench) -> None:
    heir = Incarnation(f"{bench.life}2")
    assert await bench.gate.point(PARTITION, bench.life.encode(), heir, EPOCH + 1)
    before = set(await bench.redis.keys("*"))
    assert not await bench.gate.point(PARTITION, bench.life.encode(), Incarnation(f"{bench.life}3"), EPOCH)
    await bench.gate.forget_others(PARTITION, bench.life)
    assert await bench.gate.living(PARTITION) == heir
    assert set(await bench.redis.keys("*")) == before


async def test_an_owner_with_an_heir_sets_nothing(bench: Bench) -> None:
    await bench.seed(free=1)
    assert await bench.gate.settle(PARTITION, bench.life, [], Term(EPOCH + 1, None)) == Settled([])
    late = Settlement(CAMPAIGN, 9, 5, 1, None, {})
    for mode in ("move", "wipe", "more", "seed"):
        assert await bench.gate.settle(PARTITION, bench.life, [late], Term(EPOCH, "9-0"), mode=mode) == Moved(None)
    assert await bench.redis.hget(bench.gate_key, "free") == b"1"


@pytest.mark.parametrize("mode", ["more", "seed"])
async def test_a_call_of_another_seeding_does_nothing(bench: Bench, mode: Mode) -> None:
    users = _named({"late": 1})
    await bench._set(Settlement(CAMPAIGN, 2, 1, 1, None, {}), mode="wipe", seeding="this one")
    assert await bench._set(Settlement(CAMPAIGN, 1, 1, 1, None, users), mode=mode, seeding="another") is None
    assert not await bench.redis.exists(keys.users(PARTITION, bench.life, CAMPAIGN))
    assert await bench._set(Settlement(CAMPAIGN, 2, 1, 1, None, {}), mode="seed", seeding="this one") == 2


async def test_a_life_of_an_earlier_run_of_redis_is_over(bench: Bench) -> None:
    past = Incarnation("deadbeef-1")
    assert await bench.gate.point(PARTITION, bench.life.encode(), past, EPOCH)
    assert await bench.gate.admit(PARTITION, past, [], []) == Moved(None)
    assert await bench.gate.settle(PARTITION, past, [], Term(EPOCH, None)) == Moved(None)


async def test_a_gate_that_is_warm_again_gives_nothing_while_a_certificate_may_be_good(bench: Bench) -> None:
    settlement = Settlement(CAMPAIGN, 1, 1, 1, None, {})
    await bench.seed(free=1)
    for mode in ("wipe", "seed"):
        await bench._set(settlement, mode=mode, seeding="again")
    began = await bench.now_ms()
    while (verdicts := await bench.ask("a")) == [Verdict.WAIT]:
        pass
    assert verdicts == [Verdict.ADMITTED]
    assert await bench.now_ms() - began > 400


async def test_unlimited_campaigns_are_never_exhausted(bench: Bench) -> None:
    await bench.seed(free=None)
    verdicts, reply = await bench.asked("a", "b", "c")
    assert (verdicts, reply.certified) == ([Verdict.ADMITTED] * 3, False)


async def refused_by_itself(bench: Bench) -> bool:
    """Whether the gate's word is the last one for whoever it knows nothing of."""
    asks = [ClaimAsk(0, claim("stranger"), UserId("stranger"), False, b"entry", closed) for closed in ("", "not_first_order")]
    answer = await bench.gate.admit(PARTITION, bench.life, [CampaignAsk(CAMPAIGN, "", b"", 0)], asks)
    assert isinstance(answer, Admission)
    [reply] = answer.campaigns
    itself, looked_up = [Verdict.EXHAUSTED, Verdict.CLOSED], [Verdict.LOOK_EXHAUSTED, Verdict.LOOK_CLOSED]
    assert answer.verdicts == (itself if reply.certified else looked_up)
    return reply.certified


async def test_a_gate_for_which_nobody_vouches_certifies_nothing_and_has_its_refusals_looked_up(bench: Bench) -> None:
    bench.vouches = False
    await bench.seed(free=0)
    assert not await refused_by_itself(bench)
    await bench.vouch(300)
    assert await refused_by_itself(bench)
    while await refused_by_itself(bench):
        pass
    await bench.vouch(-1)
    assert not await refused_by_itself(bench)


async def test_a_word_that_is_good_for_longer_than_any_is_none(bench: Bench) -> None:
    """The clock of Redis was set back."""
    bench.vouches = False
    await bench.seed(free=0)
    await bench.vouch(3_600_000)
    assert not await refused_by_itself(bench)


async def test_an_owner_that_has_an_heir_vouches_for_nothing(bench: Bench) -> None:
    bench.vouches = False
    await bench.seed(free=0)
    await bench.vouch(-1, epoch=EPOCH + 1)
    assert await bench.vouch(1_000) == Moved(None)
    assert not await refused_by_itself(bench)


async def test_nobody_vouches_for_a_life_that_is_over(bench: Bench) -> None:
    await bench.seed(free=0)
    await bench.redis.set(keys.incarnation_pointer(PARTITION), "another")
    assert await bench.vouch(1_000) == Moved(Incarnation("another"))

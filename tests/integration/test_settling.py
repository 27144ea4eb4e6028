"""Whatever a gate's values are, the owner sets them right from Postgres, and what was lost on the way is found again."""

from typing import Any

import pytest

from claim_workers.settling import Settler
from shared import keys, lifecycle
from shared.domain.campaign import Campaign
from shared.domain.ids import PartitionNo
from shared.domain.operations import SubmitClaim
from shared.domain.outcomes import Refusal
from shared.domain.redemption import Step
from shared.errors import IncarnationOver
from shared.gate import Mode, Verdict
from shared.postgres import Pool
from shared.redis_client import Redis
from tests.garbage import GARBAGE, Target, gate_field, gone
from tests.integration.engine import Owner, claim_of, launch

PARTITION = PartitionNo(3)


class Bench:
    """An owner, and a campaign of its partition."""

    campaign: Campaign

    def __init__(self, pool: Pool, redis: Redis, owner: Owner) -> None:
        self.pool, self.owner = pool, owner
        self.redis: Any = redis  # its stubs cannot tell its calls' two flavours apart

    async def ask(self, *users: str) -> list[Verdict]:
        """What the gate says to these users."""
        return (await self.owner.ask(*((self.campaign, self.claim(user)) for user in users)))[0]

    async def ask_until_warm(self, *users: str) -> list[Verdict]:
        """What the gate says once the owner has heard the bell."""
        verdicts = await self.ask(*users)
        while {Verdict.COLD, Verdict.WAIT} & set(verdicts):
            await self.owner.turn()
            verdicts = await self.ask(*users)
        return verdicts

    async def open(self, limit: int) -> None:
        """Go on with a fresh campaign."""
        self.campaign = await launch(self.pool, limit, partition=PARTITION, release_on_failure=True)

    async def take(self, *users: str) -> None:
        """Let these users win."""
        assert await self.ask_until_warm(*users) == [Verdict.ADMITTED] * len(users)
        await self.owner.turn()

    async def sell_out(self, slots: int) -> None:
        """Have so many users hold all there is, of whom the gate was never told."""
        await self.pool.execute(
            f"UPDATE campaigns SET total_limit = {slots}; UPDATE campaign_slices SET budget = {slots}, claimed = {slots}"
        )
        await self.pool.execute(
            "INSERT INTO redemptions SELECT gen_random_uuid(), campaign_id, 0, 1, code, 'user ' || n, 1, 1, 'o', '{}', 'k', "
            "'', 'claimed', now() FROM campaigns, generate_series(1, $1) AS n",
            slots,
        )

    async def release(self, user: str) -> None:
        """Give a slot back, without telling the gate."""
        stepped = await lifecycle.take(self.pool, self.claim(user).claim_id, Step.RELEASE_FOR_FAILURE)
        assert isinstance(stepped, lifecycle.Stepped)

    async def claimed(self) -> int:
        """The slots that are taken, as Postgres counts them."""
        count: int = await self.pool.fetchval(
            "SELECT claimed FROM campaign_slices WHERE campaign_id = $1", self.campaign.campaign_id
        )
        return count

    def claim(self, user: str) -> SubmitClaim:
        return claim_of(self.campaign, user, key=str(self.campaign.code))

    @property
    def target(self) -> Target:
        """What Redis has of the campaign, to be spoilt."""
        claim = self.claim("x").claim_id
        return Target(self.redis, PARTITION, self.owner.life.incarnation, self.campaign.campaign_id, claim)


@pytest.fixture
async def bench(pool: Pool, redis: Redis) -> Bench:
    bench = Bench(pool, redis, await Owner.of(pool, redis, PARTITION))
    await bench.open(limit=3)
    return bench


async def test_garbage_in_a_gate_is_gone_within_two_ticks(bench: Bench) -> None:
    for name, garbage in GARBAGE.items():
        await bench.open(limit=3)
        await bench.take("a")
        await garbage(bench.target)
        for _ in range(2):
            await bench.owner.settler.tick(bench.owner.cursor)
        asked = await bench.ask_until_warm("x", "y", "z")
        assert asked == [Verdict.ADMITTED, Verdict.ADMITTED, Verdict.EXHAUSTED], name
        await bench.owner.turn()
        assert await bench.claimed() == 3, name
        assert await bench.ask("stranger") == [Verdict.EXHAUSTED], name
        assert set(await bench.ask("a", "x", "y")) <= {Verdict.LOOK_ALREADY, Verdict.LOOK_EXHAUSTED}, name


async def test_garbage_that_is_asked_before_it_is_put_right_over_issues_nothing(bench: Bench) -> None:
    for name, garbage in GARBAGE.items():
        await bench.open(limit=3)
        await bench.take("a")
        await garbage(bench.target)
        _, [reply] = await bench.owner.ask(*((bench.campaign, bench.claim(user)) for user in "uvwxyz"))
        assert reply.closed in ("", *Refusal), name
        await bench.owner.turn()
        assert await bench.claimed() <= 3, name
        assert not {Verdict.EXHAUSTED, Verdict.CLOSED} & set(await bench.ask("a")), name


async def test_a_gate_that_is_cold_and_says_more_than_it_can_know_is_made_anew_by_the_next_owner(bench: Bench) -> None:
    await bench.take("a")
    await bench.owner.settler.tick(bench.owner.cursor)
    for spoil in (gate_field("closed", None), gate_field("seq", "999999")):
        await spoil(bench.target)
    bench.owner.settler = Settler(bench.pool, bench.owner.gate, bench.owner.life)
    assert await bench.ask("b") == [Verdict.COLD]
    await bench.owner.turn()
    await bench.owner.settler.tick(bench.owner.cursor)
    assert await bench.ask("b") == [Verdict.COLD]
    await bench.owner.turn()
    assert await bench.ask("b") != [Verdict.COLD]


async def test_a_gate_is_seeded_while_requests_wait(bench: Bench) -> None:
    assert await bench.ask("a", "b") == [Verdict.COLD] * 2
    await bench.owner.turn()
    assert await bench.ask("a", "b", "c", "d") == [Verdict.ADMITTED] * 3 + [Verdict.EXHAUSTED]


async def test_a_gate_is_seeded_with_everybody_who_ever_held_something(bench: Bench) -> None:
    await bench.sell_out(4500)
    assert await bench.ask_until_warm("user 1", "user 4500", "x") == [Verdict.LOOK_ALREADY] * 2 + [Verdict.EXHAUSTED]
    assert await bench.redis.hget(bench.target.gate, "members") == b"4500"
    assert await bench.redis.strlen(bench.target.marks) == 4 * 4_500


async def test_a_life_that_ends_while_a_gate_is_seeded_is_over(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    await bench.sell_out(4500)
    settle, modes = bench.owner.gate.settle, list[Mode]()

    async def settle_and_lose(*asked: Any, mode: Mode = "move", **how: Any) -> Any:
        modes.append(mode)
        if modes.count("more") == 2:
            await bench.redis.flushall()
        return await settle(*asked, mode=mode, **how)

    monkeypatch.setattr(bench.owner.gate, "settle", settle_and_lose)
    with pytest.raises(IncarnationOver):
        await bench.owner.settler.seed([bench.campaign.campaign_id], bench.owner.cursor)
    assert modes[-1] == "more"


async def test_a_gate_is_cold_until_everybody_is_in_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    await bench.take("a")
    await gone("gate", "users", "marks")(bench.target)
    settle, said = bench.owner.gate.settle, list[Verdict]()

    async def settle_and_ask(*asked: Any, **how: Any) -> Any:
        settled = await settle(*asked, **how)
        said.extend(await bench.ask("a"))
        return settled

    monkeypatch.setattr(bench.owner.gate, "settle", settle_and_ask)
    await bench.owner.settler.seed([bench.campaign.campaign_id], bench.owner.cursor)
    *before, at_last = said
    assert len(before) >= 2
    assert (set(before), at_last) == ({Verdict.COLD}, Verdict.LOOK_ALREADY)


async def test_winners_lost_while_a_gate_is_seeded_are_seeded_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    await bench.take("a", "b", "c")
    await gone("gate", "users", "marks")(bench.target)
    settle = bench.owner.gate.settle

    async def settle_and_lose(*asked: Any, mode: Mode = "move", **how: Any) -> Any:
        if mode == "seed":
            await gone("users", "marks")(bench.target)
        return await settle(*asked, mode=mode, **how)

    with monkeypatch.context() as patched:
        patched.setattr(bench.owner.gate, "settle", settle_and_lose)
        await bench.owner.settler.seed([bench.campaign.campaign_id], bench.owner.cursor)
    assert await bench.ask_until_warm("a", "b", "c") == [Verdict.LOOK_ALREADY] * 3


async def test_a_gate_that_lost_its_winners_is_not_made_whole_by_as_many_others(bench: Bench) -> None:
    await bench.open(limit=2)
    await bench.take("a")
    assert await bench.ask("b") == [Verdict.ADMITTED]
    await gone("users", "marks")(bench.target)
    await bench.owner.turn()
    assert await bench.ask_until_warm("a", "b") == [Verdict.LOOK_ALREADY] * 2


@pytest.mark.parametrize("moment", ["wipe", "more", "seed"])
async def test_what_is_given_back_while_a_gate_is_seeded_is_free_in_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    await bench.take("a", "b", "c")
    await gone("gate", "users", "marks")(bench.target)
    settle, incarnation = bench.owner.gate.settle, bench.owner.life.incarnation

    async def settle_as_somebody_releases(*asked: Any, mode: Mode = "move", **how: Any) -> Any:
        """Before the owner's call, another is given back, and the gate is told so as a front door tells it."""
        if mode == moment:
            stepped = await lifecycle.take(bench.pool, bench.claim("a").claim_id, Step.RELEASE_FOR_FAILURE)
            assert isinstance(stepped, lifecycle.Stepped)
            assert stepped.settlement is not None
            await settle(PARTITION, incarnation, [stepped.settlement])
        return await settle(*asked, mode=mode, **how)

    monkeypatch.setattr(bench.owner.gate, "settle", settle_as_somebody_releases)
    await bench.owner.settler.seed([bench.campaign.campaign_id], bench.owner.cursor)
    assert await bench.redis.hget(bench.target.gate, "free") == b"1"
    assert (await bench.redis.hget(bench.target.users, "a") or b"").startswith(b"0:")
    assert await bench.ask_until_warm("b", "x", "y") == [Verdict.LOOK_ALREADY, Verdict.ADMITTED, Verdict.EXHAUSTED]


async def test_what_a_user_holds_or_awaits_of_one_campaign_says_nothing_of_another(bench: Bench) -> None:
    one = bench.campaign
    await bench.take("holds")
    await bench.open(limit=3)
    other = bench.campaign
    await bench.take("z")
    bench.campaign = one
    assert await bench.ask("awaits", "holds") == [Verdict.ADMITTED, Verdict.LOOK_ALREADY]
    bench.campaign = other
    assert await bench.ask("awaits", "holds") == [Verdict.ADMITTED] * 2


async def test_who_gave_everything_back_is_seeded_too(bench: Bench) -> None:
    await bench.take("a", "b", "c")
    await bench.release("a")
    await bench.pool.execute("UPDATE campaigns SET total_limit = 2; UPDATE campaign_slices SET budget = 2")
    await gone("gate", "users", "marks")(bench.target)
    assert await bench.ask_until_warm("a", "b", "x") == [Verdict.LOOK_EXHAUSTED, Verdict.LOOK_ALREADY, Verdict.EXHAUSTED]


async def test_a_slot_that_was_given_back_in_silence_is_found_by_the_next_tick(bench: Bench) -> None:
    await bench.take("a", "b", "c")
    # Nobody has asked for it for a minute.
    await bench.owner.settler.tick(bench.owner.cursor)
    bench.owner.settler._in_use.clear()
    await bench.release("a")
    await bench.owner.settler.tick(bench.owner.cursor)
    assert await bench.ask("x") == [Verdict.ADMITTED]


async def test_a_gate_that_is_warm_is_not_made_anew_by_a_bell(bench: Bench) -> None:
    await bench.take("a")
    edition = await bench.redis.hget(bench.target.gate, "edition")
    await bench.owner.settler.seed([bench.campaign.campaign_id] * 3, bench.owner.cursor)
    assert await bench.redis.hget(bench.target.gate, "edition") == edition


async def test_a_bell_for_a_campaign_of_another_partition_is_passed_over(bench: Bench) -> None:
    elsewhere = await launch(bench.pool, partition=PARTITION + 1)
    await bench.owner.settler.seed([elsewhere.campaign_id], bench.owner.cursor)
    assert not await bench.redis.keys("*gate*")


async def test_entries_whose_settlement_was_lost_are_trimmed_by_the_next(bench: Bench) -> None:
    await bench.take("a")
    await bench.ask("b")
    await bench.owner.commit()
    assert await bench.redis.xlen(bench.target.mailbox) == 1
    await bench.owner.settler.settle([], bench.owner.cursor)
    assert await bench.redis.xlen(bench.target.mailbox) == 0
    assert not await bench.redis.exists(bench.target.reservations, bench.target.reserved)


async def test_the_mailbox_is_not_trimmed_beyond_the_cursor(bench: Bench) -> None:
    await bench.take("a")
    await bench.ask("b")
    await bench.owner.settler.tick(bench.owner.cursor)
    assert await bench.redis.xlen(bench.target.mailbox) == 1
    assert await bench.ask("b") == [Verdict.PENDING]


async def test_a_campaign_that_is_asked_for_is_set_every_tick_until_it_is_forgotten(bench: Bench) -> None:
    await bench.take("a")
    for _ in range(60):
        await bench.owner.settler.tick(bench.owner.cursor)
    await gate_field("free", "0")(bench.target)
    await bench.owner.settler.tick(bench.owner.cursor)
    assert await bench.redis.hget(bench.target.gate, "free") == b"0"
    await bench.ask("b")
    await bench.owner.settler.tick(bench.owner.cursor)
    assert await bench.redis.hget(bench.target.gate, "free") == b"2"


async def test_what_a_direct_writer_changed_and_could_not_settle_is_set_by_the_next_tick(bench: Bench) -> None:
    await bench.take("a", "b", "c")
    await bench.release("a")
    assert await bench.ask("x") == [Verdict.EXHAUSTED]
    await bench.owner.settler.tick(bench.owner.cursor)
    assert await bench.redis.hget(bench.target.gate, "free") == b"1"


@pytest.mark.parametrize("living", [None, "run-2"])
async def test_a_life_that_is_over_is_settled_no_more(bench: Bench, living: str | None) -> None:
    await bench.take("a")
    pointer = keys.incarnation_pointer(PARTITION)
    await (bench.redis.set(pointer, living) if living else bench.redis.delete(pointer))
    with pytest.raises(IncarnationOver):
        await bench.owner.settler.settle([], bench.owner.cursor)
    with pytest.raises(IncarnationOver):
        await bench.owner.settler.tick(bench.owner.cursor)

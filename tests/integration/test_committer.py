"""A batch is committed once, by who owns it, whatever is delivered, and whoever else writes meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import asyncpg
import msgspec
import pytest

from claim_workers.committer import Committed, Committer
from claim_workers.incarnation import Life
from shared import deciding as room
from shared import mailbox
from shared.audit import audit
from shared.book import DECIDE_AGAIN, Head
from shared.claims import read_facts
from shared.domain.campaign import Campaign
from shared.domain.decide import Decision, decide
from shared.domain.facts import Facts
from shared.domain.ids import Incarnation, PartitionNo
from shared.domain.operations import SubmitClaim
from shared.domain.outcomes import Granted, Heard, Refusal, Refused, Replayed
from shared.domain.redemption import Redemption
from shared.errors import Fenced, IncarnationOver
from shared.mailbox import Entry
from shared.postgres import NO_ANSWER, Connection, Pool
from shared.redemptions import outcomes
from shared.statements import statement
from tests.integration.engine import at_commit, claim_of, gain, launch, posted, until

PARTITION = PartitionNo(3)
LIFE = Incarnation("run-1")


class Bench:
    """A campaign of three slots, and a committer that owns its partition."""

    def __init__(self, dsn: str, pool: Pool, campaign: Campaign, epoch: int) -> None:
        self.dsn, self.pool, self.campaign = dsn, pool, campaign
        self.committer = Committer(pool, Life(PARTITION, epoch, LIFE, "0-0"))

    def claims(self, users: str) -> list[SubmitClaim]:
        return [claim_of(self.campaign, user, ticket=number) for number, user in enumerate(users)]

    async def written(self) -> tuple[int, int, int, str]:
        """How many redemptions, the slice's counter, the ledger's sequence, the cursor."""
        row = await self.pool.fetchrow(
            "SELECT (SELECT count(*) FROM redemptions), (SELECT claimed FROM campaign_slices), last_seq, cursor "
            "FROM partitions WHERE partition_no = $1",
            PARTITION,
        )
        assert row is not None
        return row[0], row[1], row[2], row[3]

    async def kinds(self) -> list[str]:
        rows = await self.pool.fetch("SELECT kind FROM ledger WHERE partition_no = $1 ORDER BY seq", PARTITION)
        return [kind for (kind,) in rows]


#: What `written` shows before any claim: the ledger has one row, of the campaign's creation.
NOTHING = (0, 0, 1, "0-0")


@pytest.fixture
async def bench(postgres_dsn: str, pool: Pool) -> Bench:
    campaign = await launch(pool, 3, partition=PARTITION)
    epoch = await gain(pool, PARTITION)
    await pool.execute(statement("begin_incarnation"), PARTITION, epoch, LIFE)
    return Bench(postgres_dsn, pool, campaign, epoch)


@pytest.fixture
async def proven(bench: Bench) -> AsyncIterator[Bench]:
    """The bench; when the test is over, the audit must find nothing."""
    yield bench
    report = await audit(bench.dsn)
    assert report.clean, report.faults


def names(batches: Sequence[Committed]) -> list[str]:
    """What each caller is told, in a word."""
    return [_name(outcome) for committed in batches for _, _, outcome in committed.outcomes]


def shown(committed: Committed) -> list[Redemption]:
    """The redemptions that callers are shown."""
    return [outcome.redemption for _, _, outcome in committed.outcomes if isinstance(outcome, Granted | Replayed)]


def _name(outcome: Heard) -> str:
    return outcome.reason.value if isinstance(outcome, Refused) else type(outcome).__name__.lower()


async def test_each_door_is_told_what_became_of_its_tickets(proven: Bench) -> None:
    [committed] = await proven.committer.commit(posted(proven.claims("abcd")))
    assert names([committed]) == ["granted", "granted", "granted", "exhausted"]
    assert [(door, ticket) for door, ticket, _ in committed.outcomes] == [("door", n) for n in range(4)]
    assert committed.cursor == "4-0"
    assert await proven.written() == (3, 3, 5, "4-0")
    [settlement] = committed.settlements
    assert (settlement.free, settlement.seq, settlement.users) == (0, 5, {"a": 1, "b": 1, "c": 1})


async def test_entries_that_were_committed_already_are_passed_over(proven: Bench) -> None:
    entries = posted(proven.claims("ab"))
    await proven.committer.commit(entries)
    before = await proven.written()
    [again] = await proven.committer.commit(entries)
    assert (again.outcomes, again.cursor) == ([], "2-0")
    assert await proven.written() == before


async def test_a_batch_that_was_committed_in_part_is_gone_on_with(proven: Bench) -> None:
    entries = posted(proven.claims("abc"))
    await proven.committer.commit(entries[:2])
    [rest] = await proven.committer.commit(entries)
    assert [ticket for _, ticket, _ in rest.outcomes] == [2]
    assert await proven.written() == (3, 3, 4, "3-0")


async def test_ids_are_compared_as_numbers(proven: Bench) -> None:
    [first, second] = proven.claims("ab")
    await proven.committer.commit([Entry("9-0", first, b"")])
    [later] = await proven.committer.commit([Entry("10-0", second, b"")])
    assert names([later]) == ["granted"]


async def test_a_claim_that_is_delivered_again_later_takes_no_second_slot(proven: Bench) -> None:
    claims = proven.claims("ab")
    [first] = await proven.committer.commit(posted(claims))
    [again] = await proven.committer.commit(posted([*claims, claims[0]], first=3))
    assert names([again]) == ["replayed"] * 3
    assert shown(first) == shown(again)[:2]
    assert await proven.written() == (2, 2, 3, "5-0")


async def test_a_claim_that_is_twice_in_one_batch_takes_one_slot(proven: Bench) -> None:
    [claim] = proven.claims("a")
    assert names(await proven.committer.commit(posted([claim] * 5))) == ["granted"] + ["replayed"] * 4
    assert await proven.written() == (1, 1, 2, "5-0")


async def test_a_reused_key_and_a_second_claim_are_told_apart(proven: Bench) -> None:
    claims = [
        claim_of(proven.campaign, "a"),
        claim_of(proven.campaign, "a", order_id="another"),
        claim_of(proven.campaign, "a", key="another"),
    ]
    assert names(await proven.committer.commit(posted(claims))) == ["granted", "key_reused", "already_redeemed"]


async def test_refusals_are_committed_with_their_story_and_the_cursor(proven: Bench) -> None:
    await proven.committer.commit(posted(proven.claims("abc")))
    [refused] = await proven.committer.commit(posted(proven.claims("xy"), first=4))
    assert names([refused]) == ["exhausted"] * 2
    assert await proven.written() == (3, 3, 6, "5-0")
    assert (await proven.kinds())[-2:] == ["refused"] * 2
    claim = proven.claims("x")[0].claim_id
    async with proven.pool.acquire() as connection:
        assert (await outcomes(connection, [claim]))[claim].outcome == Refused(Refusal.EXHAUSTED)


async def test_the_last_refusal_is_the_last_of_the_ledger_and_not_of_a_clock_that_went_back(bench: Bench) -> None:
    claim = claim_of(bench.campaign, "a")
    for number, (status, refusal) in enumerate([("paused", "campaign_paused"), ("ended", "ended")], 1):
        await bench.pool.execute("UPDATE campaigns SET status = $1", status)
        assert names(await bench.committer.commit(posted([claim], first=number))) == [refusal]
    await bench.pool.execute("ALTER TABLE ledger DISABLE TRIGGER append_only")
    await bench.pool.execute("UPDATE ledger SET at = at - interval '1 hour' WHERE payload LIKE '%\"ended\"%'")
    async with bench.pool.acquire() as connection:
        assert (await outcomes(connection, [claim.claim_id]))[claim.claim_id].outcome == Refused(Refusal.ENDED)


async def test_a_claim_of_a_campaign_that_lives_elsewhere_is_to_be_routed_again(proven: Bench) -> None:
    elsewhere = await launch(proven.pool, partition=PARTITION + 1)
    assert names(await proven.committer.commit(posted([claim_of(elsewhere, "a")]))) == ["misrouted"]


async def test_an_owner_whose_epoch_is_over_writes_nothing(proven: Bench) -> None:
    await gain(proven.pool, PARTITION, "another")
    with pytest.raises(Fenced):
        await proven.committer.commit(posted(proven.claims("abc")))
    assert await proven.written() == NOTHING


async def test_an_owner_that_is_overtaken_while_it_waits_for_the_lock_writes_nothing(proven: Bench) -> None:
    async with proven.pool.acquire() as connection:
        async with connection.transaction():
            await connection.execute("UPDATE partitions SET epoch = epoch + 1 WHERE partition_no = $1", PARTITION)
            late = asyncio.create_task(proven.committer.commit(posted(proven.claims("abc"))))
            await until(lambda: somebody_waits(proven.pool))
        with pytest.raises(Fenced):
            await late
    assert await proven.written() == NOTHING


async def test_a_window_that_ends_while_the_lock_is_waited_for_has_ended(proven: Bench) -> None:
    async with proven.pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT FROM partitions WHERE partition_no = $1 FOR UPDATE", PARTITION)
        late = asyncio.create_task(proven.committer.commit(posted(proven.claims("a"))))
        await until(lambda: somebody_waits(proven.pool))
        await connection.execute("UPDATE campaigns SET ends_at = clock_timestamp()")
    assert names(await late) == ["expired"]


async def test_entries_of_another_life_of_the_mailbox_are_not_committed(proven: Bench) -> None:
    await proven.pool.execute("UPDATE partitions SET incarnation = 'run-2' WHERE partition_no = $1", PARTITION)
    with pytest.raises(IncarnationOver):
        await proven.committer.commit(posted(proven.claims("abc")))
    assert await proven.written() == NOTHING


async def test_the_cursor_moves_with_the_rows_or_not_at_all(proven: Bench) -> None:
    await at_commit(proven.pool, "57P01")
    with pytest.raises(asyncpg.AdminShutdownError):
        await proven.committer.commit(posted(proven.claims("abc")))
    assert await proven.written() == NOTHING
    await proven.pool.execute("DROP TRIGGER objection ON redemptions")
    assert names(await proven.committer.commit(posted(proven.claims("abc")))) == ["granted"] * 3


@pytest.mark.parametrize("sqlstate", ["40P01", "40001", "23505", "23514"])
async def test_an_objection_at_commit_is_decided_again(proven: Bench, sqlstate: str) -> None:
    await at_commit(proven.pool, sqlstate, times=3)
    assert names(await proven.committer.commit(posted(proven.claims("ab")))) == ["granted"] * 2
    assert await proven.written() == (2, 2, 3, "2-0")
    assert await proven.pool.fetchval("SELECT count(*) FROM dead_letters") == 0


@pytest.mark.parametrize("sqlstate", ["40P01", "40001", "23505", "23514"])
async def test_an_objection_that_does_not_end_is_nobodys_fault_and_passes(proven: Bench, sqlstate: str) -> None:
    await at_commit(proven.pool, sqlstate)
    with pytest.raises(DECIDE_AGAIN):
        await proven.committer.commit(posted(proven.claims("ab")))
    assert await proven.written() == NOTHING
    assert await proven.pool.fetchval("SELECT count(*) FROM dead_letters") == 0


@pytest.mark.parametrize("sqlstate", ["XX000", "58030", "53100", "25006"])
async def test_what_is_the_servers_own_fault_puts_no_claim_aside(proven: Bench, sqlstate: str) -> None:
    await at_commit(proven.pool, sqlstate)
    with pytest.raises(NO_ANSWER):
        await proven.committer.commit(posted(proven.claims("ab")))
    assert await proven.written() == NOTHING
    assert await proven.pool.fetchval("SELECT count(*) FROM dead_letters") == 0


async def test_a_slot_that_somebody_took_after_the_facts_were_read_is_not_given_twice(
    proven: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def budget_is_gone() -> None:
        await proven.pool.execute("UPDATE campaign_slices SET budget = 1; UPDATE campaigns SET total_limit = 1")

    after_reading(monkeypatch, budget_is_gone)
    assert names(await proven.committer.commit(posted(proven.claims("ab")))) == ["granted", "exhausted"]


async def test_a_use_that_somebody_took_after_the_facts_were_read_is_not_given_twice(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def user_has_claimed() -> None:
        await bench.pool.execute(
            "INSERT INTO redemptions "
            "SELECT gen_random_uuid(), campaign_id, 0, 1, 'C', 'a', 1, 1, 'o', '{}', 'k', '', 'claimed', now() FROM campaigns"
        )

    after_reading(monkeypatch, user_has_claimed)
    assert names(await bench.committer.commit(posted(bench.claims("ab")))) == ["already_redeemed", "granted"]


async def test_facts_that_lie_cannot_over_issue(proven: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int, int, str]] = []

    def decide_too_much(claims: Sequence[SubmitClaim], facts: Facts) -> list[Decision]:
        if len(seen) == 3:
            return decide(claims, facts)
        seen.append(NOTHING)
        endless = {key: msgspec.structs.replace(terms, budget=None) for key, terms in facts.slices.items()}
        return decide(claims, msgspec.structs.replace(facts, slices=endless))

    monkeypatch.setattr(room, "decide", decide_too_much)
    assert names(await proven.committer.commit(posted(proven.claims("abcde")))) == ["granted"] * 3 + ["exhausted"] * 2
    assert len(seen) == 3
    assert await proven.written() == (3, 3, 6, "5-0")


def _undecodable(_: SubmitClaim) -> bytes:
    return b"\xc1 not a claim"


def _with_surrogate(claim: SubmitClaim) -> bytes:
    return mailbox.encode(msgspec.structs.replace(claim, order_id="SURROGATE")).replace(b"SURROGATE", b"ABCDEF\xed\xa0\x80")


def _with_nul(claim: SubmitClaim) -> bytes:
    return mailbox.encode(msgspec.structs.replace(claim, order_id="or\0der"))


def _with_nul_in_user(claim: SubmitClaim) -> bytes:
    return mailbox.encode(msgspec.structs.replace(claim, user_id="us\0er"))


def _too_long_for_an_index(claim: SubmitClaim) -> bytes:
    # Not compressible, or Postgres would pack it into the index after all.
    return mailbox.encode(msgspec.structs.replace(claim, order_id="".join(str(hash((n, "x"))) for n in range(1_000))))


POISONS = [_undecodable, _with_surrogate, _with_nul, _with_nul_in_user, _too_long_for_an_index]


@pytest.mark.parametrize("poison", POISONS)
async def test_poison_is_put_aside_and_its_neighbours_are_committed(proven: Bench, poison: Any) -> None:
    claims = proven.claims("abcd")
    raw = poison(claims[1])
    entries = posted(claims)
    entries[1] = mailbox.decode("2-0", raw)
    told = names(await proven.committer.commit(entries))
    readable = entries[1].claim is not None
    assert told == ["granted"] + ["claim_rejected"] * readable + ["granted"] * 2
    [letter] = await proven.pool.fetch("SELECT * FROM dead_letters")
    assert (letter["partition_no"], letter["incarnation"], letter["entry_id"]) == (PARTITION, LIFE, "2-0")
    assert letter["entry"] == raw
    assert letter["claim_id"] == (claims[1].claim_id if readable else None)
    assert (await proven.kinds()).count("dead_lettered") == 1
    assert (await proven.written())[3] == "4-0"


@pytest.mark.parametrize("positions", [{0}, {6}, {0, 6}, {2, 3}, set(range(7))])
async def test_poison_is_found_wherever_it_stands_and_order_is_kept(proven: Bench, positions: set[int]) -> None:
    roomy = await launch(proven.pool, 7, partition=PARTITION)
    claims = [claim_of(roomy, user) for user in "abcdefg"]
    entries = [
        mailbox.decode(entry.entry_id, _with_nul(claim) if number in positions else entry.raw)
        for number, (claim, entry) in enumerate(zip(claims, posted(claims), strict=True))
    ]
    told = names(await proven.committer.commit(entries))
    assert told == ["claim_rejected" if number in positions else "granted" for number in range(7)]
    assert await proven.pool.fetchval("SELECT count(*) FROM dead_letters") == len(positions)
    order = await proven.pool.fetch("SELECT redemption_id FROM ledger WHERE redemption_id IS NOT NULL ORDER BY seq")
    assert [claim for (claim,) in order] == [claim.claim_id for claim in claims]


async def test_who_asks_later_hears_that_a_claim_was_rejected(proven: Bench) -> None:
    claim = msgspec.structs.replace(proven.claims("a")[0], order_id="\0")
    await proven.committer.commit(posted([claim]))
    async with proven.pool.acquire() as connection:
        told = (await outcomes(connection, [claim.claim_id]))[claim.claim_id]
    assert (told.user_id, told.outcome) == ("a", Refused(Refusal.CLAIM_REJECTED))


async def test_a_poison_whose_refusal_cannot_be_written_either_hurts_nobody(proven: Bench) -> None:
    await proven.committer.commit(posted(proven.claims("abc")))
    poison, neighbour = proven.claims("xy")
    poison = msgspec.structs.replace(poison, order_id="\0")
    assert names(await proven.committer.commit(posted([poison, neighbour], first=4))) == ["claim_rejected", "exhausted"]


async def test_a_fenced_owner_puts_nothing_aside(proven: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = mailbox.decode("1-0", b"not a claim")

    async def overtaken() -> None:
        await gain(proven.pool, PARTITION, "another")

    real = Committer._put_aside

    async def put_aside(self: Committer, entry: Entry, error: Exception) -> Committed:
        await overtaken()
        return await real(self, entry, error)

    monkeypatch.setattr(Committer, "_put_aside", put_aside)
    with pytest.raises(Fenced):
        await proven.committer.commit([entry])
    assert await proven.written() == NOTHING
    assert await proven.pool.fetchval("SELECT count(*) FROM dead_letters") == 0


async def test_two_owners_of_one_epoch_commit_one_after_the_other(proven: Bench) -> None:
    """A lease is fenced by its epoch; a batch, besides, by the lock: two at once never fork the chain."""
    claims = proven.claims("abcdefgh")
    batches = await asyncio.gather(*(proven.committer.commit(posted(claims)) for _ in range(4)))
    assert sorted(name for batch in batches for name in names(batch)) == ["exhausted"] * 5 + ["granted"] * 3


async def test_a_replay_shows_the_redemption_as_it_stands(proven: Bench) -> None:
    claims = proven.claims("a")
    await proven.committer.commit(posted(claims))
    await proven.pool.execute("UPDATE campaigns SET status = 'ended'")
    [again] = await proven.committer.commit(posted(claims, first=2))
    [(_, _, outcome)] = again.outcomes
    assert isinstance(outcome, Replayed)
    [fresh] = await proven.committer.commit(posted(proven.claims("b"), first=3))
    assert names([fresh]) == ["ended"]


async def somebody_waits(pool: Pool) -> bool:
    """Whether a transaction of this database waits for a lock."""
    waiting: bool = await pool.fetchval(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')"
    )
    return waiting


def after_reading(monkeypatch: pytest.MonkeyPatch, happens: Any) -> None:
    """Let something happen between the first reading of the facts and the writing."""
    once = iter([True])

    async def reading(connection: Connection, heads: Sequence[Head], claims: Sequence[SubmitClaim]) -> Facts:
        facts = await read_facts(connection, heads, claims)
        if next(once, False):
            await happens()
        return facts

    monkeypatch.setattr(room, "read_facts", reading)

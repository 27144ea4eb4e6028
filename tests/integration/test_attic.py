"""What could not be decided waits in the attic until somebody deals with it, and is dealt with once."""

import asyncio
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from claim_workers import jobs
from lastslot.cli import cli
from shared import attic, keys, mailbox, metrics
from shared.attic import Letter, Replay, StillPoison, Unreadable
from shared.audit import audit, render
from shared.domain.campaign import Campaign
from shared.domain.ids import PartitionNo
from shared.domain.operations import SubmitClaim
from shared.domain.outcomes import Granted, Outcome, Refusal, Refused, Replayed
from shared.gate import Verdict
from shared.postgres import Pool
from shared.redemptions import outcomes
from shared.redis_client import Redis
from tests.integration.engine import Owner, claim_of, launch

PARTITION = PartitionNo(3)
REFUSE_ALL = (
    "CREATE FUNCTION no_cat() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN IF NEW.user_id = 'cat' THEN RAISE EXCEPTION 'no cats' USING ERRCODE = '22000'; END IF; RETURN NEW; END $$; "
    "CREATE TRIGGER no_cat BEFORE INSERT ON redemptions FOR EACH ROW EXECUTE FUNCTION no_cat()"
)


class Bench:
    """A campaign of two slots, its owner, and an operator."""

    campaign: Campaign

    def __init__(self, dsn: str, redis_url: str, pool: Pool, redis: Redis, owner: Owner) -> None:
        self.dsn, self.redis_url, self.pool, self.owner = dsn, redis_url, pool, owner
        self.redis: Any = redis

    def claim(self, user: str, **different: Any) -> SubmitClaim:
        return msgspec.structs.replace(claim_of(self.campaign, user), **different)

    async def post(self, claim: SubmitClaim, raw: bytes | None = None) -> None:
        """Put an entry straight into the mailbox, and have it read."""
        fields = {"c": claim.claim_id.hex, "e": mailbox.encode(claim) if raw is None else raw}
        await self.redis.xadd(keys.mailbox(PARTITION, self.owner.life.incarnation), fields)
        await self.owner.turn()

    async def stand_in_the_way(self) -> None:
        """Let no transaction hold a claim of cat's; until the trigger is dropped."""
        await self.pool.execute(REFUSE_ALL)

    async def get_out_of_the_way(self) -> None:
        await self.pool.execute("DROP TRIGGER no_cat ON redemptions")

    async def types(self, *words: str, redis_url: str | None = None) -> Result:
        command, *rest = words
        stores = ["--postgres-dsn", self.dsn]
        stores += ["--redis-url", redis_url or self.redis_url] if command == "replay" else []
        return await asyncio.to_thread(CliRunner().invoke, cli, ["attic", command, *stores, *rest])

    async def hears(self, claim: SubmitClaim) -> Outcome:
        """What whoever asks for the claim is told."""
        async with self.pool.acquire() as connection:
            return (await outcomes(connection, [claim.claim_id]))[claim.claim_id].outcome

    async def active(self) -> int:
        number: int = await self.pool.fetchval("SELECT count(*) FROM redemptions WHERE released_at IS NULL")
        return number


@pytest.fixture
async def bench(dsn: str, redis_url: str, pool: Pool, redis: Redis) -> Bench:
    bench = Bench(dsn, redis_url, pool, redis, await Owner.of(pool, redis, PARTITION))
    bench.campaign = await launch(pool, 2, partition=PARTITION)
    ann = (bench.campaign, bench.claim("ann"))
    assert (await bench.owner.ask(ann))[0] == [Verdict.COLD]
    await bench.owner.turn()
    assert (await bench.owner.ask(ann))[0] == [Verdict.ADMITTED]
    await bench.owner.turn()
    return bench


def waiting() -> float:
    [sample] = [sample for metric in metrics.DEAD_LETTERS_WAITING.collect() for sample in metric.samples]
    return sample.value


async def test_what_cannot_be_decided_is_listed_shown_and_counted(bench: Bench) -> None:
    assert (await bench.types("list")).stdout == "waiting: 0\n"
    await bench.post(bench.claim("cat", order_id="or\0der\x1b[2J"))
    await bench.post(bench.claim("dan"), b"\xc1\x1b[2J")
    listed = await bench.types("list")
    assert listed.exit_code == 0
    assert listed.stdout.splitlines()[-1] == "waiting: 2"
    assert all(word in listed.stdout for word in ("cat", r"or\x00der\x1b[2J", "(cannot be read)"))
    seen = await bench.types("show", "1", "2")
    assert seen.exit_code == 0
    assert all(word in seen.stdout for word in ("letter 1: waits", r"'or\x00der\x1b[2J'", str(bench.claim("cat").claim_id)))
    assert r"b'\xc1\x1b[2J' (5 bytes)" in seen.stdout
    assert "\x1b[2J" not in listed.stdout + seen.stdout
    for _ in range(2):
        await jobs.count_letters({"pool": bench.pool})
        assert waiting() == 2


async def test_a_long_list_comes_in_pages(bench: Bench) -> None:
    for number in range(5):
        await bench.post(bench.claim("cat", order_id="\0", ticket=number))
    pages = [await bench.types("list", "--limit", "2", "--after", str(after)) for after in (0, 2, 4)]
    assert [page.stdout.count("waiting\n") for page in pages] == [2, 2, 1]
    assert [page.stdout.splitlines()[-1] for page in pages] == ["waiting: 5"] * 3


async def test_a_letter_is_decided_again_when_nothing_stands_in_its_way(bench: Bench) -> None:
    cat = bench.claim("cat")
    await bench.stand_in_the_way()
    await bench.post(cat)
    assert await bench.hears(cat) == Refused(Refusal.CLAIM_REJECTED)
    await bench.get_out_of_the_way()
    replayed = await bench.types("replay", "1")
    assert (replayed.exit_code, replayed.stdout) == (0, "1: granted\n")
    assert isinstance(await bench.hears(cat), Replayed | Granted)
    # The gate knows of it before anybody has asked: cat is no stranger, and nothing is left.
    later = [
        (bench.campaign, bench.claim(user, claim_id=claim_of(bench.campaign, user, "later").claim_id))
        for user in ("cat", "eve")
    ]
    assert (await bench.owner.ask(*later))[0] == [Verdict.LOOK_ALREADY, Verdict.EXHAUSTED]
    again = await bench.types("replay", "1")
    assert again.exit_code == 0
    assert "1: was replayed by" in again.stdout
    assert ": granted" in again.stdout
    assert (await bench.types("list")).stdout == "waiting: 0\n"
    assert "replayed" in (await bench.types("list", "--all")).stdout
    assert await bench.active() == 2
    report = await audit(bench.dsn)
    assert report.clean, render(report)


async def test_a_letter_that_is_refused_now_is_dealt_with(bench: Bench) -> None:
    await bench.stand_in_the_way()
    await bench.post(bench.claim("cat"))
    await bench.get_out_of_the_way()
    await bench.post(bench.claim("bob"))
    replayed = await bench.types("replay", "1")
    assert (replayed.exit_code, replayed.stdout) == (0, "1: refused: exhausted\n")
    assert await bench.hears(bench.claim("cat")) == Refused(Refusal.EXHAUSTED)
    assert (await bench.types("list")).stdout == "waiting: 0\n"


async def test_a_letter_that_is_still_poison_waits_with_what_stands_in_its_way_now(bench: Bench) -> None:
    await bench.post(bench.claim("cat", order_id="\0"))
    await bench.pool.execute("UPDATE dead_letters SET error = 'that of before'")
    replayed = await bench.types("replay", "1")
    assert replayed.exit_code == 1
    assert "1: still cannot be decided, and waits: " in replayed.stdout
    assert "that of before" not in (seen := (await bench.types("show", "1")).stdout)
    assert "letter 1: waits" in seen
    assert "  tried " in seen
    assert await bench.active() == 1


async def test_what_cannot_be_read_can_only_be_discarded(bench: Bench) -> None:
    await bench.post(bench.claim("cat"), b"\xc1")
    replayed = await bench.types("replay", "1")
    assert (replayed.exit_code, replayed.stdout) == (1, "1: cannot be read, so it can only be discarded\n")
    for why in ("an accident", "another reason"):
        discarded = await bench.types("discard", "1", "--reason", why)
        assert discarded.exit_code == 0
        assert discarded.stdout.endswith(": an accident\n")
    assert (await bench.types("replay", "1")).exit_code == 1
    assert (await bench.types("list")).stdout == "waiting: 0\n"


async def test_what_was_decided_cannot_be_discarded(bench: Bench) -> None:
    await bench.stand_in_the_way()
    await bench.post(bench.claim("cat"))
    await bench.get_out_of_the_way()
    assert (await bench.types("replay", "1")).exit_code == 0
    discarded = await bench.types("discard", "1", "--reason", "an accident")
    assert (discarded.exit_code, "was replayed by" in discarded.stdout) == (1, True)


async def test_of_many_operators_at_once_one_deals_with_a_letter(bench: Bench) -> None:
    await bench.stand_in_the_way()
    await bench.post(bench.claim("cat"))
    await bench.get_out_of_the_way()
    dealt = await asyncio.gather(
        *(attic.replay(bench.pool, bench.owner.gate, 1, f"operator {number}") for number in range(4)),
        *(attic.discard(bench.pool, 1, f"operator {number}", "why not") for number in range(4, 6)),
    )
    replays = [each for each in dealt if isinstance(each, Replay)]
    [state] = {each.state for each in dealt if isinstance(each, Letter)}
    assert (len(replays), state) in ((1, "replayed"), (0, "discarded"))
    assert await bench.active() == 1 + len(replays)


async def test_a_claim_that_was_sent_again_meanwhile_is_not_granted_twice(bench: Bench) -> None:
    cat = bench.claim("cat")
    await bench.stand_in_the_way()
    await bench.post(cat)
    await bench.get_out_of_the_way()
    await bench.post(cat)
    replayed = await bench.types("replay", "1")
    assert (replayed.exit_code, replayed.stdout) == (0, "1: granted before\n")
    assert await bench.active() == 2


async def test_nothing_is_decided_that_the_gates_could_not_be_told_of(bench: Bench) -> None:
    await bench.stand_in_the_way()
    await bench.post(bench.claim("cat"))
    await bench.get_out_of_the_way()
    replayed = await bench.types("replay", "1", redis_url="redis://127.0.0.1:1/0")
    assert (replayed.exit_code, replayed.stdout) == (2, "")
    assert "does Redis run?" in replayed.stderr
    assert await bench.active() == 1
    # Without any life of Redis there are no gates to tell.
    await bench.pool.execute("UPDATE partitions SET incarnation = NULL")
    replayed = await bench.types("replay", "1", redis_url="redis://127.0.0.1:1/0")
    assert (replayed.exit_code, replayed.stdout) == (0, "1: granted\n")
    assert await bench.active() == 2


@pytest.mark.parametrize("words", [("show", "7"), ("replay", "7"), ("discard", "7", "--reason", "none")])
async def test_a_letter_that_is_not_there_is_said_not_to_be(bench: Bench, words: tuple[str, ...]) -> None:
    assert (await bench.types(*words)).exit_code == 1


async def test_what_a_letter_comes_to_is_told_to_whoever_calls(bench: Bench) -> None:
    await bench.post(bench.claim("cat"), b"\xc1")
    await bench.post(bench.claim("dan", order_id="\0"))
    gate = bench.owner.gate
    assert await attic.replay(bench.pool, gate, 1, "admin") == Unreadable()
    assert isinstance(await attic.replay(bench.pool, gate, 2, "admin"), StillPoison)
    assert await attic.replay(bench.pool, gate, 3, "admin") is None

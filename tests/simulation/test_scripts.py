"""The simulated gate is the real one: the same random commands to both come to the same answers, and leave the same behind."""

from collections.abc import AsyncIterator, Callable
from random import Random
from typing import Any
from uuid import UUID

import pytest

from shared import gate, keys
from shared.domain.ids import CampaignId, Incarnation, PartitionNo, UserId, claim_id
from shared.domain.outcomes import Refusal
from shared.domain.settlement import Settlement
from shared.gate import CampaignAsk, ClaimAsk, Mode, Term
from shared.redis_client import Redis, open_redis
from shared.scripts import script
from tests.simulation import redis as simulated
from tests.simulation.admit import admit
from tests.simulation.redis import Value
from tests.simulation.settle import settle, vouch
from tests.simulation.world import World

SEQUENCES = 200
COMMANDS = 30

#: After how many commands what is left is compared, which takes longer than they do.
COMPARE_EVERY = 10
MAILBOX_MAX = 4

PARTITION = PartitionNo(3)
CAMPAIGNS = [CampaignId(UUID(int=number)) for number in (1, 2)]
USERS = [UserId(f"user-{number}") for number in range(4)]
SEEDINGS = ["first", "second"]
MODES: list[Mode] = ["move", "move", "move", "move", "more", "wipe", "seed"]
GARBAGE = ["", "many", "nan", "inf", "-inf", "-3", "0", "70", "1.5", "1e400", "unlimited", "ended", "999999:1"]
FIELDS = ["free", "limit", "closed", "members", "held_until", "seq", "edition", "dry", "dry_until", "layout", "seeding"]


def with_a_clock_of_ours(name: str) -> str:
    """A script that reads the time where the test has put it."""
    text = script(name)
    assert "redis.call('TIME')" in text
    return text.replace("redis.call('TIME')", "{0, redis.call('GET', 'clock') * 1000}")


class Pair:
    """Redis and its twin, told the same by one source of chance."""

    def __init__(self, redis: Redis, run: str, seed: int) -> None:
        self.chance = Random(seed)
        self.redis: Any = redis
        self.gate = gate.Gate(redis, MAILBOX_MAX)
        self.twin = simulated.Redis(World(seed), run)
        self.lives = [Incarnation(f"{run}-a"), Incarnation(f"{run}-b"), Incarnation("another-c")]
        self.epoch = 1
        self.commands: list[Callable[[], Any]] = [
            self.ask, self.ask, self.ask, self.ask, self.settle, self.settle, self.settle, self.settle, self.seed,
            self.vouch, self.vouch, self.point, self.wait, self.wait, self.spoil_a_gate, self.spoil_a_life,
        ]  # fmt: skip

    @property
    def life(self) -> Incarnation:
        """The living one, mostly."""
        living = self.twin.pointers.get(PARTITION)
        return living if living and self.chance.random() < 0.95 else self.chance.choice(self.lives)

    async def begin(self) -> None:
        await self.redis.flushdb()
        await self.set_clock()
        await self.point(self.lives[0])
        await self.seed()
        await self.vouch()

    async def set_clock(self) -> None:
        await self.redis.set("clock", self.twin.milliseconds())

    async def wait(self) -> None:
        self.twin.offset += self.chance.choice((0.001, 0.1, 0.499, 0.5, 0.501, 2.0, -0.2, 3600.0, -3600.0))
        await self.set_clock()

    async def point(self, new: Incarnation | None = None) -> None:
        expected = self.chance.choice((self.twin.pointers.get(PARTITION, ""), "another"))
        name, self.epoch = new or self.chance.choice(self.lives), self.chance.randrange(1, 4)
        if self.chance.random() < 0.5 and new is None:
            return
        told = await self.gate.point(PARTITION, expected.encode(), name, self.epoch)
        assert told == (self.twin.point(PARTITION, expected, name, self.epoch) == expected)

    async def vouch(self) -> None:
        life, until = self.life, self.twin.milliseconds() + self.chance.choice((0, 1, 900, 2000, 2001, 99_999))
        told = await self.gate.vouch(PARTITION, life, self.epoch, until)
        assert told == vouch(self.twin, PARTITION, life, self.epoch, until)

    async def ask(self) -> None:
        chance, life = self.chance, self.life
        asks = [
            CampaignAsk(
                campaign,
                chance.choice(("", "", "", "ended", "not_started")),
                chance.choice((b"", b"first")),
                4,
                layout=chance.choice((0, 0, 0, 7)),
            )
            for campaign in CAMPAIGNS[: chance.randrange(3)]
        ]
        claims = [self.a_claim(len(asks)) for _ in range(chance.randrange(5))] if asks else []
        told = await self.gate.admit(PARTITION, life, asks, claims)
        assert told == admit(self.twin, PARTITION, life, asks, claims, MAILBOX_MAX)

    def a_claim(self, campaigns: int) -> ClaimAsk:
        chance = self.chance
        user, key, closed = chance.choice(USERS), chance.choice("abc"), chance.choice(("", "", "", "", "audience_mismatch"))
        checked, own_code = chance.random() < 0.2, chance.random() < 0.7
        return ClaimAsk(chance.randrange(campaigns), claim_id(user, key), user, checked, b"entry", closed, own_code)

    async def settle(self, mode: Mode | None = None, seeding: str | None = None) -> None:
        chance, life = self.chance, self.life
        chosen: Mode = chance.choice(MODES) if mode is None else mode
        name = chance.choice(("", *SEEDINGS)) if seeding is None else seeding
        to = [self.a_settlement(campaign) for campaign in CAMPAIGNS if mode or chance.random() < 0.6]
        here, there = await self.a_cursor(life)
        epoch = chance.choice((self.epoch, self.epoch, self.epoch, 1))
        terms = (None, None) if chance.random() < 0.3 else (Term(epoch, here), Term(epoch, there))
        told = await self.gate.settle(PARTITION, life, to, terms[0], mode=chosen, seeding=name)
        assert told == settle(self.twin, PARTITION, life, to, terms[1], chosen, name)

    async def seed(self) -> None:
        name = self.chance.choice(SEEDINGS)
        await self.settle("wipe", name)
        await self.settle("more", name)
        await self.settle("seed", name)

    def a_settlement(self, campaign: CampaignId) -> Settlement:
        chance = self.chance
        users = {user: chance.randrange(3) for user in USERS if chance.random() < 0.4}
        free, closed = chance.choice((0, 0, 1, 2, 3, -1, None)), chance.choice((None, None, None, Refusal.CAMPAIGN_PAUSED))
        seq, limit, dry = chance.randrange(9), chance.choice((1, 1, 2)), chance.random() < 0.2
        layout, held = chance.choice((0, 0, 0, 0, 7)), chance.random() < 0.1
        return Settlement(campaign, seq, free, limit, closed, users, dry, layout, held)

    async def a_cursor(self, life: Incarnation) -> tuple[str | None, str | None]:
        """An entry of the mailbox, by the id that each of the two gave it."""
        found = self.twin.lives.get((PARTITION, life))
        if found is None or "mail" in found.wrong or self.chance.random() < 0.4:
            return None, None
        if not found.mail or self.chance.random() < 0.2:
            return "0-0", "0-0"
        n = self.chance.randrange(len(found.mail))
        milliseconds, number = found.mail[n][0]
        entries = await self.redis.xrange(keys.mailbox(PARTITION, life))
        return entries[n][0].decode(), f"{milliseconds}-{number}"

    async def spoil_a_gate(self) -> None:
        chance, life, campaign = self.chance, self.life, self.chance.choice(CAMPAIGNS)
        spoilt = self.twin.life(PARTITION, life).gate(campaign)
        name, value = chance.choice(("gate", "gate", "gate", "users", "marks")), chance.choice(GARBAGE)
        key = {"gate": keys.gate, "users": keys.users, "marks": keys.marks}[name](PARTITION, life, campaign)
        if chance.random() < 0.15:
            await self.of_wrong_type(key, "string" if name != "marks" else "list")
            spoilt.wrong.add(name)
        elif name in spoilt.wrong:
            return
        elif name == "marks":
            await self.redis.append(key, "1234")
            spoilt.marks += b"1234"
        else:
            fields: dict[Any, Any] = spoilt.fields if name == "gate" else spoilt.users
            field = chance.choice(FIELDS if name == "gate" else USERS)
            if chance.random() < 0.3:
                await self.redis.hdel(key, field)
                fields.pop(field, None)
            else:
                await self.redis.hset(key, field, value)
                fields[field] = value

    async def spoil_a_life(self) -> None:
        chance, name = self.chance, self.life
        life = self.twin.life(PARTITION, name)
        if chance.random() < 0.7:
            if "reserved" not in life.wrong:
                campaign, value = chance.choice(CAMPAIGNS), chance.choice(GARBAGE)
                field = chance.choice((campaign.hex, campaign.hex + chance.choice(USERS)))
                await self.redis.hset(keys.reserved(PARTITION, name), field, value)
                life.reserved[field] = value
            return
        which = chance.choice(("mail", "bell", "active", "reservations", "reserved", "seeded", "term"))
        await self.of_wrong_type(_KEYS[which](PARTITION, name), "string")
        life.wrong.add(which)

    async def of_wrong_type(self, key: str, kind: str) -> None:
        await self.redis.delete(key)
        await (self.redis.set(key, "wrong") if kind == "string" else self.redis.lpush(key, "wrong"))

    async def compare(self) -> None:
        """What is left in both."""
        pointer = await self.redis.get(keys.incarnation_pointer(PARTITION))
        assert (pointer or b"").decode() == self.twin.pointers.get(PARTITION, "")
        for name in self.lives:
            life = self.twin.life(PARTITION, name)
            await self.same_life(name, life)
            for campaign in CAMPAIGNS:
                spoilt = life.gate(campaign)
                if not spoilt.wrong:
                    assert await self.hash_of(keys.gate(PARTITION, name, campaign)) == _told(spoilt.fields)
                    assert await self.hash_of(keys.users(PARTITION, name, campaign)) == spoilt.users
                    assert (await self.redis.get(keys.marks(PARTITION, name, campaign)) or b"") == spoilt.marks

    async def same_life(self, name: Incarnation, life: simulated.Life) -> None:
        if "mail" not in life.wrong:
            found = await self.redis.xrange(keys.mailbox(PARTITION, name))
            assert [fields[b"c"].decode() for _, fields in found] == [claim for _, claim, _ in life.mail]
        if "reservations" not in life.wrong:
            assert await self.hash_of(keys.reservations(PARTITION, name)) == life.reservations
        if "reserved" not in life.wrong:
            assert await self.hash_of(keys.reserved(PARTITION, name)) == _told(life.reserved)
        if "bell" not in life.wrong:
            assert await self.redis.xlen(keys.bell(PARTITION, name)) == life.rings
        if "active" not in life.wrong:
            assert await self.redis.smembers(keys.active(PARTITION, name)) == {each.hex.encode() for each in life.active}
        if "seeded" not in life.wrong:
            assert await self.redis.scard(keys.seeded(PARTITION, name)) == len(life.seeded)
        if "term" not in life.wrong:
            assert await self.hash_of(keys.term(PARTITION, name)) == _told(life.term)

    async def hash_of(self, key: str) -> dict[str, str]:
        return {field.decode(): value.decode() for field, value in (await self.redis.hgetall(key)).items()}


_KEYS: dict[str, Callable[[PartitionNo, Incarnation], str]] = {
    "mail": keys.mailbox,
    "bell": keys.bell,
    "active": keys.active,
    "reservations": keys.reservations,
    "reserved": keys.reserved,
    "seeded": keys.seeded,
    "term": keys.term,
}


def _told(fields: dict[str, Value]) -> dict[str, str]:
    """Numbers as Redis keeps what Lua tells it."""
    return {field: value if isinstance(value, str) else f"{value:.17g}" for field, value in fields.items()}


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with open_redis(redis_url) as client:
        yield client


@pytest.mark.parametrize("first", range(0, SEQUENCES, SEQUENCES // 2))
async def test_the_simulated_gate_answers_as_the_scripts_do(redis: Redis, first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "script", with_a_clock_of_ours)
    run = (await redis.info("server"))["run_id"][:8]
    for seed in range(first, first + SEQUENCES // 2):
        pair = Pair(redis, run, seed)
        await pair.begin()
        for number in range(1, COMMANDS + 1):
            command = pair.chance.choice(pair.commands)
            try:
                await command()
                if number % COMPARE_EVERY == 0:
                    await pair.compare()
            except AssertionError as error:
                raise AssertionError(f"seed {seed}, command {number}, {command.__name__}: {error}") from error

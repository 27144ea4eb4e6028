"""What may be wrong with what Redis has of a campaign: every field and key, with every kind of wrong value."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from shared import keys
from shared.domain.ids import CampaignId, ClaimId, Incarnation, PartitionNo


class Target(msgspec.Struct, frozen=True):
    """A campaign in one life of its partition. `claim_id`: of a claim that nobody has made yet."""

    redis: Any  # its stubs cannot tell its calls' two flavours apart
    partition: PartitionNo
    life: Incarnation
    campaign_id: CampaignId
    claim_id: ClaimId

    @property
    def gate(self) -> str:
        return keys.gate(self.partition, self.life, self.campaign_id)

    @property
    def users(self) -> str:
        return keys.users(self.partition, self.life, self.campaign_id)

    @property
    def marks(self) -> str:
        return keys.marks(self.partition, self.life, self.campaign_id)

    @property
    def pointer(self) -> str:
        return keys.incarnation_pointer(self.partition)

    @property
    def mailbox(self) -> str:
        return keys.mailbox(self.partition, self.life)

    @property
    def bell(self) -> str:
        return keys.bell(self.partition, self.life)

    @property
    def reservations(self) -> str:
        return keys.reservations(self.partition, self.life)

    @property
    def reserved(self) -> str:
        return keys.reserved(self.partition, self.life)

    @property
    def active(self) -> str:
        return keys.active(self.partition, self.life)

    @property
    def term(self) -> str:
        return keys.term(self.partition, self.life)

    @property
    def seeded(self) -> str:
        return keys.seeded(self.partition, self.life)


Garbage = Callable[[Target], Awaitable[Any]]


def gate_field(field: str, value: str | None) -> Garbage:
    async def spoil(of: Target) -> None:
        await (of.redis.hdel(of.gate, field) if value is None else of.redis.hset(of.gate, field, value))

    return spoil


def gone(*names: str) -> Garbage:
    async def spoil(of: Target) -> None:
        await of.redis.delete(*(getattr(of, name) for name in names))

    return spoil


def wrongly_typed(name: str) -> Garbage:
    async def spoil(of: Target) -> None:
        at_once = of.redis.pipeline()
        at_once.delete(getattr(of, name))
        at_once.zadd(getattr(of, name), {"garbage": 1})
        await at_once.execute()

    return spoil


def another_user(name: str, value: str) -> Garbage:
    async def spoil(of: Target) -> None:
        await of.redis.hset(of.users, name, value)

    return spoil


def counted(value: str) -> Garbage:
    async def spoil(of: Target) -> None:
        await of.redis.hset(of.reserved, of.campaign_id.hex, value)

    return spoil


def ghost(user: str) -> Garbage:
    """A reservation whose entry is in no mailbox."""

    async def spoil(of: Target) -> None:
        holder = of.campaign_id.hex + user
        await of.redis.hset(of.reservations, of.claim_id.hex, holder)
        await of.redis.hset(of.reserved, mapping={holder: 1, of.campaign_id.hex: 1})

    return spoil


NUMBERS = [None, "0", "-3", "30", "1000000000000000000", "nan", "inf", "garbage"]
GARBAGE: dict[str, Garbage] = {
    **{f"free {value}": gate_field("free", value) for value in [*NUMBERS, "unlimited"]},
    **{f"seq {value}": gate_field("seq", value) for value in NUMBERS},
    **{f"limit {value}": gate_field("limit", value) for value in NUMBERS},
    **{f"members {value}": gate_field("members", value) for value in [None, "0", "nan"]},
    **{f"held_until {value}": gate_field("held_until", value) for value in ["1000000000000000000", "nan"]},
    **{f"closed {value}": gate_field("closed", value) for value in [None, "ended", "campaign_paused", "exhausted", "garbage"]},
    **{f"edition {value}": gate_field("edition", value) for value in [None, "garbage"]},
    **{f"{name} gone": gone(name) for name in ["gate", "users", "marks", "reserved", "reservations", "mailbox"]},
    "users and marks gone": gone("users", "marks"),
    "all gone": gone("gate", "users", "marks"),
    **{f"{name} of the wrong type": wrongly_typed(name) for name in ["gate", "users", "marks"]},
    **{f"user {value}": another_user("a", value) for value in ["0:1", "99:1", "garbage", "1:1000000000000000000"]},
    "a user nobody knows": another_user("stranger", "1:1"),
    "a newcomer who holds something": another_user("x", "5:1000000000000000000"),
    **{f"reserved {value}": counted(value) for value in ["1000", "-1000", "nan", "garbage"]},
    "a ghost": ghost("x"),
    "a stranger's ghost": ghost("stranger"),
}

#: What belongs to the whole partition. Its life is over then, and another begins.
PARTITION_GARBAGE: dict[str, Garbage] = {
    **{
        f"{name} of the wrong type": wrongly_typed(name)
        for name in ["pointer", "mailbox", "bell", "reservations", "reserved", "active", "term", "seeded"]
    },
    **{f"{name} gone": gone(name) for name in ["pointer", "mailbox", "term"]},
}

"""The gate: one script call for a whole micro-batch of claims, one for whatever was committed.

Fast, and allowed to be wrong: it is a function of Postgres and the mailbox, and is set again from them at any time. It lets
through what can win, so that nine thousand of ten thousand never reach a mailbox; a reservation has a name (the claim id)
and lives exactly as long as the entry that carries the claim.
"""

import asyncio
from collections.abc import Sequence
from enum import IntEnum
from struct import pack
from typing import Any, Literal, TypeAlias
from uuid import UUID

import msgspec
from redis.commands.core import AsyncScript
from redis.exceptions import NoScriptError, RedisError

from shared import keys
from shared.domain.ids import CampaignId, ClaimId, Incarnation, PartitionNo, UserId, user_mark
from shared.domain.settlement import Settlement
from shared.errors import RedisUnavailable
from shared.redis_client import Redis, answer_of, promptly
from shared.scripts import script

#: How long a certificate of having nothing to give may be answered from, counted from before the gate was asked.
CERTIFICATE_MS = 500

Mode = Literal["move", "wipe", "more", "seed"]

#: The keys and the arguments of a script call.
_Call: TypeAlias = tuple[list[str], list[Any]]

_encode = msgspec.msgpack.Encoder().encode


class Verdict(IntEnum):
    """What the gate says of a claim. The LOOK ones hold or held something: Postgres knows whether by this claim."""

    ADMITTED = 1
    PENDING = 2
    WAIT = 3
    COLD = 4
    BUSY = 5
    EXHAUSTED = 6
    CLOSED = 7
    LOOK_ALREADY = 8
    LOOK_EXHAUSTED = 9
    LOOK_CLOSED = 10


class CampaignAsk(msgspec.Struct, frozen=True, gc=False):
    """A campaign of a micro-batch.

    `closed`: why the caller thinks it gives nothing, or ""; `edition` and `known` (bytes): the marks the caller has already;
    `slice_no` and `layout`: the slice that it thinks lives here. The gate is cold to who thinks of another layout than its own.
    """

    campaign_id: CampaignId
    closed: str
    edition: bytes
    known: int
    slice_no: int = 0
    layout: int = 0


class ClaimAsk(msgspec.Struct, frozen=True, gc=False):
    """A claim of a micro-batch. `campaign`: its index there; `checked`: Postgres was asked, pass over what the gate knows.

    `closed`: why the caller thinks that nothing is given to this user, or "": then the campaign's reason stands. The verdict is
    CLOSED, or LOOK_CLOSED for who holds something, and the caller knows the reason. `own_code`: asked for by the campaign's own
    code, which may have nothing to give (dry) while codes that were made for somebody have.
    """

    campaign: int
    claim_id: ClaimId
    user_id: UserId
    checked: bool
    entry: bytes
    closed: str = ""
    own_code: bool = False


class CampaignReply(msgspec.Struct, frozen=True, gc=False):
    """What the gate says of a campaign. `marks_total` in bytes; `marks`: those that follow the caller's `known` ones.

    `certified`: that nobody gets anything; `dry`: that nobody does by the campaign's own code. `edition`: which of the
    campaign's gates this is; a gate that was made anew has another, and other marks.
    """

    closed: str
    certified: bool
    edition: bytes
    marks_total: int
    marks: bytes
    dry: bool = False


class Asking(msgspec.Struct, frozen=True, gc=False):
    """A micro-batch: claims for one life of a partition, and their campaigns."""

    partition: PartitionNo
    incarnation: Incarnation
    campaigns: Sequence[CampaignAsk]
    claims: Sequence[ClaimAsk]


class Admission(msgspec.Struct, frozen=True, gc=False):
    verdicts: list[int]
    campaigns: list[CampaignReply]


class Moved(msgspec.Struct, frozen=True, gc=False):
    """The partition has another incarnation (None: none that lives): nothing was done."""

    incarnation: Incarnation | None


class Settled(msgspec.Struct, frozen=True, gc=False):
    """The ledger sequence each gate is at now; None: cold, to be seeded."""

    sequences: list[int | None]


class Term(msgspec.Struct, frozen=True, gc=False):
    """What an owner adds to what it says: the epoch of its lease, and the cursor up to which the mailbox is decided."""

    epoch: int
    cursor: str | None


class Settling(msgspec.Struct, frozen=True, gc=False):
    """What the gates of a partition are to be set to; in the name of its owner, if there is a term."""

    partition: PartitionNo
    incarnation: Incarnation
    settlements: Sequence[Settlement]
    term: Term | None = None


class Gate:
    """The scripts of one Redis, as calls."""

    def __init__(self, redis: Redis, mailbox_max: int) -> None:
        self._redis = redis
        self._mailbox_max = mailbox_max
        self._admit = redis.register_script(script("admit"))
        self._settle = redis.register_script(script("settle"))
        self._vouch = redis.register_script(script("vouch"))
        self._point = redis.register_script(script("point"))
        self._forget = redis.register_script(script("forget"))

    async def admit(
        self, partition: PartitionNo, incarnation: Incarnation, campaigns: Sequence[CampaignAsk], claims: Sequence[ClaimAsk]
    ) -> Admission | Moved:
        """Ask for a micro-batch. Raises RedisUnavailable when there was no answer (the claims may have been admitted)."""
        names, args = self._admit_call(Asking(partition, incarnation, campaigns, claims))
        return _admitted(await answer_of(self._admit(keys=names, args=args)))

    async def admit_each(self, asked: Sequence[Asking]) -> list[Admission | Moved | RedisUnavailable]:
        """Ask for micro-batches of several partitions, on one way there and back; what was answered for each of them."""
        answers = await self._together(self._admit, [self._admit_call(asking) for asking in asked])
        return [answer if isinstance(answer, RedisUnavailable) else _admitted(answer) for answer in answers]

    async def settle(
        self,
        partition: PartitionNo,
        incarnation: Incarnation,
        settlements: Sequence[Settlement],
        term: Term | None = None,
        *,
        mode: Mode = "move",
        seeding: str = "",
    ) -> Settled | Moved:
        """Set gates to what was committed; only an owner, by its term, may seed them, or drop from the mailbox.

        `seeding` names which calls of 'wipe', 'more' and 'seed' belong together. Moved also when the owner has an heir. Raises
        RedisUnavailable when there was no answer; calling again is always right.
        """
        names, args = _settle_call(Settling(partition, incarnation, settlements, term), mode, seeding)
        return _settled(await answer_of(self._settle(keys=names, args=args)))

    async def settle_each(self, settlings: Sequence[Settling]) -> list[Settled | Moved | RedisUnavailable]:
        """Set gates of several partitions, on one way there and back; what was answered for each of them."""
        answers = await self._together(self._settle, [_settle_call(settling) for settling in settlings])
        return [answer if isinstance(answer, RedisUnavailable) else _settled(answer) for answer in answers]

    async def _together(self, called: AsyncScript, calls: Sequence[_Call]) -> list[Any]:
        """What a script answers to each of these calls; RedisUnavailable, where it does not."""
        pipeline = self._redis.pipeline(transaction=False)
        for names, args in calls:
            pipeline.evalsha(called.sha, len(names), *names, *args)
        try:
            answers: list[Any] = await answer_of(promptly(pipeline.execute(raise_on_error=False)))
        except RedisUnavailable as error:
            return [RedisUnavailable(str(error)) for _ in calls]
        if not any(isinstance(answer, RedisError) for answer in answers):
            return answers
        # Side by side: one after another they would wait so many times as long for a Redis that falls silent now.
        return await asyncio.gather(*(self._answered(called, *each) for each in zip(calls, answers, strict=True)))

    async def _answered(self, called: AsyncScript, call: _Call, answer: Any) -> Any:
        if not isinstance(answer, RedisError):
            return answer
        if not isinstance(answer, NoScriptError):
            return RedisUnavailable(f"Redis gave no answer: {answer!r}")
        names, args = call
        try:
            return await answer_of(called(keys=names, args=args))
        except RedisUnavailable as error:
            return error

    async def make_cold(self, partition: PartitionNo, incarnation: Incarnation, campaigns: Sequence[CampaignId]) -> None:
        """Forget these gates, and ring for the owner to seed them. Right at any time; raises RedisUnavailable."""
        blanks = [Settlement.blank(campaign) for campaign in campaigns]
        if isinstance(await self.settle(partition, incarnation, blanks, mode="wipe"), Moved):
            return
        for campaign in campaigns:
            await answer_of(self._redis.xadd(keys.bell(partition, incarnation), {"c": campaign.hex}, maxlen=1_000))

    async def vouch(self, partition: PartitionNo, incarnation: Incarnation, epoch: int, until_ms: int) -> int | Moved:
        """Let the gate of a life refuse by itself until then, by the clock of Redis, which is returned (ms).

        Moved also when the owner at `epoch` has an heir. Raises RedisUnavailable when there was no answer.
        """
        names = [keys.incarnation_pointer(partition), keys.term(partition, incarnation)]
        answer = await answer_of(self._vouch(keys=names, args=[incarnation, epoch, until_ms]))
        if answer[0] != b"ok":
            return _moved(answer)
        return int(answer[1])

    async def living(self, partition: PartitionNo) -> Incarnation | None:
        """The incarnation that the partition's pointer names; None when there is none."""
        pointer = await answer_of(self._redis.get(keys.incarnation_pointer(partition)))
        return None if pointer is None else Incarnation(pointer.decode(errors="replace"))

    async def probe(self, partition: PartitionNo) -> None:
        """See that something can be written: out of memory, or of disk, Redis only reads. Raises RedisUnavailable."""
        await answer_of(self._redis.set(keys.probe(partition), b"", px=1_000))

    async def pending(self, partition: PartitionNo, claims: Sequence[ClaimId]) -> dict[ClaimId, UserId]:
        """Which of the claims are in the partition's mailbox, and whose they are. Raises RedisUnavailable."""
        incarnation = await self.living(partition)
        if incarnation is None:
            return {}
        name = keys.reservations(partition, incarnation)
        found = await answer_of(self._redis.hmget(name, [claim.hex for claim in claims]))
        # A reservation's value is the campaign's 32 hex digits, then the user.
        return {claim: UserId(holder[32:].decode()) for claim, holder in zip(claims, found, strict=True) if holder}

    async def waiting(self, partition: PartitionNo, campaign: CampaignId) -> int:
        """How many claims for a campaign are in the partition's mailbox; at least one, if that cannot be read.

        Raises RedisUnavailable.
        """
        incarnation = await self.living(partition)
        if incarnation is None:
            return 0
        count = await answer_of(self._redis.hget(keys.reserved(partition, incarnation), campaign.hex)) or b"0"
        return int(count) if count.isdigit() else 1

    async def drain_active(self, partition: PartitionNo, incarnation: Incarnation) -> list[CampaignId]:
        """Campaigns asked for since the last call."""
        names = await answer_of(self._redis.spop(keys.active(partition, incarnation), 10_000))
        return [CampaignId(UUID(name.decode())) for name in names]

    async def run_id(self) -> str:
        """Eight letters that change whenever Redis starts anew."""
        return str((await answer_of(self._redis.info("server")))["run_id"][:8])

    async def pointed(self, partition: PartitionNo) -> bytes:
        """What the partition's pointer names, whether it lives or not; b"" when it names nothing."""
        return await self._pointing(partition, b"", Incarnation(""), 0)

    async def point(self, partition: PartitionNo, expected: bytes, incarnation: Incarnation, epoch: int) -> bool:
        """Make `incarnation` the living one, unless the pointer does not name what is expected any more."""
        return await self._pointing(partition, expected, incarnation, epoch) == expected

    async def forget_others(self, partition: PartitionNo, incarnation: Incarnation) -> None:
        """Delete what is left of the partition's earlier incarnations, for as long as this one lives."""
        pointer = keys.incarnation_pointer(partition).encode()
        living = keys.of_incarnation(partition, incarnation).encode()
        cursor = 0
        while True:
            cursor, found = await answer_of(self._redis.scan(cursor, match=keys.of_partition(partition), count=1000))
            over = [name for name in found if name != pointer and not name.startswith(living)]
            if over and not await answer_of(self._forget(keys=[pointer, *over], args=[incarnation])):
                return
            if cursor == 0:
                return

    def _admit_call(self, asking: Asking) -> _Call:
        """The keys and the arguments of the admit script."""
        partition, incarnation = asking.partition, asking.incarnation
        names = [
            keys.incarnation_pointer(partition),
            keys.mailbox(partition, incarnation),
            keys.reservations(partition, incarnation),
            keys.reserved(partition, incarnation),
            keys.active(partition, incarnation),
            keys.bell(partition, incarnation),
            keys.term(partition, incarnation),
        ]
        campaigns: list[Any] = []
        for campaign in asking.campaigns:
            names += _campaign_keys(partition, incarnation, campaign.campaign_id)
            edition = campaign.edition.decode(errors="replace")
            campaigns += (campaign.campaign_id.hex, campaign.closed, edition, campaign.known, str(campaign.layout))
        claims: list[Any] = []
        for claim in asking.claims:
            asked = claim.checked + 2 * claim.own_code
            claims += (claim.campaign + 1, claim.claim_id.hex, claim.user_id, asked, claim.closed)
        entries = [claim.entry for claim in asking.claims]
        return names, [incarnation, self._mailbox_max, CERTIFICATE_MS, _encode((campaigns, claims)), *entries]

    async def _pointing(self, partition: PartitionNo, expected: bytes, incarnation: Incarnation, epoch: int) -> bytes:
        names = [keys.incarnation_pointer(partition), keys.term(partition, incarnation)]
        named: bytes = await answer_of(self._point(keys=names, args=[expected, incarnation, epoch]))
        return named


def _campaign_keys(partition: PartitionNo, incarnation: Incarnation, campaign: CampaignId) -> tuple[str, str, str]:
    return (
        keys.gate(partition, incarnation, campaign),
        keys.users(partition, incarnation, campaign),
        keys.marks(partition, incarnation, campaign),
    )


def _settle_call(settling: Settling, mode: Mode = "move", seeding: str = "") -> _Call:
    """The keys and the arguments of the settle script."""
    partition, incarnation, term = settling.partition, settling.incarnation, settling.term
    names = [
        keys.incarnation_pointer(partition),
        keys.term(partition, incarnation),
        keys.mailbox(partition, incarnation),
        keys.reservations(partition, incarnation),
        keys.reserved(partition, incarnation),
        keys.seeded(partition, incarnation),
    ]
    epoch, cursor = ("", None) if term is None else (term.epoch, term.cursor)
    args: list[Any] = [incarnation, epoch, *(("", "") if cursor is None else (cursor, _after(cursor)))]
    told: list[Any] = []
    for settlement in settling.settlements:
        names += _campaign_keys(partition, incarnation, settlement.campaign_id)
        told += (settlement.seq, *settlement.terms, (list(settlement.users), list(settlement.users.values())))
    marks = [_marks(settlement) for settlement in settling.settlements]
    return names, [*args, CERTIFICATE_MS, mode, seeding, _encode(told), *marks]


def _admitted(answer: list[Any]) -> Admission | Moved:
    if answer[0] != b"ok":
        return _moved(answer)
    return Admission(answer[1], [_campaign_reply(reply) for reply in answer[2]])


def _settled(answer: list[Any]) -> Settled | Moved:
    if answer[0] != b"ok":
        return _moved(answer)
    return Settled([None if at < 0 else at for at in answer[1]])


def _marks(settlement: Settlement) -> bytes:
    return pack(f"<{len(settlement.users)}I", *map(user_mark, settlement.users))


def _campaign_reply(reply: list[Any]) -> CampaignReply:
    closed, certified, edition, total, marks = reply
    return CampaignReply(closed.decode(), certified == 1, edition, total, marks, certified == 2)


def _moved(answer: list[Any]) -> Moved:
    # A broken partition (a key of the wrong type) has no living incarnation until its owner makes a new one.
    named = answer[1] if answer[0] == b"moved" else b""
    return Moved(Incarnation(named.decode(errors="replace")) if named else None)


def _after(cursor: str) -> str:
    """The smallest entry id greater than `cursor`."""
    milliseconds, _, number = cursor.partition("-")
    return f"{milliseconds}-{int(number) + 1}"

"""admit.lua once more, in Python, line by line as far as it goes: `test_scripts` holds it to the real one."""

import re
from collections.abc import Sequence
from math import inf

from shared.domain.ids import Incarnation, PartitionNo
from shared.gate import CERTIFICATE_MS, Admission, CampaignAsk, CampaignReply, ClaimAsk, Moved, Verdict
from tests.simulation.redis import Life, Redis, Value, number

_VOUCHED_MAX_MS = 2000
_REASONS: dict[Value | None, bool] = {"": False, "campaign_paused": True, "ended": True, "held": False}
_HELD = re.compile(r"^(-?\d+):")


class _Call:
    """One call of the script: where, when, and whether an owner vouches for the life."""

    __slots__ = ("life", "mailbox_max", "now", "partition", "redis", "vouched")

    def __init__(self, redis: Redis, partition: PartitionNo, life: Life, mailbox_max: int) -> None:
        self.redis, self.partition, self.life, self.mailbox_max = redis, partition, life, mailbox_max
        self.now = redis.milliseconds()
        until = 0 if "term" in life.wrong else number(life.term.get("vouched_until")) or 0
        self.vouched = self.now < until <= self.now + _VOUCHED_MAX_MS


class _Asked:
    """A campaign of a micro-batch, as the script finds it."""

    __slots__ = (
        "before",
        "campaign",
        "closed",
        "dry",
        "dry_until",
        "edition",
        "free",
        "gate",
        "held_until",
        "hex",
        "known",
        "limit",
        "moving",
        "reserved",
        "shut",
        "warm",
    )

    def __init__(self, life: Life, ask: CampaignAsk, now: int) -> None:
        gate = self.gate = life.gate(ask.campaign_id)
        fields = gate.fields
        self.campaign, self.hex, self.closed, self.known = ask.campaign_id, ask.campaign_id.hex, ask.closed, ask.known
        self.edition, self.warm = "", False
        self.reserved: float = 0
        self.before: float = 0
        if gate.wrong:
            return
        get = fields.get
        free, limit, members = get("free"), number(get("limit")), number(get("members"))
        self.free, self.limit = inf if free == "unlimited" else number(free), limit
        self.dry = get("dry") in (1, "1")
        self.held_until, self.dry_until = _held(fields, "held_until", now), _held(fields, "dry_until", now)
        self.edition = str(get("edition", ""))
        if self.edition != ask.edition.decode():
            self.known = 0
        closed = get("closed")
        self.moving = closed == "held"
        self.shut = _REASONS.get(closed, False)
        if self.shut:
            self.closed = str(closed)
        self.before = self.reserved = number(life.reserved.get(self.hex)) or 0
        self.warm = (
            self.free is not None
            and limit is not None
            and closed in _REASONS
            and number(get("seq")) is not None
            and "edition" in fields
            and "dry" in fields
            and "seeding" not in fields
            and str(get("layout")) == str(ask.layout)
            and members == len(gate.users)
            and len(gate.marks) == 4 * members
        )


def _held(fields: dict[str, Value], field: str, now: int) -> float:
    if field not in fields:
        return 0
    until = number(fields[field]) or 0
    if until > now + CERTIFICATE_MS:
        until = fields[field] = now + CERTIFICATE_MS
    return until


def admit(
    redis: Redis,
    partition: PartitionNo,
    incarnation: Incarnation,
    campaigns: Sequence[CampaignAsk],
    claims: Sequence[ClaimAsk],
    mailbox_max: int = 1000,
) -> Admission | Moved:
    """Answer a micro-batch of claims."""
    elsewhere = redis.over(partition, incarnation)
    if elsewhere is not None:
        return elsewhere
    life = redis.life(partition, incarnation)
    if life.wrong and not life.wrong.isdisjoint(("mail", "reservations", "reserved", "active", "bell")):
        return Moved(None)
    call = _Call(redis, partition, life, mailbox_max)
    asked = [_Asked(life, ask, call.now) for ask in campaigns]
    for each in asked:
        if each.warm:
            life.active.add(each.campaign)
        else:
            redis.ring(partition, life, each.campaign)
    verdicts = [int(_decide(call, asked[claim.campaign], claim)) for claim in claims]
    for each in asked:
        if each.reserved != each.before:
            life.reserved[each.hex] = each.reserved
    return Admission(verdicts, [_reply(call, each) for each in asked])


def _decide(call: _Call, asked: _Asked, claim: ClaimAsk) -> Verdict:
    name, life = claim.claim_id.hex, call.life
    if name in life.reservations:
        return Verdict.PENDING
    if not asked.warm or asked.free is None or asked.limit is None:
        return Verdict.COLD
    held, holder = asked.gate.users.get(claim.user_id), asked.hex + claim.user_id
    doubtful = held is not None or not call.vouched
    others = number(life.reserved.get(holder)) or 0
    if claim.closed or asked.closed:
        return Verdict.WAIT if others > 0 else Verdict.LOOK_CLOSED if doubtful else Verdict.CLOSED
    has = 0
    if held is not None and not claim.checked:
        found = _HELD.match(held)
        has = int(found[1]) if found else 0
    if has + others >= asked.limit:
        return Verdict.WAIT if others > 0 else Verdict.LOOK_ALREADY
    if asked.moving:
        return Verdict.WAIT
    if asked.free - asked.reserved <= 0 or (claim.own_code and asked.dry):
        return Verdict.WAIT if others > 0 else Verdict.LOOK_EXHAUSTED if doubtful else Verdict.EXHAUSTED
    if held is not None and not claim.checked:
        return Verdict.LOOK_ALREADY
    if call.now < asked.held_until or (claim.own_code and call.now < asked.dry_until):
        return Verdict.WAIT
    if len(life.mail) >= call.mailbox_max:
        return Verdict.BUSY
    asked.reserved += 1
    life.reservations[name] = holder
    life.reserved[holder] = others + 1
    call.redis.append(call.partition, life, name, claim.entry)
    if asked.gate.certified:
        call.redis.world.note("freed slot given out after its certificate")
        asked.gate.certified = False
    return Verdict.ADMITTED


def _reply(call: _Call, asked: _Asked) -> CampaignReply:
    certified, dry, total, tail = False, False, 0, b""
    if call.vouched and asked.warm and not asked.moving and asked.free is not None and asked.reserved == 0:
        empty = asked.free <= 0
        if asked.shut or (asked.closed == "" and (empty or asked.dry)):
            certified = asked.shut or empty
            dry, total, tail = not certified, len(asked.gate.marks), asked.gate.marks[asked.known :]
            asked.gate.fields["held_until" if certified else "dry_until"] = call.now + CERTIFICATE_MS
            call.redis.watcher.certified(call.partition, asked.campaign, asked.gate)
    return CampaignReply(asked.closed, certified, asked.edition.encode(), total, tail, dry)

"""settle.lua and vouch.lua once more, in Python, line by line as far as they go (see `test_scripts`)."""

import re
from collections.abc import Sequence

from shared.domain.ids import CampaignId, Incarnation, PartitionNo, UserId, user_mark
from shared.domain.settlement import Settlement
from shared.gate import CERTIFICATE_MS, Mode, Moved, Settled, Term
from tests.simulation.redis import Gate, Life, Redis, number, position

_SINCE = re.compile(r":(\d+)$")


def vouch(redis: Redis, partition: PartitionNo, incarnation: Incarnation, epoch: int, until_ms: int) -> int | Moved:
    """An owner's word that its life goes on; answered with the time it is."""
    elsewhere = redis.over(partition, incarnation)
    if elsewhere is not None:
        return elsewhere
    life = redis.life(partition, incarnation)
    known = None if "term" in life.wrong else number(life.term.get("epoch"))
    if known is None or epoch < known:
        return Moved(None)
    life.term |= {"epoch": epoch, "vouched_until": until_ms}
    return redis.milliseconds()


def settle(
    redis: Redis,
    partition: PartitionNo,
    incarnation: Incarnation,
    settlements: Sequence[Settlement],
    term: Term | None = None,
    mode: Mode = "move",
    seeding: str = "",
) -> Settled | Moved:
    """Set gates to what was committed, drop the reservations of what is decided, trim the mailbox."""
    elsewhere = redis.over(partition, incarnation)
    if elsewhere is not None:
        return elsewhere
    life = redis.life(partition, incarnation)
    if life.wrong and not life.wrong.isdisjoint(("mail", "reservations", "reserved", "seeded", "term")):
        return Moved(None)
    epoch, began = number(life.term.get("epoch")), number(life.term.get("began"))
    if epoch is None or began is None:
        return Moved(None)
    if term is not None:
        if term.epoch < epoch:
            return Moved(None)
        life.term["epoch"] = term.epoch
        if term.cursor is not None:
            _trim(life, position(term.cursor))
    return Settled([_settle(redis, partition, life, began, each, mode, seeding) for each in settlements])


def _trim(life: Life, cursor: tuple[int, int]) -> None:
    """Drop the reservations of what is decided."""
    if not life.mail or life.mail[-1][0] <= cursor:
        life.mail, life.reservations, life.reserved = [], {}, {}
        return
    decided = dict.fromkeys(name for entry_id, name, _ in life.mail if entry_id <= cursor)
    life.mail = [item for item in life.mail if item[0] > cursor]
    fewer: dict[str, int] = {}
    for name in decided:
        holder = life.reservations.pop(name, None)
        if holder is not None:
            fewer[holder] = fewer.get(holder, 0) + 1
            fewer[holder[:32]] = fewer.get(holder[:32], 0) + 1
    for field, n in fewer.items():
        rest = (number(life.reserved.get(field)) or 0) - n
        if rest > 0:
            life.reserved[field] = rest
        else:
            life.reserved.pop(field, None)


def _settle(
    redis: Redis, partition: PartitionNo, life: Life, began: float, to: Settlement, mode: Mode, seeding: str
) -> int | None:
    gate, campaign = life.gate(to.campaign_id), to.campaign_id
    fields = gate.fields
    if mode == "wipe" or gate.wrong:
        gate.clear()
        fields = gate.fields
        if mode == "wipe" and seeding:
            fields |= {"seeding": seeding, "members": 0}
    ours, layout = True, fields.get("layout")
    if layout is not None and layout != to.layout and str(layout) != str(to.layout):
        ours = to.seq > (-1 if (known := number(fields.get("seq"))) is None else known)
        if ours and fields.get("closed") == "held":
            life.seeded.discard(campaign)
        if ours:
            gate.clear()
            fields = gate.fields
    at, filling = _standing(gate)
    ours = ours and (at is not None or filling != "" if mode == "move" else filling != "" and filling == seeding)
    if ours:
        _set_users(gate, to)
    if ours and mode == "seed":
        fields["edition"] = seeding
        fields["held_until"] = int(_seeded_from(redis, life, began, campaign)) + CERTIFICATE_MS
        fields.pop("seeding", None)
        at = to.seq
    if ours:
        known = number(fields.get("seq"))
        newest = -1 if known is None else int(known)
        fields["members"] = len(gate.users)
        if to.seq >= newest:
            free, closed = "unlimited" if to.free is None else to.free, "" if to.closed is None else to.closed.value
            fields |= {"seq": to.seq, "free": free, "limit": to.per_user_limit, "dry": int(to.dry), "layout": to.layout}
            fields["closed"] = "held" if to.held else closed
            newest = to.seq
        at = None if at is None else newest
        redis.watcher.settled(partition, gate, to)
    return at


def _standing(gate: Gate) -> tuple[int | None, str]:
    """The sequence a warm gate is at, and what seeding fills one; neither when it has lost some of its users."""
    members = number(gate.fields.get("members"))
    if members is None or members != len(gate.users) or len(gate.marks) != 4 * members:
        return None, ""
    seq = number(gate.fields.get("seq")) if "edition" in gate.fields else None
    return (None, str(gate.fields.get("seeding", ""))) if seq is None else (int(seq), "")


def _set_users(gate: Gate, to: Settlement) -> None:
    for user, active in to.users.items():
        held = gate.users.get(user)
        since = -1
        if held is None:
            gate.marks += user_mark(UserId(user)).to_bytes(4, "little")
        else:
            found = _SINCE.search(held)
            since = int(found[1]) if found else -1
        if held is None or to.seq >= since:
            gate.users[user] = f"{active}:{to.seq}"


def _seeded_from(redis: Redis, life: Life, began: float, campaign: CampaignId) -> float:
    if campaign in life.seeded:
        return redis.milliseconds()
    life.seeded.add(campaign)
    return began

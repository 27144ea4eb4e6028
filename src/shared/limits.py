"""What all front doors know of who asked how often: one script call for a micro-batch, by the clock of Redis."""

from collections.abc import Sequence

import msgspec

from shared import keys
from shared.domain.limits import BAN_FAILURES, BAN_MS, LimitedCall, Policies, Subject
from shared.redis_client import Redis, answer_of
from shared.scripts import script

#: How many blocks Redis keeps for doors to hear of. One that a door has missed it hears of when it next charges the subject.
_BLOCKS_KEPT = 10_000
_BLOCKS_AT_ONCE = 1_000


_numbers = msgspec.msgpack.Encoder().encode


class Charge(msgspec.Struct, frozen=True, gc=False):
    """What one subject did at one call. `spent`: calls that were answered already; `asked`: those that wait for a grant."""

    subject: Subject
    call: LimitedCall
    spent: int = 0
    asked: int = 0
    failures: int = 0


class Standing(msgspec.Struct, frozen=True, gc=False):
    """Where a subject stands after its charge. Times are in ms from the moment of the call; in the past they are negative."""

    granted: int
    full_in: int
    blocked_for: int
    failures: int


class Block(msgspec.Struct, frozen=True, gc=False):
    """A subject that was told to wait, or was banned, at whatever door."""

    subject: Subject
    blocked_for: int
    failures: int


class Told(msgspec.Struct, frozen=True, gc=False):
    """What a call brought: where the charged subjects stand, and who was blocked since the last call; `more` if not all.

    Standings are by the number of the charge. One is lacking where only calls were spent by somebody of whom nothing was known.
    """

    standings: dict[int, Standing]
    blocks: list[Block]
    more: bool


class SharedLimits:
    """The buckets and failures of one Redis. Remembers up to where it has heard of blocks."""

    def __init__(self, redis: Redis, policies: Policies) -> None:
        self._limit = redis.register_script(script("limit"))
        self._known = b""
        told = [BAN_MS, _BLOCKS_KEPT, _BLOCKS_AT_ONCE, BAN_FAILURES]
        for policy in policies:
            told += (policy.interval_ms, policy.quota, *policy.ladder_ms)
        self._told = _numbers(told)

    async def charge(self, charges: Sequence[Charge]) -> Told:
        """Charge a micro-batch. Raises RedisUnavailable when there was no answer (it may have been charged)."""
        names = [keys.BLOCKS, *(keys.limits(charge.subject) for charge in charges)]
        done = _numbers([n for each in charges for n in (int(each.call), each.spent, each.asked, each.failures)])
        answer = await answer_of(self._limit(keys=names, args=[self._known, self._told, done]))
        now, self._known, blocks, standings = answer
        # Five numbers in a row are one standing.
        rows = zip(*[iter(standings)] * 5, strict=True)
        return Told(
            {
                number: Standing(granted, full_at - now, blocked - now, failures)
                for number, granted, full_at, blocked, failures in rows
            },
            [block for _, fields in blocks if (block := _block(fields, now)) is not None],
            len(blocks) == _BLOCKS_AT_ONCE,
        )


def _block(fields: list[bytes], now: int) -> Block | None:
    """What an entry says; None when it is not as the script writes them."""
    try:
        _, name, _, until, _, failures = fields
        return Block(keys.limited_subject(name.decode()), min(int(until) - now, BAN_MS), int(failures))
    except ValueError:
        return None

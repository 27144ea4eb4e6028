"""Gates as they are, read in pages, so that a campaign of any size needs no more memory than another."""

import re
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID

from shared import keys
from shared.domain.drift import GateState, MarkSum
from shared.domain.ids import CampaignId, Incarnation, PartitionNo, UserId
from shared.redis_client import Redis, answer_of

_PAGE = 500
_USERS_AT_A_TIME = 500
_MARKS_AT_A_TIME = 65_536
_FIELDS = ("free", "limit", "closed", "dry", "layout", "seq", "members", "edition", "seeding")
_NUMBER = re.compile(r"-?\d+")


class GateReader:
    """The gates of one life of a partition. Every call raises RedisUnavailable."""

    def __init__(self, redis: Redis, partition: PartitionNo, incarnation: Incarnation) -> None:
        self._redis: Any = redis  # its stubs cannot tell its calls' two flavours apart
        self._partition = partition
        self._incarnation = incarnation

    async def campaigns(self) -> AsyncIterator[list[CampaignId]]:
        """Campaigns whose gates were warm at any time, page by page; one may come twice."""
        cursor = 0
        while True:
            cursor, names = await answer_of(
                self._redis.sscan(keys.seeded(self._partition, self._incarnation), cursor, count=_PAGE)
            )
            yield [campaign for name in names if (campaign := _campaign_of(name)) is not None]
            if cursor == 0:
                return

    async def states(self, campaigns: Sequence[CampaignId]) -> list[GateState]:
        """Those of their gates that are warm: of a cold one nobody asks anything but to be made anew."""
        pipeline = self._redis.pipeline(transaction=False)
        for campaign in campaigns:
            gate, users, marks = (named(self._partition, self._incarnation, campaign) for named in _KEYS)
            pipeline.hmget(gate, _FIELDS).hlen(users).strlen(marks)
        answers = await answer_of(pipeline.execute(raise_on_error=False))
        read = [_state(campaign, *answers[3 * n : 3 * n + 3]) for n, campaign in enumerate(campaigns)]
        return [state for state in read if state is not None]

    async def held(self, campaign: CampaignId, users: Sequence[UserId]) -> dict[UserId, str | None]:
        """What the gate says that these users hold."""
        name = keys.users(self._partition, self._incarnation, campaign)
        return {user: _text(held) for user, held in zip(users, await answer_of(self._redis.hmget(name, users)), strict=True)}

    async def users(self, campaign: CampaignId) -> AsyncIterator[dict[UserId, str]]:
        """Everybody whom the gate knows, with what it says that they hold, page by page; one may come twice."""
        name, cursor = keys.users(self._partition, self._incarnation, campaign), 0
        while True:
            cursor, page = await answer_of(self._redis.hscan(name, cursor, count=_USERS_AT_A_TIME))
            yield {UserId(user.decode(errors="replace")): _text(held) or "" for user, held in page.items()}
            if cursor == 0:
                return

    async def marks(self, campaign: CampaignId) -> MarkSum:
        """The gate's marks, added up."""
        name, at, found = keys.marks(self._partition, self._incarnation, campaign), 0, MarkSum()
        while page := await answer_of(self._redis.getrange(name, at, at + _MARKS_AT_A_TIME - 1)):
            whole = page[: len(page) // 4 * 4]
            found = found.plus([int.from_bytes(whole[i : i + 4], "little") for i in range(0, len(whole), 4)])
            at += _MARKS_AT_A_TIME
        return found

    async def settled(self, cursor: str) -> bool:
        """Whether all that was committed up to `cursor` has reached the gates: its entries stay until then."""
        mail = keys.mailbox(self._partition, self._incarnation)
        return not await answer_of(self._redis.xrange(mail, "-", cursor, count=1))


_KEYS = (keys.gate, keys.users, keys.marks)


def _state(campaign: CampaignId, fields: Any, users: Any, marks_bytes: Any) -> GateState | None:
    """A warm gate, by the rule of the scripts; what cannot be read (an exception stands for it) is not warm."""
    if not (isinstance(fields, list) and isinstance(users, int) and isinstance(marks_bytes, int)):
        return None
    *terms, seq, members, edition, seeding = (_text(field) for field in fields)
    whole = members == str(users) and 4 * users == marks_bytes
    if not whole or edition is None or seeding is not None or seq is None or not _NUMBER.fullmatch(seq):
        return None
    return GateState(campaign, int(seq), tuple(terms), users)


def _campaign_of(name: bytes) -> CampaignId | None:
    try:
        return CampaignId(UUID(name.rpartition(b":")[2].decode()))
    except ValueError:
        return None


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode(errors="replace")

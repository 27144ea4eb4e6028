"""The mailbox: one Redis stream per partition, read from a cursor that is stored with the results.

There is no consumer group whose state could be lost: taking over means reading on from the cursor in Postgres. The bell,
a second stream, tells the owner of gates that are cold and awaited.
"""

from uuid import UUID

import msgspec

from shared import keys
from shared.domain.ids import CampaignId, Incarnation, PartitionNo
from shared.domain.operations import SubmitClaim
from shared.redis_client import Redis, answer_of

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(SubmitClaim)


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One item of a mailbox. `claim` None: it cannot be read, and is for the dead letters."""

    entry_id: str
    claim: SubmitClaim | None
    raw: bytes


class Post(msgspec.Struct, frozen=True, gc=False):
    """What a read found: entries in order, and campaigns whose gates are cold."""

    entries: list[Entry]
    cold: set[CampaignId]
    bell: str


def encode(claim: SubmitClaim) -> bytes:
    """A claim as an entry carries it."""
    return _encoder.encode(claim)


def decode(entry_id: str, raw: bytes) -> Entry:
    try:
        return Entry(entry_id, _decoder.decode(raw), raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Entry(entry_id, None, raw)


class Mailbox:
    """The mailbox of one incarnation of a partition, as its owner reads it."""

    def __init__(self, redis: Redis, partition: PartitionNo, incarnation: Incarnation) -> None:
        self._redis = redis
        self._mail = keys.mailbox(partition, incarnation).encode()
        self._bell = keys.bell(partition, incarnation).encode()

    async def read(self, cursor: str, bell: str, count: int, block_ms: int) -> Post:
        """What came after `cursor` and `bell`, at most `count` entries; waits up to `block_ms` (0: not at all) if none has.

        Raises RedisUnavailable when Redis does not answer.
        """
        # To Redis zero would mean for ever.
        wait = block_ms or None
        answer = await answer_of(self._redis.xread({self._mail: cursor, self._bell: bell}, count=count, block=wait))
        streams = {stream: items for stream, items in answer or []}
        rings = streams.get(self._bell, [])
        return Post(
            entries=[_entry(entry_id, fields) for entry_id, fields in streams.get(self._mail, [])],
            cold={campaign for _, fields in rings if (campaign := _campaign(fields.get(b"c", b"")))},
            bell=rings[-1][0].decode() if rings else bell,
        )

    async def unsettled(self, cursor: str) -> list[Entry]:
        """Entries up to `cursor` that are still there: committed, and never settled. Raises RedisUnavailable."""
        items = await answer_of(self._redis.xrange(self._mail, "-", cursor))
        return [_entry(entry_id, fields) for entry_id, fields in items]

    async def lag(self, cursor: str) -> int:
        """How many entries came after `cursor`. Raises RedisUnavailable.

        Those before it are gone but for the last batch or two, so counting them costs less than reading all others.
        """
        entries = int(await answer_of(self._redis.xlen(self._mail)))
        return max(0, entries - len(await self.unsettled(cursor))) if entries else 0

    async def last_id(self) -> str:
        """The id of the last entry ever appended, "0-0" when there was none."""
        if not await answer_of(self._redis.exists(self._mail)):
            return "0-0"
        return str((await answer_of(self._redis.xinfo_stream(self._mail)))["last-generated-id"].decode())


def position(entry_id: str) -> tuple[int, int]:
    """An entry id as numbers, to compare."""
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds), int(number)


def _entry(entry_id: bytes, fields: dict[bytes, bytes]) -> Entry:
    return decode(entry_id.decode(), fields.get(b"e", b""))


def _campaign(text: bytes) -> CampaignId | None:
    try:
        return CampaignId(UUID(text.decode()))
    except ValueError:
        return None

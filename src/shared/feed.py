"""The outcome feed: what became of claims, one message per batch and front door.

A message may be lost; whoever waits looks in Postgres after a while. A ticket is the front door's own number for one
ask of its gate, so an outcome of an earlier attempt is never taken for the answer to a later one.
"""

from collections.abc import Iterable

import msgspec

from shared import keys
from shared.domain.ids import DoorId
from shared.domain.outcomes import Heard
from shared.redis_client import Redis, answer_of, promptly

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[tuple[int, Heard]])


async def publish(redis: Redis, outcomes: Iterable[tuple[DoorId, int, Heard]]) -> None:
    """Tell each front door what became of its tickets. Raises RedisUnavailable when Redis does not answer."""
    messages: dict[DoorId, list[tuple[int, Heard]]] = {}
    for door, ticket, outcome in outcomes:
        messages.setdefault(door, []).append((ticket, outcome))
    if not messages:
        return
    pipeline = redis.pipeline(transaction=False)
    for door, message in messages.items():
        pipeline.publish(keys.outcome_channel(door), _encoder.encode(message))
    await answer_of(promptly(pipeline.execute()))


def decode(message: bytes) -> list[tuple[int, Heard]]:
    """The tickets and outcomes of a message."""
    return _decoder.decode(message)

"""Listening to the outcome feed. Messages may be lost while the link is down: whoever waits looks in Postgres then."""

import asyncio

import msgspec
import structlog

from frontdoor.desk import Desk
from shared import feed, keys, metrics
from shared.domain.ids import DoorId
from shared.redis_client import NO_ANSWER, Redis, RedisError

log = structlog.get_logger()

_PAUSE_S = 0.2


async def listen(redis: Redis, door: DoorId, desk: Desk, listening: asyncio.Event) -> None:
    """Hand every outcome to the desk, until cancelled. `listening` is set once the channel is heard."""
    while True:
        try:
            async with redis.pubsub(ignore_subscribe_messages=False) as channel:
                await channel.subscribe(keys.outcome_channel(door))
                async for message in channel.listen():
                    _hear(message, desk, listening)
        except (RedisError, *NO_ANSWER) as error:
            log.warning("feed_lost", error=repr(error))
            await asyncio.sleep(_PAUSE_S)


def _hear(message: dict[str, object], desk: Desk, listening: asyncio.Event) -> None:
    if message["type"] == "subscribe":
        listening.set()
        return
    data = message["data"]
    if not isinstance(data, bytes):
        return
    try:
        desk.deliver(feed.decode(data))
    except msgspec.DecodeError as error:
        log.error("outcome_unreadable", error=str(error))
    metrics.OUTCOME_MESSAGES.add()

"""Listening to channels of Redis. Messages may be lost while the link is down: whoever needs them looks for himself, too."""

import asyncio
from collections.abc import Callable, Mapping

import structlog

from shared.errors import RedisUnavailable
from shared.redis_client import Redis, answer_of

log = structlog.get_logger()

_PAUSE_S = 0.2


async def listen(redis: Redis, channels: Mapping[str, Callable[[bytes], None]], heard: asyncio.Event) -> None:
    """Hand every message to whom its channel belongs, until cancelled. `heard` is set once all of them are heard."""
    listeners = {name.encode(): hear for name, hear in channels.items()}
    while True:
        try:
            await answer_of(_listen(redis, listeners, heard))
        except RedisUnavailable as error:
            log.warning("channels_lost", channels=list(channels), error=str(error))
            await asyncio.sleep(_PAUSE_S)


async def _listen(redis: Redis, listeners: Mapping[bytes, Callable[[bytes], None]], heard: asyncio.Event) -> None:
    async with redis.pubsub() as subscription:
        await subscription.subscribe(*listeners)
        async for message in subscription.listen():
            if message["type"] == "message":
                listeners[message["channel"]](message["data"])
            elif message["data"] == len(listeners):
                heard.set()

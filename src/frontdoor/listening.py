"""Listening to channels of Redis. Messages may be lost while the link is down: whoever needs them looks for himself, too."""

import asyncio
from collections.abc import Callable, Mapping

import structlog

from shared.redis_client import Redis, RedisError

log = structlog.get_logger()

_PAUSE_S = 0.2


async def listen(redis: Redis, channels: Mapping[str, Callable[[bytes], None]], heard: asyncio.Event) -> None:
    """Hand every message to whom its channel belongs, until cancelled. `heard` is set once all of them are heard."""
    listeners = {name.encode(): hear for name, hear in channels.items()}
    while True:
        try:
            async with redis.pubsub() as subscription:
                await subscription.subscribe(*channels)
                async for message in subscription.listen():
                    if message["type"] == "message":
                        listeners[message["channel"]](message["data"])
                    elif message["data"] == len(channels):
                        heard.set()
        except (RedisError, OSError) as error:
            log.warning("channels_lost", channels=list(channels), error=repr(error))
            await asyncio.sleep(_PAUSE_S)

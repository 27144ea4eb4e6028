"""Connections to Redis: how they are made, and why they never retry.

A retried command can act twice (one INCR ran eleven times after a cut link), so retries are off and whoever may ask again
does it with a script that is idempotent by claim id. Reads that block get a client of their own, without a read deadline
shorter than the block.
"""

import asyncio
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.connection import HiredisRespSerializer
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import DataError, RedisError
from redis.exceptions import TimeoutError as ReplyLate

from shared.errors import RedisUnavailable, SettingInvalid

#: What a call raises when there was no answer: it may or may not have run.
NO_ANSWER = (ConnectionLost, ReplyLate, OSError)

_CONNECTIONS = 64

#: For how long a call waits for its answer.
REPLY_WITHIN_S = 1.0

__all__ = ["NO_ANSWER", "REPLY_WITHIN_S", "Redis", "RedisError", "answer_of", "open_redis", "promptly"]


def open_redis(url: str, *, reply_within_s: float | None = REPLY_WITHIN_S) -> Redis:
    """A client whose calls fail after `reply_within_s` seconds rather than wait (None: for channels, which may be silent)."""
    try:
        return _open_redis(url, reply_within_s)
    except ValueError as error:
        raise SettingInvalid(f"LASTSLOT_REDIS_URL: {error}") from None


async def answer_of(call: Any) -> Any:
    """What Redis answers to a call, whose type redis-py leaves open. Raises RedisUnavailable when it does not, or cannot."""
    try:
        return await call
    except (RedisError, *NO_ANSWER) as error:
        raise RedisUnavailable(f"Redis gave no answer: {error!r}") from error
    except RuntimeError as error:
        # So uvloop calls it when the other side has just hung up on what is written to.
        if not str(error).endswith("the handler is closed"):
            raise
        raise RedisUnavailable("Redis hung up") from error


async def promptly(call: Any) -> Any:
    """The same call, bounded as a whole: a pipeline's, which nothing else bounds (see `_Prompt`)."""
    async with asyncio.timeout(REPLY_WITHIN_S):
        return await call


def _open_redis(url: str, reply_within_s: float | None) -> Redis:
    client: _Prompt = _Prompt.from_url(
        url,
        socket_timeout=reply_within_s,
        socket_connect_timeout=1.0,
        retry=Retry(NoBackoff(), 0),
        retry_on_timeout=False,
        max_connections=_CONNECTIONS,
    )
    client.reply_within_s = reply_within_s
    pool = client.connection_pool
    pool.connection_class = type("Connection", (_Packing, pool.connection_class), {})
    return client


class _Packing(AbstractConnection):
    """A connection whose commands are packed by hiredis.

    redis-py packs those of its asyncio connections an argument at a time, which for the claims of a micro-batch takes ten times
    as long.
    """

    _packer = HiredisRespSerializer()

    def pack_command(self, *args: Any) -> list[bytes]:
        try:
            packed: list[bytes] = self._packer.pack(*args)
        except DataError:
            # What is more than a plain text or number, as the members of an enum, redis-py knows to write.
            packed = super().pack_command(*args)
        return packed


class _Prompt(Redis):
    """A client that bounds a call as a whole, and that is over once it was closed.

    redis-py opens a connection for whoever calls afterwards, which nobody then closes. And it bounds every connect and every
    read, but not the wait for its pool, whose lock it holds while it connects: before a frozen server, sixteen calls at once
    would take sixteen times as long as one.
    """

    reply_within_s: float | None = None
    _over = False

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        self._over = True
        await super().aclose(close_connection_pool)

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        if self._over:
            raise ConnectionLost("the client was closed")
        async with asyncio.timeout(self.reply_within_s):
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]

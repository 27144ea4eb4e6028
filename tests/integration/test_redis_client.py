"""A call is sent once: whether it ran is not known when its answer was lost, and whoever asks again must mean to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
import uvloop
from redis.asyncio.connection import Connection
from redis.exceptions import DataError

from shared import clock
from shared.domain.ids import DoorId
from shared.domain.limits import LimitedCall
from shared.domain.outcomes import Refusal, Refused
from shared.errors import RedisUnavailable
from shared.feed import publish
from shared.process import abandoned
from shared.redis_client import NO_ANSWER, REPLY_WITHIN_S, Redis, answer_of, open_redis
from tests.proxy import network


@asynccontextmanager
async def losing_the_answers_to(command: bytes, url: str) -> AsyncIterator[str]:
    """The URL of a way to Redis on which every call arrives and these answers do not. Nothing is broken: they never come."""
    store, carrying = urlsplit(url), set[asyncio.Task[Any]]()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (task := asyncio.current_task()) is not None:
            carrying.add(task)
        answers, calls = await asyncio.open_connection(store.hostname, store.port)
        try:
            while call := await reader.read(65536):
                calls.write(call)
                answer = await answers.read(65536)
                if command not in call:
                    writer.write(answer)
        finally:
            for link in (writer, calls):
                link.close()
                await link.wait_closed()

    async with await asyncio.start_server(carry, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        try:
            yield urlunsplit(store._replace(netloc=f":{store.password}@{host}:{port}"))
        finally:
            await abandoned(*carrying)


async def test_a_client_that_was_closed_opens_no_connection_for_whoever_calls_late(redis_url: str) -> None:
    client = open_redis(redis_url)
    await client.ping()
    await client.aclose()
    with pytest.raises(RedisUnavailable):
        await answer_of(client.ping())


async def test_many_who_publish_to_a_redis_that_fell_silent_wait_no_longer_than_one(redis_url: str) -> None:
    told = [(DoorId("door"), 1, Refused(Refusal.EXHAUSTED))]
    with network() as net:
        link = net.to(redis_url)
        link.silence()
        async with open_redis(link.url) as redis:
            before = clock.monotonic()
            heard = await asyncio.gather(*(publish(redis, told) for _ in range(5)), return_exceptions=True)
            assert clock.monotonic() - before < 2 * REPLY_WITHIN_S
    assert [type(each) for each in heard] == [RedisUnavailable] * 5


async def test_what_is_written_to_redis_is_what_the_library_would_write(redis_url: str) -> None:
    sent = ("CLIENT SETNAME", b"\0\r\n", "ü", 7, -1.5, Refusal.EXHAUSTED, LimitedCall.REDEEM, b"x" * 10_000)
    async with open_redis(redis_url) as client:
        pool: Any = client.connection_pool
        connection = pool.make_connection()
        assert b"".join(connection.pack_command(*sent)) == b"".join(Connection().pack_command(*sent))
        with pytest.raises(DataError):
            connection.pack_command("SET", "name", None)


async def test_a_call_whose_answer_is_lost_is_run_once(redis: Redis, redis_url: str) -> None:
    async with losing_the_answers_to(b"INCR", redis_url) as url, open_redis(url) as lossy:
        await lossy.ping()
        with pytest.raises(NO_ANSWER):
            await lossy.incr("counted")
        counted: Any = redis.get("counted")  # its stubs cannot tell its calls' two flavours apart
        assert await counted == b"1"


def test_a_redis_that_hangs_up_on_whoever_connects_is_away(redis_url: str) -> None:
    """In the loop that the processes run, which has words of its own for it."""

    async def asked(url: str) -> None:
        async with open_redis(url) as client:
            for _ in range(50):
                with pytest.raises(RedisUnavailable):
                    await answer_of(client.ping())

    with network() as net:
        link = net.to(redis_url)
        link.refuse()
        uvloop.run(asked(link.url))

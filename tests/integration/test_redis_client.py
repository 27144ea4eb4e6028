"""A call is sent once: whether it ran is not known when its answer was lost, and whoever asks again must mean to."""

from collections.abc import Callable
from typing import Any

import pytest
import uvloop

from shared.errors import RedisUnavailable
from shared.redis_client import NO_ANSWER, Redis, answer_of, open_redis
from tests.proxy import Link, network


async def test_a_client_that_was_closed_opens_no_connection_for_whoever_calls_late(redis_url: str) -> None:
    client = open_redis(redis_url)
    await client.ping()
    await client.aclose()
    with pytest.raises(RedisUnavailable):
        await answer_of(client.ping())


HARMS: dict[str, Callable[[Link], None]] = {
    "broken": lambda link: link.swallow(b"INCR"),
    "silent": lambda link: link.silence("back"),
}


@pytest.mark.parametrize("harm", HARMS)
async def test_a_call_whose_answer_is_lost_is_run_once(redis: Redis, redis_url: str, harm: str) -> None:
    with network() as net:
        link = net.to(redis_url)
        async with open_redis(link.url) as lossy:
            await lossy.ping()
            HARMS[harm](link)
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

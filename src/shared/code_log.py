"""Codes that were added reach every front door before it is said that they were.

Postgres has a log of them and knows which doors answer for codes that do not exist, and how far each has read (see
`frontdoor.code_filter`). Redis only rings the bell.
"""

import asyncio

import structlog

from shared import clock, keys
from shared.errors import RedisUnavailable
from shared.postgres import Pool, for_a_look
from shared.redis_client import Redis, answer_of
from shared.statements import statement

#: For how long those who add codes wait for a door that is silent.
TTL_S = 2.5

_FIRST_PAUSE_S = 0.002
_LONGEST_PAUSE_S = 0.05

log = structlog.get_logger()


async def ring(redis: Redis) -> None:
    """Have the doors read the log now. Never fails: they read it before long in any case."""
    try:
        await answer_of(redis.publish(keys.CODES_ADDED_CHANNEL, b""))
    except (RedisUnavailable, TimeoutError) as error:
        log.warning("codes_not_announced", error=str(error))


async def known_everywhere(pool: Pool) -> None:
    """Wait until every living front door has read what is in the log now.

    One that stops reading is waited for until what it said last runs out: it then looks codes up. Whatever it says after the
    codes are committed it reads on from before it answers. So that runs out within TTL_S from now, also where Postgres's clock
    says otherwise because it was set back.

    Raises what `shared.postgres.NO_ANSWER` names.
    """
    position = await _ask(pool, "code_log_end")
    pause_s, until = _FIRST_PAUSE_S, clock.monotonic() + TTL_S
    while clock.monotonic() < until and await _ask(pool, "doors_behind", position):
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


async def _ask(pool: Pool, name: str, *given: int) -> int:
    async with for_a_look(pool) as connection:
        answer: int = await connection.fetchval(statement(name), *given)
    return answer

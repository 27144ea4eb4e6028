"""What operators' machines ask of either port: alive, ready."""

import asyncio

import asyncpg
from aiohttp import web

from frontdoor.context import DOOR, Door
from frontdoor.replies import reply
from frontdoor.shapes import Health, Readiness
from shared.book import lifeless
from shared.domain.ids import PARTITIONS, PartitionNo
from shared.errors import RedisUnavailable
from shared.postgres import NO_ANSWER
from shared.redis_client import answer_of

routes = web.RouteTableDef()

_WITHIN_S = 1.0


@routes.get("/healthz")
async def healthz(_: web.Request) -> web.Response:
    """The process answers."""
    return reply(Health("ok"))


@routes.get("/readyz")
async def readyz(request: web.Request) -> web.Response:
    """The process can serve: both stores answer, it knows which codes there are and whose tokens to believe, and goes on.

    Without Redis it can once claims are decided without it; before, other doors may reach it, and decide.
    """
    door = request.app[DOOR]
    postgres, redis = await asyncio.gather(_postgres_answers(door), _redis_answers(door))
    checks = {"postgres": postgres, "redis": redis, "codes": door.code_filter.trusted, "accepting": not door.draining}
    if door.keeper is not None:
        checks["keys"] = door.keeper.ring.keys is not None
    if not redis:
        checks["direct"] = postgres and await _decides_directly(door)
    ready = all(answer for check, answer in checks.items() if check != "redis")
    return reply(Readiness(ready, checks), 200 if ready else 503)


async def _postgres_answers(door: Door) -> bool:
    try:
        async with asyncio.timeout(_WITHIN_S), door.pool.acquire() as connection:
            await connection.fetchval("SELECT 1")
    except (asyncpg.PostgresError, *NO_ANSWER):
        return False
    return True


async def _decides_directly(door: Door) -> bool:
    """Whether no partition has a life in Redis."""
    everything = [PartitionNo(number) for number in range(PARTITIONS)]
    try:
        async with asyncio.timeout(_WITHIN_S), door.pool.acquire() as connection:
            return len(await lifeless(connection, everything)) == PARTITIONS
    except (asyncpg.PostgresError, *NO_ANSWER):
        return False


async def _redis_answers(door: Door) -> bool:
    try:
        async with asyncio.timeout(_WITHIN_S):
            await answer_of(door.redis.ping())
    except (RedisUnavailable, TimeoutError):
        return False
    return True

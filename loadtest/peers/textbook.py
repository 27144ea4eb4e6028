"""The textbook design, as a competent team writes it: Redis decides, Postgres records, one round trip after another.

For each request: the token by PyJWT, a rate limiter (one Redis script), the gate (one Redis script: is the user in, is a slot
left, take it), and for a winner one synchronous transaction (redemption, attempt, the campaign's counter) before the answer.
uvloop, hiredis, pooled keep-alive connections everywhere; the database's constraints re-check what Redis said. `tuned.py` is
the same with the transaction in one statement.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias
from uuid import UUID, uuid4

import asyncpg
from aiohttp import web
from redis.asyncio import BlockingConnectionPool, Redis
from redis.commands.core import AsyncScript

from loadtest.peers.books import DISCOUNT
from loadtest.peers.doors import Claim, read_claim, redeemed, refused
from loadtest.peers.serving import arguments, serve
from shared.postgres import Connection

_LIMITER = """
local asked = redis.call('INCR', KEYS[1])
if asked == 1 then redis.call('EXPIRE', KEYS[1], ARGV[2]) end
return asked <= tonumber(ARGV[1]) and 1 or 0
"""
_GATE = """
local left = redis.call('GET', KEYS[2])
if not left then return 'unknown' end
if redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 1 then return 'already' end
if tonumber(left) <= 0 then return 'sold_out' end
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('DECR', KEYS[2])
return 'won'
"""
_GIVE_BACK = """
if redis.call('SREM', KEYS[1], ARGV[1]) == 1 then redis.call('INCR', KEYS[2]) end
"""

_REQUESTS_A_MINUTE = 60

Write: TypeAlias = Callable[[Connection, UUID, Claim], Awaitable[None]]

SECRET = web.AppKey("secret", str)
POOL = web.AppKey("pool", asyncpg.Pool)
WRITE: web.AppKey[Write] = web.AppKey("write")
LIMITER = web.AppKey("limiter", AsyncScript)
GATE = web.AppKey("gate", AsyncScript)
GIVE_BACK = web.AppKey("give_back", AsyncScript)


def gate_keys(code: str) -> list[str]:
    """Who is in, and how many slots are left."""
    return [f"textbook:users:{code}", f"textbook:left:{code}"]


async def redeem(request: web.Request) -> web.Response:
    claim = await read_claim(request, request.app[SECRET])
    if not await request.app[LIMITER](keys=[f"textbook:rate:{claim.user}"], args=[_REQUESTS_A_MINUTE, 60]):
        return refused(429, "too_many_requests")
    match await request.app[GATE](keys=gate_keys(claim.code), args=[claim.user]):
        case b"won":
            return await _record(request.app, claim)
        case b"already":
            return await _already(request.app, claim)
        case b"sold_out":
            return refused(410, "exhausted")
    return refused(404, "unknown_code")


async def _record(app: web.Application, claim: Claim) -> web.Response:
    redemption_id = uuid4()
    try:
        async with app[POOL].acquire() as connection:
            await app[WRITE](connection, redemption_id, claim)
    except asyncpg.UniqueViolationError:
        return await _already(app, claim)
    except asyncpg.CheckViolationError:
        return refused(410, "exhausted")
    except (asyncpg.PostgresError, OSError):
        await app[GIVE_BACK](keys=gate_keys(claim.code), args=[claim.user])
        return refused(503, "unavailable")
    return redeemed(201, claim, redemption_id)


async def write_in_three_statements(connection: Connection, redemption_id: UUID, claim: Claim) -> None:
    """The transaction as most would write it."""
    async with connection.transaction():
        await connection.execute(
            "INSERT INTO redemptions (redemption_id, campaign_id, code, user_id, order_id, discount_applied, idempotency_key)"
            " SELECT $1, campaign_id, code, $3, $4, $5, $6 FROM campaigns WHERE code = $2",
            redemption_id, claim.code, claim.user, claim.order_id, DISCOUNT, claim.key,
        )  # fmt: skip
        await connection.execute(
            "INSERT INTO redemption_attempts (code, user_id, result) VALUES ($1, $2, 'won')", claim.code, claim.user
        )
        # Last, so that the one row that all winners meet at is locked for as short as can be.
        await connection.execute("UPDATE campaigns SET claimed = claimed + 1 WHERE code = $1", claim.code)


async def _already(app: web.Application, claim: Claim) -> web.Response:
    row = await app[POOL].fetchrow(
        "SELECT redemption_id, idempotency_key FROM redemptions WHERE code = $1 AND user_id = $2", claim.code, claim.user
    )
    if row is not None and row["idempotency_key"] == claim.key:
        return redeemed(200, claim, row["redemption_id"])
    return refused(409, "already_redeemed")


def make_app(dsn: str, redis_url: str, secret: str, write: Write) -> web.Application:
    async def stores(app: web.Application) -> AsyncIterator[None]:
        pool = BlockingConnectionPool.from_url(redis_url, max_connections=64, timeout=None)
        async with Redis(connection_pool=pool) as redis, asyncpg.create_pool(dsn, min_size=20, max_size=20) as app[POOL]:
            app[LIMITER], app[GATE] = redis.register_script(_LIMITER), redis.register_script(_GATE)
            app[GIVE_BACK] = redis.register_script(_GIVE_BACK)
            yield

    app = web.Application()
    app[SECRET], app[WRITE] = secret, write
    app.cleanup_ctx.append(stores)
    app.router.add_post("/api/v1/coupons/redeem", redeem)
    return app


def main(write: Write) -> None:
    """Serve with this way of writing a winner down."""
    parser = arguments()
    parser.add_argument("--dsn", required=True)
    parser.add_argument("--redis-url", required=True)
    parser.add_argument("--secret", required=True)
    given = parser.parse_args()
    serve(lambda: make_app(given.dsn, given.redis_url, given.secret, write), given.port)


if __name__ == "__main__":
    main(write_in_three_statements)

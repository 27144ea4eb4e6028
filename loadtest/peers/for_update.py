"""The design without Redis: `SELECT … FOR UPDATE` on the campaign's row, then decide, write, commit."""

from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
from aiohttp import web

from loadtest.peers.books import DISCOUNT
from loadtest.peers.doors import Claim, read_claim, redeemed, refused
from loadtest.peers.serving import arguments, serve
from shared.postgres import Connection

SECRET = web.AppKey("secret", str)
POOL = web.AppKey("pool", asyncpg.Pool)


async def redeem(request: web.Request) -> web.Response:
    claim = await read_claim(request, request.app[SECRET])
    async with request.app[POOL].acquire() as connection, connection.transaction():
        return await _decide(connection, claim)


async def _decide(connection: Connection, claim: Claim) -> web.Response:
    campaign = await connection.fetchrow(
        "SELECT campaign_id, claimed < total_limit AS open FROM campaigns WHERE code = $1 FOR UPDATE", claim.code
    )
    if campaign is None:
        return refused(404, "unknown_code")
    held = await connection.fetchrow(
        "SELECT redemption_id, idempotency_key FROM redemptions WHERE campaign_id = $1 AND user_id = $2",
        campaign["campaign_id"], claim.user,
    )  # fmt: skip
    if held is not None:
        same = held["idempotency_key"] == claim.key
        return redeemed(200, claim, held["redemption_id"]) if same else refused(409, "already_redeemed")
    if not campaign["open"]:
        return refused(410, "exhausted")
    redemption_id = uuid4()
    await connection.execute(
        "INSERT INTO redemptions (redemption_id, campaign_id, code, user_id, order_id, discount_applied, idempotency_key)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7)",
        redemption_id, campaign["campaign_id"], claim.code, claim.user, claim.order_id, DISCOUNT, claim.key,
    )  # fmt: skip
    await connection.execute("UPDATE campaigns SET claimed = claimed + 1 WHERE campaign_id = $1", campaign["campaign_id"])
    return redeemed(201, claim, redemption_id)


def make_app(dsn: str, secret: str) -> web.Application:
    async def stores(app: web.Application) -> AsyncIterator[None]:
        async with asyncpg.create_pool(dsn, min_size=10, max_size=10) as app[POOL]:
            yield

    app = web.Application()
    app[SECRET] = secret
    app.cleanup_ctx.append(stores)
    app.router.add_post("/api/v1/coupons/redeem", redeem)
    return app


if __name__ == "__main__":
    parser = arguments()
    parser.add_argument("--dsn", required=True)
    parser.add_argument("--secret", required=True)
    given = parser.parse_args()
    serve(lambda: make_app(given.dsn, given.secret), given.port)

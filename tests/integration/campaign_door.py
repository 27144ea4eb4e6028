"""A front door that serves the calls of administrators and the polls, on real stores."""

from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from frontdoor import campaigns, claims, codes, launches, segments, tokens
from frontdoor.campaign_cache import CampaignCache
from frontdoor.context import DOOR, Door
from frontdoor.middlewares import answer_every_request
from frontdoor.tokens import TokenVerifier
from shared.domain.ids import DoorId
from shared.postgres import Pool
from shared.redis_client import Redis
from shared.settings import Settings

SECRET = "only-for-tests-only-for-tests-only-for-tests"
BODY: dict[str, Any] = {
    "name": "Black Friday",
    "type": "shared",
    "code": "blackfri100",
    "discount": {"type": "amount", "value": 1000, "currency": "USD"},
    "total_limit": 1000,
    "timezone": "America/New_York",
    "starts_at": "2026-11-27T00:00",
    "ends_at": "2026-11-28 00:00:00",
}

Client = TestClient[web.Request, web.Application]


def token(*scopes: str) -> str:
    return tokens.issue(SECRET, "someone", scopes)


def headers(*scopes: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(*scopes)}"}


def door_of(dsn: str, pool: Pool, redis: Redis) -> Door:
    settings = Settings(postgres_dsn=dsn, redis_url="redis://unused", jwt_secret=SECRET)
    cache = CampaignCache(pool, redis, 100)
    return Door(DoorId("door-1"), settings, pool, redis, cache, TokenVerifier(SECRET))


def served(door: Door) -> Client:
    """An administrator's client of the door."""
    app = web.Application(middlewares=[answer_every_request])
    app[DOOR] = door
    app.add_routes([*campaigns.routes, *launches.routes, *codes.routes, *segments.routes, *claims.routes])
    return TestClient(TestServer(app), headers=headers("admin"))

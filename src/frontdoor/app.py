"""The front door put together: its parts start in one order and stop in the other."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import partial
from secrets import token_hex

import structlog
from aiohttp import web

from frontdoor import (
    campaigns,
    claims,
    codes,
    docs,
    health,
    launches,
    meters,
    moves,
    openapi,
    redeem,
    redemptions,
    segments,
    validate,
)
from frontdoor.campaign_cache import CampaignCache
from frontdoor.context import DOOR, Door
from frontdoor.decoys import keep_looking
from frontdoor.jwks import KeyRing
from frontdoor.key_keeping import KeyKeeper, source_of
from frontdoor.listening import listen
from frontdoor.middlewares import answer_every_request
from frontdoor.newcomers import at_the_wicket, in_the_application
from frontdoor.openapi import BOTH, SIDES, Side, Sides
from frontdoor.reception import Answering
from frontdoor.tokens import Expected, TokenVerifier
from frontdoor.visit import Visit
from frontdoor.wicket import Counter, Counters
from shared import keys, metrics
from shared.domain.ids import DoorId
from shared.postgres import close_pool, open_pool
from shared.redis_client import Redis, open_redis
from shared.settings import Settings

log = structlog.get_logger()

ROOMS: dict[Side, tuple[web.RouteTableDef, ...]] = {
    "public": (redeem.routes, validate.routes, claims.routes, redemptions.routes),
    "admin": (campaigns.routes, launches.routes, moves.routes, codes.routes, segments.routes, meters.routes),
}
ON_EVERY_PORT = (health.routes, openapi.routes, docs.routes)


@contextlib.asynccontextmanager
async def opened_door(settings: Settings) -> AsyncIterator[Door]:
    """A front door whose stores are connected and whose feeds are heard."""
    keeper = await _key_keeper(settings)
    pool = await open_pool(settings.postgres_dsn, settings.postgres_pool)
    redis = open_redis(settings.redis_url)
    hearing = open_redis(settings.redis_url, reply_within_s=None)
    cache = CampaignCache(pool, redis, settings.campaign_cache_max)
    door = Door(DoorId(f"door-{token_hex(4)}"), settings, pool, redis, cache, _verifier(settings, keeper), keeper)
    heard = asyncio.Event()
    tasks = _begun(door, hearing, heard)
    try:
        with contextlib.suppress(TimeoutError):
            # Without the feed a door still serves: outcomes are then looked up.
            await asyncio.wait_for(heard.wait(), 2.0)
        yield door
    finally:
        await door.attempts.flush()
        await cancelled(*tasks)
        await door.code_filter.leave()
        await redis.aclose()
        await hearing.aclose()
        await close_pool(pool)


def _begun(door: Door, hearing: Redis, heard: asyncio.Event) -> list[asyncio.Task[None]]:
    """What a door does beside answering, as tasks; without any of them it stops."""
    channels = {
        keys.outcome_channel(door.door_id): door.desk.hear,
        keys.CAMPAIGN_CHANGED_CHANNEL: door.campaigns.hear,
        keys.CODES_ADDED_CHANNEL: door.code_filter.hear,
    }
    parts: dict[str, Coroutine[None, None, None]] = {
        "channels": listen(hearing, channels, heard),
        "campaign-cache": door.campaigns.keep_comparing(),
        "code-filter": door.code_filter.keep_following(),
        "decoys": keep_looking(door.look_in_vain, door.ticks),
        "attempts": door.attempts.keep_shipping(),
        "limiter": door.limiter.keep_sharing(),
        "metrics": metrics.keep_folding(lambda: door.desk.waiting),
    }
    if door.keeper is not None:
        parts["keys"] = door.keeper.keep()
    tasks = [asyncio.create_task(part, name=name) for name, part in parts.items()]
    for task in tasks:
        task.add_done_callback(_stop_without)
    return tasks


async def _key_keeper(settings: Settings) -> KeyKeeper | None:
    if settings.jwks is None:
        return None
    keeper = KeyKeeper(KeyRing(), source_of(settings.jwks, settings.jwks_refresh_s))
    await keeper.begin()
    return keeper


def _verifier(settings: Settings, keeper: KeyKeeper | None) -> TokenVerifier:
    expected = Expected(settings.jwt_audience, settings.jwt_issuer, settings.jwt_leeway_s)
    ring = None if keeper is None else keeper.ring
    return TokenVerifier(settings.jwt_secret, cache_max=settings.token_cache_max, ring=ring, expected=expected)


async def cancelled(*tasks: asyncio.Task[None]) -> None:
    """Cancel until all have ended: `wait_for` (before Python 3.12) swallows a cancellation that comes with its result."""
    while alive := [task for task in tasks if not task.done()]:
        for task in alive:
            task.cancel()
        await asyncio.wait(alive, timeout=0.1)


def _stop_without(task: asyncio.Task[None]) -> None:
    """A door that lost one of its parts must not go on as if it had it: it stops, and whoever supervises it starts another."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("part_failed", part=task.get_name(), exc_info=error)
        signal.raise_signal(signal.SIGTERM)


def counters(door: Door, sides: Sides = BOTH) -> Counters:
    """The calls that are answered at the wicket."""
    if "public" not in sides:
        return {}
    calls: dict[str, Callable[[Visit], Answering]]
    calls = {"redeem": partial(redeem.answer, door), "validate": partial(validate.answer, door)}
    if door.keeper is not None:
        calls = {name: at_the_wicket(door.keeper, door.verifier, call) for name, call in calls.items()}
    return {f"/api/v1/coupons/{name}": Counter(name, call) for name, call in calls.items()}


def application(door: Door, sides: Sides = BOTH) -> web.Application:
    """The routes of these sides of a front door."""
    app = web.Application(middlewares=[answer_every_request])
    if door.keeper is not None:
        app.middlewares.append(in_the_application(door.keeper, door.verifier))
    app[DOOR] = door
    app[SIDES] = sides
    for side in sides:
        for room in ROOMS[side]:
            app.add_routes(room)
    for room in ON_EVERY_PORT:
        app.add_routes(room)
    return app

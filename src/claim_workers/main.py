"""A worker shard as a process: connect, keep leases until told to stop, hang up."""

import asyncio
import secrets

import structlog

from claim_workers.consumer import Stores
from claim_workers.guard import Guard
from claim_workers.inspecting import Inspector
from claim_workers.keeper import Keeper
from shared.domain.ids import ShardId
from shared.domain.velocity import Policy
from shared.gate import Gate
from shared.postgres import close_pool, open_pool
from shared.process import run
from shared.redis_client import open_redis
from shared.settings import Settings

#: Connections for the leases alone: one listens, and rows which somebody holds are waited for side by side.
KEEPING = 5

#: A read blocks for a fifth of a second. One that Redis does not end is not waited for much longer than that.
READ_WITHIN_S = 1.5

log = structlog.get_logger()


def work(settings: Settings) -> None:
    """Run a shard until SIGTERM or SIGINT; the batch at hand is finished and the leases are resigned."""
    run("worker", settings, _work)


async def _work(settings: Settings, stopping: asyncio.Event) -> None:
    # A new name at every start: what was owned before a restart is not ours.
    shard = ShardId(f"shard-{secrets.token_hex(4)}")
    # Who was frozen in a transaction keeps its partition from the next owner for no longer than its lease does.
    pool = await open_pool(settings.postgres_dsn, settings.postgres_pool, quiet_s=max(1.0, settings.lease_ttl_s))
    keeping = await open_pool(settings.postgres_dsn, KEEPING, lock_wait_s=settings.lease_ttl_s / 10)
    redis = open_redis(settings.redis_url)
    reading = open_redis(settings.redis_url, reply_within_s=READ_WITHIN_S)
    stores = Stores(pool, keeping, redis, reading, Gate(redis, settings.mailbox_max))
    guard = Guard(pool, redis, Policy(settings.velocity_factor, settings.velocity_floor), settings.alert_webhook)
    guarding = asyncio.create_task(guard.keep(stopping))
    inspecting = asyncio.create_task(Inspector(stores, shard).keep(stopping))
    log.info("shard_started", shard=shard)
    try:
        await Keeper(stores, shard, settings.lease_ttl_s, settings.batch_max).keep(stopping)
    finally:
        stopping.set()
        inspecting.cancel()
        await asyncio.gather(guarding, inspecting, return_exceptions=True)
        await redis.aclose()
        await reading.aclose()
        await close_pool(keeping)
        await close_pool(pool)
        log.info("shard_stopped", shard=shard)

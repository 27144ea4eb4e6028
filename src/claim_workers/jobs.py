"""Scheduled work: things that may run twice or be skipped without harm, because they only read or repeat what is done.

arq keeps the schedule in Redis, so that of several of these processes one does each job. It promises no more than that:
a job is run again when its process dies, and is left out while Redis is away.
"""

import asyncio
from collections import Counter
from datetime import UTC
from pathlib import Path
from typing import Any

import msgspec
import structlog
from arq.connections import ArqRedis
from arq.cron import cron
from arq.worker import Worker

from claim_workers.filter_building import Builder
from shared import attempts, attic, clock, keys, metrics, process, segments
from shared.audit import audit
from shared.correcting import make_anew
from shared.domain import velocity
from shared.domain.drift import OF_GATES, DriftKind
from shared.postgres import Pool, close_pool, open_pool
from shared.process import stopped_within
from shared.reconciling import opened_stores, reconcile
from shared.redis_client import NO_ANSWER, RedisError
from shared.settings import Settings
from shared.statements import statement

#: An audit reads the whole ledger; it is given up after this long, and tried again the next night.
_AUDIT_WITHIN_S = 4 * 3600
_RECONCILIATION_WITHIN_S = 2 * 3600
_SHARD_GONE_S = 24 * 3600
_DOOR_GONE_S = 24 * 3600.0
_ORDER_DONE_S = 3600
_TRAFFIC_DONE_S = (velocity.TRAILING + velocity.ARMED_AFTER).total_seconds()
_LOOK_AGAIN_S = 5.0

#: An audit has a connection of its own; the other jobs are short.
_CONNECTIONS = 1

log = structlog.get_logger()


def run(settings: Settings) -> None:
    """Do the scheduled work until SIGTERM or SIGINT; a job that is under way then is done again by whoever comes next."""
    process.run("jobs", settings, _run)


async def _run(settings: Settings, stopping: asyncio.Event) -> None:
    pool = await open_pool(settings.postgres_dsn, _CONNECTIONS)
    log.info("jobs_started")
    building = asyncio.create_task(_keep_building(settings, pool, stopping))
    try:
        while not stopping.is_set():
            try:
                async with _open_queue(settings.redis_url) as queue:
                    await _work(schedule(settings, pool, queue), stopping)
            except (*NO_ANSWER, RedisError) as error:
                log.warning("redis_away", error=repr(error))
                await stopped_within(stopping, _LOOK_AGAIN_S)
    finally:
        building.cancel()
        await asyncio.gather(building, return_exceptions=True)
        await close_pool(pool)
        log.info("jobs_stopped")


async def _keep_building(settings: Settings, pool: Pool, stopping: asyncio.Event) -> None:
    """Beside the schedule: see `filter_building`."""
    if settings.filter_dir is not None:
        await Builder(settings.postgres_dsn, pool, Path(settings.filter_dir)).keep_building(stopping)


async def _work(worker: Worker, stopping: asyncio.Event) -> None:
    """Run what is due until told to stop. Raises what Redis raised when it went away."""
    working = asyncio.create_task(worker.async_run())
    stopped = asyncio.create_task(stopping.wait())
    await asyncio.wait((working, stopped), return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    try:
        await worker.close()
    finally:
        [ended] = await asyncio.gather(working, return_exceptions=True)
    # Told to stop, its connections are closed under it: what it then says of them is no news.
    if isinstance(ended, Exception) and not stopping.is_set():
        raise ended


def _open_queue(redis_url: str) -> ArqRedis:
    queue: ArqRedis = ArqRedis.from_url(redis_url, socket_timeout=5.0, socket_connect_timeout=1.0)
    # Payloads are JSON: what lies in Redis is never unpickled.
    queue.job_serializer = _encode
    queue.job_deserializer = msgspec.json.decode
    return queue


def schedule(settings: Settings, pool: Pool, queue: ArqRedis) -> Worker:
    """An arq worker that has these jobs and no others."""
    return Worker(
        cron_jobs=[
            cron(nightly_audit, hour=3, minute=17, timeout=_AUDIT_WITHIN_S, max_tries=1),
            cron(nightly_reconciliation, hour=4, minute=17, timeout=_RECONCILIATION_WITHIN_S, max_tries=1),
            cron(count_letters, minute=set(range(0, 60, 2)), timeout=60, run_at_startup=True),
            cron(forget_shards, minute=7, timeout=60),
            cron(forget_doors, minute=22, timeout=60),
            cron(forget_orders, minute=37, timeout=60),
            cron(clear_segments, minute=22, timeout=600),
            cron(forget_traffic, minute=52, timeout=60),
            # Also at the start of a process: a new month must not wait for the night.
            cron(keep_attempts, hour=2, minute=47, timeout=600, run_at_startup=True),
        ],
        redis_pool=queue,
        queue_name=keys.JOBS_QUEUE,
        ctx={
            "postgres_dsn": settings.postgres_dsn,
            "redis_url": settings.redis_url,
            "pool": pool,
            "attempts_keep_months": settings.attempts_keep_months,
        },
        handle_signals=False,
        keep_result=0,
        poll_delay=1.0,
        timezone=UTC,
        job_serializer=_encode,
        job_deserializer=msgspec.json.decode,
    )


async def nightly_audit(ctx: dict[str, Any]) -> None:
    """Prove the invariants; what does not hold is logged and counted for the alert."""
    report = await audit(ctx["postgres_dsn"])
    for fault in report.faults:
        log.error("audit_fault", kind=fault.kind, where=fault.where, detail=fault.detail)
    metrics.AUDIT_FAULTS.set(len(report.faults))
    metrics.AUDITED_AT.set(clock.unix_now())
    log.info("audited", ledger_rows=report.ledger_rows, faults=len(report.faults), seconds=round(report.seconds, 3))


async def nightly_reconciliation(ctx: dict[str, Any]) -> None:
    """Compare the stores; gates that drifted are made anew, the rest is logged and counted for the alert."""
    async with opened_stores(ctx["postgres_dsn"], ctx["redis_url"]) as stores:
        reconciled = await reconcile(stores)
        await make_anew(stores.gate, reconciled.found)
    left = Counter(drift.kind for drift in reconciled.found if drift.kind not in OF_GATES)
    for kind, number in Counter(drift.kind for drift in reconciled.found).items():
        metrics.DRIFTS_FOUND.labels(kind).inc(number)
    for kind in DriftKind:
        metrics.DRIFTS_LEFT.labels(kind).set(left[kind])
    for drift in reconciled.found:
        log.error("drift", **drift.told())
    metrics.RECONCILED_AT.set(clock.unix_now())
    log.info("reconciled", gates=reconciled.gates, drifts=len(reconciled.found), left=left.total())


async def count_letters(ctx: dict[str, Any]) -> None:
    """Have it known how many dead letters wait."""
    async with ctx["pool"].acquire() as connection:
        metrics.DEAD_LETTERS_WAITING.set(await attic.waiting(connection))


async def forget_shards(ctx: dict[str, Any]) -> None:
    """Drop the rows of shards that died without a farewell, a day after they were last seen."""
    await ctx["pool"].execute(statement("forget_shards"), _SHARD_GONE_S)


async def forget_doors(ctx: dict[str, Any]) -> None:
    """Drop the rows of front doors that died without a farewell, a day after they were last seen."""
    await ctx["pool"].execute(statement("forget_doors"), _DOOR_GONE_S)


async def forget_orders(ctx: dict[str, Any]) -> None:
    """Drop the rows that orders were locked by, an hour after they were last claimed for."""
    await ctx["pool"].execute(statement("forget_orders"), _ORDER_DONE_S)


async def clear_segments(ctx: dict[str, Any]) -> None:
    """Clear away the members of deleted segments; what is not done in time is done next time."""
    if cleared := await segments.clear(ctx["pool"]):
        log.info("segments_cleared", members=cleared)


async def forget_traffic(ctx: dict[str, Any]) -> None:
    """Drop what campaigns were asked for in minutes that the velocity guard looks at no more."""
    await ctx["pool"].execute(statement("forget_traffic"), _TRAFFIC_DONE_S)


async def keep_attempts(ctx: dict[str, Any]) -> None:
    """Have tables for the months to come, and forget the attempts of those long past."""
    async with ctx["pool"].acquire() as connection:
        for name in await attempts.keep_months(connection, ctx["attempts_keep_months"]):
            log.info("attempts_forgotten", table=name)


def _encode(value: Any) -> bytes:
    return msgspec.json.encode(value, enc_hook=repr)

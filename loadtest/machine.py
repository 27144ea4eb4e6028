"""The machine line: a figure without it means nothing."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

import asyncpg
from redis.asyncio import Redis

from lastslot.running import Stack


async def machine_line(stack: Stack, processes: int, workers: int) -> str:
    """Where and with what these figures were measured, in one line."""
    postgres = await asyncpg.connect(stack.postgres_dsn)
    try:
        postgres_version = (await postgres.fetchval("SHOW server_version")).split()[0]
    finally:
        await postgres.close()
    async with Redis.from_url(stack.redis_url) as redis:
        redis_version = (await redis.info("server"))["redis_version"]
    packages = ", ".join(f"{name} {version(name)}" for name in ("aiohttp", "uvloop", "asyncpg", "redis"))
    limits = os.environ.get("LASTSLOT_RATE_LIMITS", "on")
    return (
        f"{len(os.sched_getaffinity(0))} cores {_cpu_model()}, Python {platform.python_version()}, {packages}, "
        f"Postgres {postgres_version}, Redis {redis_version}; {processes} front doors, {workers} workers, client, Postgres and "
        f"Redis on the same cores over loopback; rate limits {limits}; load average before {os.getloadavg()[0]:.1f}"
    )


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()

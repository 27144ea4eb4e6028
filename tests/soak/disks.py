"""Disks that are full, for a while: nothing may be acknowledged that is not kept, and once there is room all goes on.

No disk is filled. A limit to how far files may grow, set on the living servers, has each write beyond it fail just so.
"""

import asyncio
import pwd
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import asyncpg
import psutil
import redis.asyncio

from lastslot.embedded import EmbeddedServer
from tests.soak.runs import Demand, Run, Scenario
from tests.soak.stores import family

_FULL_S = 2.0
#: So much is written ahead: a limit below it would stop the log itself.
_LOG_SEGMENT = 16 * 2**20
#: Not enough for a segment.
_LOG_PAGES = 2**16

_FILL = """
INSERT INTO redemption_attempts (at, call, result, ip, code, door)
SELECT clock_timestamp(), 'validate', '404', 'soak', 'BALLAST', repeat('x', $2) FROM generate_series(1, $1::int)
"""
#: So that few rows are many pages, and so that one finds room wherever a claim's would.
_WIDE, _NARROW = 1_900, 1
_SIZE = "SELECT max(pg_relation_size(relid)) FROM pg_partition_tree('redemption_attempts') WHERE isleaf"
#: Slowly enough that something is left to be sold.
_STEADY = Demand(per_s=80)


def disks() -> Iterator[Scenario]:
    """Redis's, then what of Postgres's holds tables, then what holds its log."""
    yield Scenario(name="Redis's disk full", harm=_redis_full, demand=_STEADY)
    yield Scenario(name="Postgres's disk full, no table grows", prepare=_ballast, harm=_tables_full, demand=_STEADY)
    yield Scenario(name="Postgres's disk full, its log included", harm=_log_full, demand=_STEADY)


@contextmanager
def _no_file_beyond(size: int, server: EmbeddedServer) -> Iterator[None]:
    _limit(str(size), server)
    try:
        yield
    finally:
        _limit("unlimited", server)


def _limit(size: str, server: EmbeddedServer) -> None:
    """As the account that the server runs as: root itself may lack the right to limit somebody else."""
    account = server.program.account
    group = None if account is None else pwd.getpwnam(account).pw_gid
    for process in family(server.pid) if psutil.pid_exists(server.pid) else ():
        # One that has ended meanwhile needs no limit.
        command = ("prlimit", f"--pid={process.pid}", f"--fsize={size}:unlimited")
        subprocess.run(command, user=account, group=group, capture_output=True, check=False)


async def _redis_full(run: Run) -> None:
    await run.sold(run.dice.uniform(0.1, 0.6))
    server = run.stage.redis
    with _no_file_beyond(_written_last(server.directory).stat().st_size, server):
        async with redis.asyncio.Redis.from_url(server.url) as store:
            try:
                while True:
                    await store.set("soak", "a write more")
                    await asyncio.sleep(0.01)
            except redis.ResponseError:
                await asyncio.sleep(_FULL_S)
    run.over()


def _written_last(directory: Path) -> Path:
    return max(directory.rglob("*.aof"), key=lambda file: file.stat().st_mtime)


async def _ballast(run: Run) -> None:
    """Make the table of attempts larger than any other is allowed to become."""
    async with _connected(run) as connection:
        while await connection.fetchval(_SIZE) <= _LOG_SEGMENT:
            await connection.execute(_FILL, 1_000, _WIDE)


async def _tables_full(run: Run) -> None:
    """The table that every success is written to cannot grow; those that are smaller can, so that refusals could be written."""
    await run.sold(run.dice.uniform(0.1, 0.4))
    async with _connected(run) as connection:
        # Written anew it has no room left anywhere but on its last page.
        await connection.execute("VACUUM (FULL) redemption_attempts")
        with _no_file_beyond(await connection.fetchval(_SIZE), run.stage.postgres):
            with suppress(asyncpg.InternalServerError):
                while True:
                    await connection.execute(_FILL, 1, _NARROW)
            await asyncio.sleep(_FULL_S)
    run.over()


@asynccontextmanager
async def _connected(run: Run) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(run.stage.postgres.url, timeout=10)
    try:
        yield connection
    finally:
        connection.terminate()


async def _log_full(run: Run) -> None:
    """It dies of not writing its log, and cannot start again either, until somebody makes room and sees to it."""
    await run.sold(run.dice.uniform(0.1, 0.6))
    server = run.stage.postgres
    processes = family(server.pid)
    try:
        with _no_file_beyond(_LOG_PAGES, server):
            while all(process.is_running() for process in processes):  # noqa: ASYNC110 (they end by themselves)
                await asyncio.sleep(0.05)
            await asyncio.sleep(_FULL_S)
    finally:
        with suppress(psutil.NoSuchProcess):
            processes[0].send_signal(signal.SIGQUIT)
        await asyncio.to_thread(psutil.wait_procs, processes, 20)
        await asyncio.to_thread(server.start)
    run.over()

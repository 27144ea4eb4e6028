"""What befalls whole stores: they are emptied, restarted, killed, frozen, full."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import rmtree

import asyncpg
import psutil
import redis.asyncio

from tests.soak.crashes import flush
from tests.soak.runs import Harm, Run, Scenario

_FROZEN_S = 3.0
_FULL_S = 1.5


def stores() -> Iterator[Scenario]:
    """First Redis, then Postgres."""
    yield Scenario(name="Redis emptied at three random moments", harm=_flushed_thrice)
    yield Scenario(name="Redis restarted empty", harm=redis_killed(_emptied))
    yield Scenario(name="Redis killed, and the end of its file lost", harm=redis_killed(_truncated))
    yield Scenario(name="Redis frozen", harm=_frozen(lambda run: run.stage.redis.pid))
    yield Scenario(name="Redis out of memory", harm=_out_of_memory)
    yield Scenario(name="Postgres restarted, fast", harm=postgres_stopped(signal.SIGINT))
    yield Scenario(name="Postgres restarted, immediate", harm=postgres_stopped(signal.SIGQUIT))
    yield Scenario(name="Postgres killed", harm=postgres_stopped(signal.SIGKILL))
    yield Scenario(name="Postgres frozen", harm=_frozen(lambda run: run.stage.postgres.pid))
    yield Scenario(name="Postgres out of connections", harm=_out_of_connections)


async def _flushed_thrice(run: Run) -> None:
    for share in sorted(run.dice.uniform(0.0, 0.9) for _ in range(3)):
        await run.sold(share)
        await flush(run)
    run.over()


def redis_killed(between: Callable[[Run, Path], None]) -> Harm:
    async def harm(run: Run) -> None:
        await run.sold(run.dice.uniform(0.1, 0.6))
        there = run.stage.redis
        await asyncio.to_thread(there.kill)
        try:
            between(run, there.directory)
        finally:
            await asyncio.to_thread(there.start)
        run.over()

    return harm


def _emptied(run: Run, directory: Path) -> None:
    for name in directory.glob("appendonly*"):
        rmtree(name) if name.is_dir() else name.unlink()


def _truncated(run: Run, directory: Path) -> None:
    """Drop what was written last; Redis itself drops what remains of a command that was cut."""
    files = [name for name in directory.rglob("*.aof") if not name.name.endswith(".base.aof")]
    for name in files:
        size = name.stat().st_size
        with name.open("r+b") as file:
            file.truncate(max(0, size - run.dice.randint(1, 20_000)))


def _frozen(server: Callable[[Run], int]) -> Harm:
    async def harm(run: Run) -> None:
        await run.sold(run.dice.uniform(0.1, 0.6))
        frozen = family(server(run))
        try:
            for process in frozen:
                process.suspend()
            await asyncio.sleep(_FROZEN_S)
        finally:
            for process in frozen:
                process.resume()
        run.over()

    return harm


def family(pid: int) -> list[psutil.Process]:
    """A server's processes, the one that started the others first."""
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


async def _out_of_memory(run: Run) -> None:
    await run.sold(run.dice.uniform(0.1, 0.6))
    async with redis.asyncio.Redis.from_url(run.stage.redis.url) as store:
        await store.config_set("maxmemory", 1)
        try:
            await asyncio.sleep(_FULL_S)
        finally:
            await store.config_set("maxmemory", 0)
    run.over()


def postgres_stopped(number: signal.Signals) -> Harm:
    async def harm(run: Run) -> None:
        await run.sold(run.dice.uniform(0.1, 0.6))
        server = run.stage.postgres
        processes = family(server.pid)
        processes[0].send_signal(number)
        try:
            # What a postmaster leaves behind ends by itself; until then its memory is taken.
            await asyncio.to_thread(psutil.wait_procs, processes, 20)
        finally:
            await asyncio.to_thread(server.start)
        run.over()

    return harm


async def _out_of_connections(run: Run) -> None:
    await run.sold(run.dice.uniform(0.1, 0.6))
    taken: list[asyncpg.Connection[asyncpg.Record]] = []
    try:
        for place in (*run.stage.doors, *run.stage.workers):
            place.postgres.reset()
        while True:
            taken.append(await asyncpg.connect(run.stage.postgres.url, timeout=5))
    except (asyncpg.TooManyConnectionsError, OSError, TimeoutError):
        await asyncio.sleep(2)
    finally:
        for connection in taken:
            connection.terminate()
    run.over()

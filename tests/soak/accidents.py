"""What befalls whole stores, frozen processes, and crowds that behave badly."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from shutil import rmtree
from urllib.parse import urlsplit

import aiohttp
import asyncpg
import psutil
import redis.asyncio

from lastslot.embedded import EmbeddedServer
from shared import keys
from shared.clock import utc_now
from shared.domain.ids import PartitionNo
from shared.gate import Gate
from tests.acceptance.history import Ask, Reply
from tests.soak.crashes import flush
from tests.soak.runs import Demand, Harm, Run, Scenario
from tests.soak.stage import Place

#: Longer than a lease (3 s), and than whoever has it may trust it.
_PAST_THE_LEASE_S = 4.5
_FROZEN_S = 3.0
_SILENT_SOCKETS = 1_000
_PATIENCE_S = 0.15
#: Answers that are not the last word.
_NOT_YET = (202, 503)
#: Some are still to come when the owner is gone.
_STEADY = Demand(per_s=50)
#: So many, and so slowly, that they come from the first restart to the last.
_ALL_DAY = Demand(slots=1_300, people=1_350, per_s=100)


def accidents() -> Iterator[Scenario]:
    """Each of them, in an order in which they are told."""
    yield Scenario(name="Redis emptied at three random moments", harm=_flushed_thrice)
    yield Scenario(name="Redis restarted empty", harm=_restarted(lambda run: run.stage.redis, _emptied))
    yield Scenario(name="Redis killed, and the end of its file lost", harm=_restarted(lambda run: run.stage.redis, _truncated))
    yield Scenario(name="Redis frozen", harm=_frozen(lambda run: [run.stage.redis.pid]))
    yield Scenario(name="Redis out of memory", harm=_out_of_memory)
    yield Scenario(name="Postgres restarted, fast", harm=_postgres_stopped(signal.SIGINT))
    yield Scenario(name="Postgres restarted, immediate", harm=_postgres_stopped(signal.SIGQUIT))
    yield Scenario(name="Postgres killed", harm=_postgres_stopped(signal.SIGKILL))
    yield Scenario(name="Postgres frozen", harm=_frozen(lambda run: _family(run.stage.postgres.pid)))
    yield Scenario(name="Postgres out of connections", harm=_out_of_connections)
    for name, harm in {
        "an owner frozen past its lease": _zombie,
        "an owner cut off from Postgres in a transaction": _cut_off("postgres"),
        "an owner that lives and makes no progress": _cut_off("redis"),
    }.items():
        yield Scenario(name=name, prepare=_first_worker, harm=harm, demand=_STEADY)
    yield Scenario(name="entries delivered many times, out of order", harm=_delivered_again)
    yield Scenario(name="callers who hang up and ask again", harm=_cancelled)
    yield Scenario(name="owners that are slow", harm=_slow)
    yield Scenario(name=f"{_SILENT_SOCKETS:,} silent sockets", harm=_silent_sockets)
    yield Scenario(name="every process restarted in turn", harm=_rolling_restart, demand=_ALL_DAY)


async def _first_worker(run: Run) -> Place | None:
    return run.stage.workers[0]


async def _flushed_thrice(run: Run) -> None:
    for share in sorted(run.dice.uniform(0.0, 0.9) for _ in range(3)):
        await run.sold(share)
        await flush(run)
    run.over()


def _restarted(server: Callable[[Run], EmbeddedServer], between: Callable[[Run, Path], None]) -> Harm:
    async def harm(run: Run) -> None:
        await run.sold(run.dice.uniform(0.1, 0.6))
        there = server(run)
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


def _frozen(pids: Callable[[Run], list[int]]) -> Harm:
    async def harm(run: Run) -> None:
        await run.sold(run.dice.uniform(0.1, 0.6))
        frozen = [psutil.Process(pid) for pid in pids(run)]
        try:
            for process in frozen:
                process.suspend()
            await asyncio.sleep(_FROZEN_S)
        finally:
            for process in frozen:
                process.resume()
        run.over()

    return harm


def _family(pid: int) -> list[int]:
    parent = psutil.Process(pid)
    return [pid, *(child.pid for child in parent.children(recursive=True))]


async def _out_of_memory(run: Run) -> None:
    await run.sold(run.dice.uniform(0.1, 0.6))
    async with redis.asyncio.Redis.from_url(run.stage.redis.url) as store:
        await store.config_set("maxmemory", 1)
        try:
            await asyncio.sleep(1.5)
        finally:
            await store.config_set("maxmemory", 0)
    run.over()


def _postgres_stopped(number: signal.Signals) -> Harm:
    async def harm(run: Run) -> None:
        await run.sold(run.dice.uniform(0.1, 0.6))
        server = run.stage.postgres
        family = [psutil.Process(pid) for pid in _family(server.pid)]
        family[0].send_signal(number)
        try:
            # What a postmaster leaves behind ends by itself; until then its memory is taken.
            await asyncio.to_thread(psutil.wait_procs, family, 20)
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


async def _zombie(run: Run) -> None:
    await run.sold(run.dice.uniform(0.1, 0.5))
    place = run.stage.workers[0]
    partitions, process = await run.stage.owned_by({place.shard}), psutil.Process(place.pid)
    process.suspend()
    run.lost_owner(utc_now(), partitions)
    try:
        await asyncio.sleep(_PAST_THE_LEASE_S)
    finally:
        process.resume()


def _cut_off(store: str) -> Harm:
    """One owner alone hears nothing more from a store; another has to take what it owns."""

    async def harm(run: Run) -> None:
        await run.sold(run.dice.uniform(0.1, 0.5))
        place = run.stage.workers[0]
        partitions = await run.stage.owned_by({place.shard})
        link = place.postgres if store == "postgres" else place.redis
        link.silence()
        run.lost_owner(utc_now(), partitions)
        try:
            await asyncio.sleep(12)
        finally:
            link.heal()

    return harm


async def _delivered_again(run: Run) -> None:
    """Append what is in the mailboxes once more, again and again, the latest first."""
    async with redis.asyncio.Redis.from_url(run.stage.redis.url) as store:
        gate = Gate(store, 20_000)
        repeated = 0
        for share in (0.05, 0.2, 0.35, 0.5, 0.65, 0.8):
            await run.sold(share)
            for _ in range(20):
                for partition in set(run.partitions):
                    living = await gate.living(PartitionNo(partition))
                    mail = "" if living is None else keys.mailbox(PartitionNo(partition), living)
                    for _, fields in await store.xrevrange(mail, count=10) if mail else []:
                        await store.xadd(mail, fields)
                        repeated += 1
    if not repeated:
        run.wrong.append("nothing was there to be delivered again")


async def _cancelled(run: Run) -> None:
    """Many hang up in the middle of their request, and send it again."""

    async def impatient(ask: Ask) -> Reply:
        for _ in range(run.dice.randint(0, 3)):
            try:
                reply = await run.client.redeem(ask, within_s=run.dice.uniform(0.001, _PATIENCE_S))
            except (aiohttp.ClientError, TimeoutError):
                continue
            if reply.status not in _NOT_YET:
                return reply
        return await run.insist(ask)

    run.ask = impatient


async def _slow(run: Run) -> None:
    links = [worker.postgres for worker in run.stage.workers]
    for link in links:
        link.delay(0.05)
    await run.sold(0.8)
    for link in links:
        link.heal()


async def _silent_sockets(run: Run) -> None:
    there = urlsplit(run.stage.stack.base_url)
    async with AsyncExitStack() as sockets:
        for number in range(_SILENT_SOCKETS):
            _, writer = await asyncio.open_connection(there.hostname, there.port)
            sockets.callback(writer.close)
            if number % 2:
                writer.write(b"POST /api/v1/coupons/redeem HTTP/1.1\r\nContent-Le")
        await run.sold(0.9)


async def _rolling_restart(run: Run) -> None:
    """One process after the other, each when the one before is back. Clients ask again once, with the same key, after as long
    as they are told to wait; that has to do."""

    async def once_more(ask: Ask) -> Reply:
        for attempt in (1, 2):
            reply: Reply | None = None
            with suppress(aiohttp.ClientError, TimeoutError):
                reply = await run.client.redeem(ask, prefer="wait=30")
            if reply is not None and reply.status not in _NOT_YET:
                return reply
            if attempt == 1:
                await asyncio.sleep(float(reply.headers.get("Retry-After", 0.1)) if reply is not None else 0.1)
        run.wrong.append(f"one retry did not mend it: {'no answer' if reply is None else reply.status}")
        return await run.insist(ask)

    run.ask = once_more
    for place in run.stage.places:
        await run.sold(0.05)
        partitions = await run.stage.owned_by({place.shard}) if place in run.stage.workers else []
        run.lost_owner(utc_now(), partitions)
        await place.replace()
        await run.stage.whole()

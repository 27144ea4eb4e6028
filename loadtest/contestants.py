"""Who is measured: Lastslot and its peers, each opened on the same Postgres and Redis and asked with the same bytes."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Protocol
from uuid import UUID

from redis.asyncio import Redis

from lastslot import crowd
from lastslot.burst import fire
from lastslot.ports import free_port
from lastslot.program import Program
from lastslot.running import Stack, address
from lastslot.wire import render
from loadtest.peers.books import Books, create_database, open_campaign, read_books
from loadtest.peers.textbook import gate_keys
from shared.audit import audit_campaign
from shared.metrics import FOLD_INTERVAL_S


class Contestant(Protocol):
    """Something that redeems. `decides` is False for what only answers."""

    name: str
    port: int
    decides: bool

    async def open_campaign(self, code: str, slots: int) -> None: ...

    async def books(self, code: str) -> Books:
        """What the database says of a campaign after the burst."""
        ...

    async def meters(self) -> dict[str, float]:
        """Counters of the contestant's own, by name."""
        ...


class Bare:
    """Bare aiohttp, which keeps nothing."""

    decides = False

    def __init__(self, name: str, port: int) -> None:
        self.name = name
        self.port = port

    async def open_campaign(self, code: str, slots: int) -> None:
        return None

    async def books(self, code: str) -> Books:
        return Books(0, 0, 0)

    async def meters(self) -> dict[str, float]:
        return {}


class Peer(Bare):
    """A peer with a database of its own."""

    decides = True

    def __init__(self, name: str, port: int, dsn: str) -> None:
        super().__init__(name, port)
        self._dsn = dsn

    async def open_campaign(self, code: str, slots: int) -> None:
        await open_campaign(self._dsn, code, slots)

    async def books(self, code: str) -> Books:
        return await read_books(self._dsn, code)


class GatedPeer(Peer):
    """A peer that also has a gate in Redis."""

    def __init__(self, name: str, port: int, dsn: str, redis_url: str) -> None:
        super().__init__(name, port, dsn)
        self._redis_url = redis_url

    async def open_campaign(self, code: str, slots: int) -> None:
        await super().open_campaign(code, slots)
        async with Redis.from_url(self._redis_url) as redis:
            await redis.set(gate_keys(code)[1], slots)


class Lastslot:
    """The engine, as `lastslot up` starts it."""

    name = "lastslot"
    decides = True

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        _, self.port = address(stack.base_url)
        self._campaigns: dict[str, UUID] = {}

    async def open_campaign(self, code: str, slots: int) -> None:
        self._campaigns[code] = (await crowd.open_campaign(self._stack, code, slots)).campaign_id

    async def books(self, code: str) -> Books:
        proof = await audit_campaign(self._stack.postgres_dsn, self._campaigns[code])
        if proof is None or not proof.chain_intact:
            raise RuntimeError(f"the ledger of {code} is not whole: {proof}")
        return Books(proof.active, proof.users, proof.claimed)

    async def meters(self) -> dict[str, float]:
        await asyncio.sleep(2 * FOLD_INTERVAL_S)
        host, port = address(self._stack.admin_url)
        (answer,) = await fire(host, port, [render("GET", "/metrics", host)], keep_bodies=True)
        totals: dict[str, float] = {}
        for name, value in re.findall(r"^(lastslot_\w+_total)\S* (\S+)$", answer.body.decode(), re.MULTILINE):
            totals[name] = totals.get(name, 0.0) + float(value)
        return totals


@asynccontextmanager
async def contestants(stack: Stack, names: set[str], processes: int) -> AsyncIterator[dict[str, Contestant]]:
    """Those of `names`, started beside the stack, each peer with as many processes as the stack has front doors."""
    async with AsyncExitStack() as running:
        entered: dict[str, Contestant] = {"lastslot": Lastslot(stack)}
        for name in sorted(names - {"lastslot"}):
            entered[name] = await _enter(running, stack, name, processes)
        yield entered


async def _enter(running: AsyncExitStack, stack: Stack, name: str, processes: int) -> Contestant:
    port = free_port()
    contestant, arguments = await _introduced(stack, name, port)
    for _ in range(processes):
        await running.enter_async_context(_process(name, ["--port", str(port), *arguments]))
    return contestant


async def _introduced(stack: Stack, name: str, port: int) -> tuple[Contestant, list[str]]:
    """A peer, and what its processes have to be told besides their port."""
    if name == "bare":
        return Bare(name, port), []
    dsn = await create_database(stack.postgres_dsn, f"peer_{name}")
    told = ["--dsn", dsn, "--secret", stack.jwt_secret]
    if name == "for_update":
        return Peer(name, port, dsn), told
    return GatedPeer(name, port, dsn, stack.redis_url), [*told, "--redis-url", stack.redis_url]


@asynccontextmanager
async def _process(name: str, arguments: list[str]) -> AsyncIterator[None]:
    program = Program(name=name, argv=(sys.executable, "-m", f"loadtest.peers.{name}", *arguments), log=Path(os.devnull))
    process = await asyncio.create_subprocess_exec(*program.argv, stdout=asyncio.subprocess.PIPE, **program.options())
    try:
        if process.stdout is None or await process.stdout.readline() != b"ready\n":
            raise RuntimeError(f"the {name} peer did not come up")
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()

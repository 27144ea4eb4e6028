"""When a stack that was started can serve: every door listens, every partition has an owner, both stores answer."""

import asyncio
from collections.abc import Sequence

import aiohttp
import asyncpg
import psutil

from lastslot.running import Stack, address
from lastslot.supervisor import Child
from shared import clock
from shared.errors import LastslotError

_WITHIN_S = 60.0
_POLL_S = 0.05
_UNOWNED = "SELECT count(*) FROM partitions WHERE owner IS NULL OR lease_until <= clock_timestamp()"


class StartFailed(LastslotError):
    """The stack did not come up."""


async def until_ready(stack: Stack, doors: Sequence[Child], children: Sequence[Child]) -> None:
    """Wait until the stack can serve. Raises StartFailed when one of the children dies on the way, or it takes too long."""
    deadline = clock.monotonic() + _WITHIN_S
    ports = {address(url)[1] for url in (stack.base_url, stack.admin_url)}
    connection = await asyncpg.connect(stack.postgres_dsn, timeout=10, command_timeout=10)
    try:
        async with aiohttp.ClientSession(stack.base_url, timeout=aiohttp.ClientTimeout(total=2)) as session:
            while not await _ready(doors, ports, connection, session):
                _check_alive(children)
                if clock.monotonic() > deadline:
                    raise StartFailed(
                        f"not ready after {_WITHIN_S:.0f} s; what the processes say is in {doors[0].program.log.parent}"
                    )
                await asyncio.sleep(_POLL_S)
    finally:
        connection.terminate()


async def _ready(
    doors: Sequence[Child], ports: set[int], connection: "asyncpg.Connection[asyncpg.Record]", session: aiohttp.ClientSession
) -> bool:
    if not all(_listens(door, ports) for door in doors):
        return False
    if await connection.fetchval(_UNOWNED) > 0:
        return False
    try:
        async with session.get("/readyz") as response:
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


def _listens(door: Child, ports: set[int]) -> bool:
    """Asked of the kernel, for any door may answer what is asked through their common ports."""
    if door.pid is None:
        return False
    try:
        links = psutil.Process(door.pid).net_connections("tcp")
    except psutil.Error:
        return False
    return ports <= {link.laddr.port for link in links if link.status == psutil.CONN_LISTEN}


def _check_alive(children: Sequence[Child]) -> None:
    for child in children:
        if child.deaths:
            program = child.program
            raise StartFailed(f"{program.name} died while starting; {program.log} ends with:\n{program.last_words()}")

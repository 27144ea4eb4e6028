"""A front door as a process: open, serve until told to stop, turn unready, finish what it holds, close."""

import asyncio
import gc
import resource
from collections.abc import Iterator
from typing import NamedTuple

import structlog
from aiohttp import web

from frontdoor.app import application, counters, opened_door
from frontdoor.context import Door
from frontdoor.openapi import BOTH, Sides
from frontdoor.protocol import DoorRunner
from frontdoor.wicket import Served
from shared.process import run
from shared.settings import Settings

log = structlog.get_logger()

#: How long requests under way may take to finish once the door is to close.
DRAIN_S = 10.0


class _Port(NamedTuple):
    """Where a door listens, what it serves there, and how many connections one address may have."""

    host: str
    port: int
    sides: Sides
    per_ip: int = 0


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Any number of processes may serve the same ports."""
    _allow_many_connections()
    run("frontdoor", settings, _serve)


def _allow_many_connections() -> None:
    """As many open files as the system lets us have: by default it is a thousand, and each connection is one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _serve(settings: Settings, stopping: asyncio.Event) -> None:
    async with opened_door(settings) as door:
        _look_for_garbage_seldom()
        runners = [await _listening(door, port) for port in _ports(settings)]
        await stopping.wait()
        door.draining = True
        await asyncio.gather(*(runner.cleanup() for runner in runners))
        log.info("door_closed", door=door.door_id)


def _look_for_garbage_seldom() -> None:
    """A burst makes ten thousand objects a moment, none of them in circles: looking for those took a tenth of a door's time.

    A look at five or ten thousand holds everybody up for some milliseconds; and all are looked at only after a million more.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 1, 100)


def _ports(settings: Settings) -> Iterator[_Port]:
    admin_port = settings.admin_port or settings.port + 1
    if admin_port == settings.port:
        yield _Port(settings.host, settings.port, BOTH, settings.connections_per_ip)
        return
    # The public one opens last: a door that can be seen there is whole.
    yield _Port(settings.admin_host, admin_port, ("admin",))
    yield _Port(settings.host, settings.port, ("public",), settings.connections_per_ip)


async def _listening(door: Door, port: _Port) -> DoorRunner:
    # Behind proxies all connections come from a few addresses, which are ours.
    per_ip = 0 if door.trusted_proxies else port.per_ip
    served = Served(counters(door, port.sides), door.ticks, door.trusted_proxies, per_ip)
    ended = {"handle_signals": False, "shutdown_timeout": DRAIN_S}
    runner = DoorRunner(application(door, port.sides), served, **ended)
    await runner.setup()
    await web.TCPSite(runner, port.host, port.port, reuse_port=True, backlog=4096).start()
    log.info("door_open", door=door.door_id, host=port.host, port=port.port, serves=port.sides)
    return runner

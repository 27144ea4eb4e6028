"""A front door as a process: open, serve until told to stop, turn unready, finish what it holds, close."""

import asyncio

import structlog
from aiohttp import web

from frontdoor.app import application, counters, opened_door
from frontdoor.protocol import DoorRunner
from shared.process import run
from shared.settings import Settings

log = structlog.get_logger()

#: How long requests under way may take to finish once the door is to close.
DRAIN_S = 10.0


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Any number of processes may serve one port."""
    run("frontdoor", settings, _serve)


async def _serve(settings: Settings, stopping: asyncio.Event) -> None:
    async with opened_door(settings) as door:
        runner = DoorRunner(application(door), counters(door), door.ticks, handle_signals=False, shutdown_timeout=DRAIN_S)
        await runner.setup()
        await web.TCPSite(runner, settings.host, settings.port, reuse_port=True, backlog=4096).start()
        log.info("door_open", door=door.door_id, host=settings.host, port=settings.port)
        await stopping.wait()
        door.draining = True
        await runner.cleanup()
        log.info("door_closed", door=door.door_id)

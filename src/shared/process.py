"""A process of Lastslot, whatever it does: one loop, one way to log, and one way to be told to stop."""

import asyncio
import signal
from collections.abc import Awaitable, Callable

import uvloop

from shared import crash_points, logs
from shared.settings import Settings

Serve = Callable[[Settings, asyncio.Event], Awaitable[None]]


def run(name: str, settings: Settings, serve: Serve) -> None:
    """Run `serve` until it returns; its event is set by SIGTERM and SIGINT."""
    crash_points.arm(settings.crash_at)
    logs.configure(name, settings)
    uvloop.run(_run(settings, serve))


async def stopped_within(stopping: asyncio.Event, seconds: float) -> bool:
    """Sleep for so long, unless told to stop before; whether that was so."""
    try:
        await asyncio.wait_for(stopping.wait(), seconds)
    except TimeoutError:
        return False
    return True


async def _run(settings: Settings, serve: Serve) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    await serve(settings, stopping)

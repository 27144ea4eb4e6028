"""A process of Lastslot, whatever it does: one loop, one way to log, and one way to be told to stop."""

import asyncio
import signal
from collections.abc import Awaitable, Callable

import uvloop

from shared import crash_points, logs
from shared.settings import Settings

#: How long a cancelled task is given before it is cancelled again.
_ENDED_WITHIN_S = 0.05

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


async def abandoned(*tasks: asyncio.Task[None]) -> None:
    """Cancel tasks until they have ended.

    Once is not enough: it ends but one of the waits that a task is in (a query, then its rollback, then the connection's
    return), and may be lost behind an error of a store that answers at the same moment.
    """
    while alive := [task for task in tasks if not task.done()]:
        for task in alive:
            task.cancel()
        await asyncio.wait(alive, timeout=_ENDED_WITHIN_S)


async def _run(settings: Settings, serve: Serve) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    await serve(settings, stopping)

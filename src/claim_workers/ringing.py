"""Hearing at once that a partition was given up, or that a shard came or went.

Who resigns says so by NOTIFY, in the statement that resigns. It is a hint and nothing more: whoever misses one finds out at
the next look, so a connection that was lost is made anew without haste.
"""

import asyncio

import structlog

from shared.postgres import NO_ANSWER, Pool

CHANNEL = "lastslot_ownership"

log = structlog.get_logger()


async def listen(pool: Pool, rung: asyncio.Event, every_s: float) -> None:
    """Set `rung` whenever ownership changes, until cancelled; every so often it is seen whether the line is still good."""
    while True:
        try:
            await _hear(pool, rung, every_s)
        except NO_ANSWER as error:
            log.warning("ownership_not_heard", error=repr(error))
        await asyncio.sleep(every_s)


async def _hear(pool: Pool, rung: asyncio.Event, every_s: float) -> None:
    async with pool.acquire(timeout=every_s) as connection:
        try:
            await connection.add_listener(CHANNEL, lambda *_: rung.set())
            # What was said before could not be heard.
            rung.set()
            while True:
                await asyncio.sleep(every_s)
                async with asyncio.timeout(every_s):
                    await connection.execute("SELECT")
        finally:
            # Hung up, as nobody else shall hear what this one was listening for; and it may be silent.
            connection.terminate()

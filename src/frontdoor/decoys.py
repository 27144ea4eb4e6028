"""Looks for codes that nobody asked for, so that it is known how long a look-up takes while guessers are answered from memory.

Among a million guesses that are none, the first that hits would otherwise be the only one that is looked up, and take the time
of that. See `ticks`.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import asyncpg

from frontdoor.ticks import Ticks
from shared.errors import RedisUnavailable
from shared.postgres import NO_ANSWER

EVERY_S = 0.1


async def keep_looking(look_in_vain: Callable[[], Awaitable[object]], ticks: Ticks) -> None:
    """Look, and note how long it took, as long as there are guesses; until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(EVERY_S)
        if not ticks.guessed:
            continue
        ticks.guessed, began = False, loop.time()
        with contextlib.suppress(RedisUnavailable, asyncpg.PostgresError, *NO_ANSWER):
            await look_in_vain()
        ticks.note(loop.time() - began)

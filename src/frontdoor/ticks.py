"""Answers that must not tell by their time what they are: they leave at the next multiple of 10 ms after the request came in.

A grid of the wall clock would not do: when a request came in is known to who sent it, so the grid would still tell how long
the answer took. Here whatever takes less than a tick takes a tick.
"""

import asyncio
import random
from collections.abc import Callable

TICK_S = 0.010


class Ticks:
    """Calls back at ticks. Those of one moment go in no order, for the order, too, would tell who was ready first."""

    def __init__(self) -> None:
        self._due: dict[float, list[Callable[[], None]]] = {}

    def after(self, arrived_at: float, then: Callable[[], None]) -> None:
        """Call `then` at the next tick of who arrived at `arrived_at` (seconds of the running loop)."""
        loop = asyncio.get_running_loop()
        due = arrived_at + TICK_S * (int((loop.time() - arrived_at) / TICK_S) + 1)
        together = self._due.get(due)
        if together is None:
            together = self._due[due] = []
            loop.call_at(due, self._call, due)
        together.append(then)

    async def tick(self, arrived_at: float) -> None:
        """Wait for that tick."""
        reached = asyncio.get_running_loop().create_future()
        self.after(arrived_at, lambda: None if reached.done() else reached.set_result(None))
        await reached

    def _call(self, due: float) -> None:
        together = self._due.pop(due)
        random.shuffle(together)
        for then in together:
            then()

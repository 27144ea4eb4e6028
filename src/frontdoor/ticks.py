"""Answers that must not tell by their time what they are: they leave at the next multiple of 10 ms after the request came in.

A grid of the wall clock would not do: when a request came in is known to who sent it, so the grid would still tell how long
the answer took. Here whatever takes less than a tick takes a tick. What takes longer, because a store is slow, would be told
from what is known from memory; so that takes as long as one of the latest look-ups did, whichever the dice say.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable

TICK_S = 0.010

#: Of so many look-ups it is known how long they took: those of this moment, but not only those that were soon done.
_LATEST = 256


class Ticks:
    """Calls back at ticks. Those of one moment go in no order, for the order, too, would tell who was ready first."""

    def __init__(self) -> None:
        self._due: dict[float, list[Callable[[], None]]] = {}
        self._took: deque[float] = deque([0.0], _LATEST)
        #: Whether `known` was asked since somebody set it to False.
        self.guessed = False

    def known(self, arrived_at: float) -> float:
        """When an answer from memory may leave, to who arrived at `arrived_at` (seconds of the running loop)."""
        self.guessed = True
        return _tick(arrived_at, max(_since(arrived_at), random.choice(self._took)))

    def looked_up(self, arrived_at: float) -> float:
        """When an answer may leave that has just been looked up."""
        took = _since(arrived_at)
        self.note(took)
        return _tick(arrived_at, took)

    def note(self, took: float) -> None:
        """So many seconds a look-up took."""
        self._took.append(took)

    def at(self, due: float, then: Callable[[], None]) -> None:
        """Call `then` at `due`."""
        together = self._due.get(due)
        if together is None:
            together = self._due[due] = []
            asyncio.get_running_loop().call_at(due, self._call, due)
        together.append(then)

    async def until(self, due: float) -> None:
        """Wait for `due`."""
        reached = asyncio.get_running_loop().create_future()
        self.at(due, lambda: None if reached.done() else reached.set_result(None))
        await reached

    def _call(self, due: float) -> None:
        together = self._due.pop(due)
        random.shuffle(together)
        loop = asyncio.get_running_loop()
        for then in together:
            # Each by itself: what goes wrong with one answer must not keep the others from leaving.
            loop.call_soon(then)


def _since(arrived_at: float) -> float:
    return asyncio.get_running_loop().time() - arrived_at


def _tick(arrived_at: float, took: float) -> float:
    return arrived_at + TICK_S * (int(took / TICK_S) + 1)

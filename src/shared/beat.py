"""One piece of work after the other, each with all that has gathered for it while the one before was under way.

What costs the same for one as for many is paid once a piece. One busy partition fills its pieces by itself; a thousand quiet
campaigns would make many small ones. So while pieces hold little of several partitions, half of the time is for gathering: the
next one begins when as much time has passed as the last one took. Otherwise nobody waits for a timer. A piece that hangs is
waited for no longer than a moment.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from shared import clock

#: For how long what comes gathers at most.
GATHER_S = 0.02

#: So many claims of each partition are enough for a piece of work.
_ENOUGH = 16


class Beat:
    """Begins pieces of work: the next one begins when one is over, if there is one.

    `work`: what there is to be done now, if anything; it says itself when it is over. `patience_s`: after how long the next
    one begins beside one that is still under way.
    """

    def __init__(self, work: Callable[[], Coroutine[Any, Any, None] | None], patience_s: float) -> None:
        self._work = work
        self._patience_s = patience_s
        self._under_way: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self) -> None:
        """Begin a piece of work, unless one is under way."""
        if self._under_way is None and (work := self._work()) is not None:
            task = self._under_way = self.start(work)
            asyncio.get_running_loop().call_later(self._patience_s, self._over, task)

    def over(self, began: float, partitions: int, claims: int) -> None:
        """The piece that runs now is over, or as good as that. It `began` then (monotonic seconds), and held so much."""
        task = asyncio.current_task()
        if partitions > 1 and claims < _ENOUGH * partitions:
            asyncio.get_running_loop().call_later(min(clock.monotonic() - began, GATHER_S), self._over, task)
        else:
            self._over(task)

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start some work beside all other, and see that it is not forgotten."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _over(self, task: asyncio.Task[None] | None) -> None:
        if self._under_way is task:
            self._under_way = None
            self.begin()

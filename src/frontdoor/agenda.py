"""Submissions to be seen to at some time: one timer for all of them rather than one each."""

import asyncio
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

from frontdoor.submissions import Submission
from shared import clock

_TURN_S = 0.01


class Agenda:
    """Hands submissions that are due, and not answered yet, to `see_to`, with the time it is (monotonic seconds).

    A submission has one time at which it is due: the last that was named.
    """

    def __init__(self, see_to: Callable[[list[Submission], float], None]) -> None:
        self._see_to = see_to
        self._entries: list[tuple[float, int, Submission]] = []
        self._numbers = count()
        self._turning: asyncio.Task[None] | None = None

    def put(self, submission: Submission, when: float) -> None:
        """See to this one at `when`, in monotonic seconds."""
        submission.due = when
        heappush(self._entries, (when, next(self._numbers), submission))
        if self._turning is None:
            self._turning = asyncio.create_task(self._turn())

    async def _turn(self) -> None:
        while self._entries:
            await asyncio.sleep(_TURN_S)
            now = clock.monotonic()
            due: list[Submission] = []
            while self._entries and self._entries[0][0] <= now:
                when, _, submission = heappop(self._entries)
                if when == submission.due and not submission.answer.done():
                    due.append(submission)
            self._see_to(due, now)
        self._turning = None

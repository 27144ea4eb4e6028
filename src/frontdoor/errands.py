"""What runs beside everything else on behalf of submissions."""

import asyncio
from collections.abc import Coroutine

from frontdoor.submissions import Submission


class Errands:
    """Tasks that nobody awaits. If one breaks, so do the requests it was for."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def run(self, errand: Coroutine[None, None, None], submissions: list[Submission]) -> None:
        """Begin this one, for these."""

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if not task.cancelled() and isinstance(error := task.exception(), Exception):
                for submission in submissions:
                    submission.fail(error)

        task = asyncio.create_task(errand)
        self._tasks.add(task)
        task.add_done_callback(ended)

"""Whether a gate is away, as far as one front door's own calls tell. A hint of what to try, never a proof: see `direct`."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from shared import clock, metrics
from shared.domain.ids import PartitionNo
from shared.errors import RedisUnavailable

T = TypeVar("T")

#: After how many calls in a row without an answer a gate is taken to be away, or after how long without one.
_CALLS = 3
_WITHIN_S = 0.3

#: How often a gate that is away is asked whether it is back.
_PROBE_EVERY_S = 1.0

log = structlog.get_logger()


class Circuit:
    """The calls of one partition's gate. `probe` asks it for as little as there is."""

    def __init__(self, partition: PartitionNo, probe: Callable[[], Awaitable[object]]) -> None:
        self.away = False
        self._partition = partition
        self._probe = probe
        self._unanswered = 0
        self._silent_since = 0.0
        self._probing: asyncio.Task[None] | None = None

    async def watch(self, call: Awaitable[T]) -> T:
        """The call's answer, of which note is taken. Raises RedisUnavailable when there was none."""
        began = clock.monotonic()
        try:
            answer = await call
        except RedisUnavailable:
            self.miss(began)
            raise
        self.hear()
        return answer

    def hear(self) -> None:
        """A call was answered."""
        self._unanswered = 0

    def miss(self, began: float) -> None:
        """A call that `began` then, in monotonic seconds, was not answered."""
        if not self._unanswered:
            self._silent_since = began
        self._unanswered += 1
        silent_s = clock.monotonic() - self._silent_since
        if not self.away and (self._unanswered >= _CALLS or silent_s >= _WITHIN_S):
            self.away = True
            metrics.GATES_AWAY.inc()
            metrics.DIRECT_TURNS.add("entered")
            log.warning("direct_path_entered", partition=self._partition)
            self._probing = asyncio.create_task(self._probe_until_back())

    async def _probe_until_back(self) -> None:
        while self.away:
            await asyncio.sleep(_PROBE_EVERY_S)
            try:
                await self._probe()
            except RedisUnavailable:
                continue
            except Exception as error:
                # Nobody else would ever ask whether it is back.
                log.error("probe_failed", partition=self._partition, error=repr(error))
                continue
            self.away, self._unanswered = False, 0
            metrics.GATES_AWAY.dec()
            metrics.DIRECT_TURNS.add("left")
            log.warning("direct_path_left", partition=self._partition)

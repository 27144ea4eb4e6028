"""Rounds: what a front door asks the gates of all partitions goes there and comes back together.

A busy campaign fills a call by itself. A thousand campaigns live in all partitions, whose calls would carry a handful of claims
each, and everything behind them (mailboxes, commits, messages) would be as small. So what is asked for while a round is under
way goes with the next one; and while several partitions are asked, half of the time is for gathering: the next round begins
when as much time has passed as the last one took. Who asks of one partition alone waits for no timer. A round that hangs is
waited for no longer than a moment.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol, TypeAlias

import msgspec

from shared import clock
from shared.gate import Admission, Asking, Gate, Moved

#: After how long the next round begins beside one that is still under way.
PATIENCE_S = 0.1

#: For how long what comes gathers at most, when a round to several partitions is over.
_GATHER_S = 0.02

#: An error, when there was no answer.
Answer: TypeAlias = Admission | Moved | Exception


class Caller(Protocol):
    """Somebody with something to ask of one partition."""

    def asking(self) -> Asking | None:
        """What is to be asked with the round that begins now, if there is still anything. It is answered by `hear`."""
        ...

    def hear(self, answer: Answer) -> None:
        """What came of what was asked."""
        ...


class _Call(msgspec.Struct, frozen=True, eq=False):
    caller: Caller
    asking: Asking


class GateRounds:
    """The rounds of one front door."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._waiting: list[Caller] = []
        self._under_way: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def join(self, caller: Caller) -> None:
        """Let this one ask with the next round, once."""
        self._waiting.append(caller)
        if self._under_way is None:
            self._begin()

    def _begin(self) -> None:
        task = self._under_way = asyncio.create_task(self._round(), name="gate-round")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        asyncio.get_running_loop().call_later(PATIENCE_S, self._over, task)

    async def _round(self) -> None:
        # By now everybody has asked who came in the same turn of the loop.
        callers, self._waiting = self._waiting, []
        calls = [_Call(caller, asking) for caller in callers if (asking := caller.asking()) is not None]
        began = clock.monotonic()
        try:
            answers = await self._answers([call.asking for call in calls])
        finally:
            took_s = clock.monotonic() - began if len(calls) > 1 else 0.0
            self._over_in(min(took_s, _GATHER_S), asyncio.current_task())
        for call, answer in zip(calls, answers, strict=True):
            call.caller.hear(answer)

    async def _answers(self, asked: Sequence[Asking]) -> Sequence[Answer]:
        try:
            if len(asked) == 1:
                [alone] = asked
                return [await self._gate.admit(alone.partition, alone.incarnation, alone.campaigns, alone.claims)]
            return await self._gate.admit_each(asked) if asked else []
        except Exception as error:
            return [error for _ in asked]

    def _over_in(self, seconds: float, task: asyncio.Task[None] | None) -> None:
        if seconds:
            asyncio.get_running_loop().call_later(seconds, self._over, task)
        else:
            self._over(task)

    def _over(self, task: asyncio.Task[None] | None) -> None:
        """A round is over, or is waited for no longer: the next one may begin."""
        if self._under_way is task:
            self._under_way = None
            if self._waiting:
                self._begin()

"""Rounds: what a front door asks the gates of all partitions goes there and comes back together.

A busy campaign fills a call by itself. A thousand campaigns live in all partitions, whose calls would carry a handful of claims
each, and everything behind them (mailboxes, commits, messages) would be as small. So what is asked for while a round is under
way goes with the next one (see `shared.beat`).
"""

from collections.abc import Coroutine, Sequence
from typing import Any, Protocol, TypeAlias

import msgspec

from shared import clock
from shared.beat import Beat
from shared.gate import Admission, Asking, Gate, Moved

#: After how long the next round begins beside one that is still under way.
PATIENCE_S = 0.1

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
        self._beat = Beat(self._next, PATIENCE_S)

    def join(self, caller: Caller) -> None:
        """Let this one ask with the next round, once."""
        self._waiting.append(caller)
        self._beat.begin()

    def _next(self) -> Coroutine[Any, Any, None] | None:
        return self._round() if self._waiting else None

    async def _round(self) -> None:
        # By now everybody has asked who came in the same turn of the loop.
        callers, self._waiting = self._waiting, []
        calls = [_Call(caller, asking) for caller in callers if (asking := caller.asking()) is not None]
        began = clock.monotonic()
        try:
            answers = await self._answers([call.asking for call in calls])
        finally:
            self._beat.over(began, len(calls), sum(len(call.asking.claims) for call in calls))
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

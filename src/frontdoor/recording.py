"""The one place where the answers of the coupon calls are seen, whichever way they leave: each is noted as an attempt."""

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

from frontdoor.context import Door
from frontdoor.failures import kind_of
from frontdoor.problems import Problem
from frontdoor.reception import Answering, Call
from frontdoor.replies import Reply, Shown
from frontdoor.visit import Visit


def recorded(name: str) -> Callable[[Call], Call]:
    """Have what `name` answers noted."""

    def record(call: Call) -> Call:
        @wraps(call)
        def answer(door: Door, visit: Visit) -> Answering:
            try:
                answering = call(door, visit)
            except Exception as error:
                door.attempts.note(name, visit, kind_of(error))
                raise
            if not isinstance(answering, (Problem, Shown)):
                return _seen(door, visit, answering)
            door.attempts.note(name, visit, answering)
            return answering

        async def _seen(door: Door, visit: Visit, answering: Coroutine[Any, Any, Reply]) -> Reply:
            try:
                reply = await answering
            except Exception as error:
                door.attempts.note(name, visit, kind_of(error))
                raise
            door.attempts.note(name, visit, reply)
            return reply

        return answer

    return record

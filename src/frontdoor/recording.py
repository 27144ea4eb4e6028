"""The one place where the answers of the coupon calls are seen, whichever way they leave: each is noted as an attempt."""

from collections.abc import Callable
from functools import wraps

from frontdoor.context import Door
from frontdoor.failures import kind_of
from frontdoor.problems import Problem
from frontdoor.reception import Answering, Call, awaited
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

        async def _seen(door: Door, visit: Visit, answering: Answering) -> Reply:
            try:
                reply = await awaited(answering)
            except Exception as error:
                door.attempts.note(name, visit, kind_of(error))
                raise
            door.attempts.note(name, visit, reply)
            return reply

        return answer

    return record

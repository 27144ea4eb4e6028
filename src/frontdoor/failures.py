"""What went wrong, as the problem that the caller hears of. Only what is no refusal is logged."""

import asyncpg
import structlog

from frontdoor.problems import INTERNAL, UNAVAILABLE, Problem, ProblemRaised
from shared.errors import RedisUnavailable, ShortWrite
from shared.postgres import NO_ANSWER

_log = structlog.get_logger()

#: A store that is away, or other writers that were in the way until the last attempt, are no fault of ours: whatever was asked
#: was not decided, or is not known to be.
_UNDECIDED = (RedisUnavailable, ShortWrite, asyncpg.TransactionRollbackError, asyncpg.LockNotAvailableError, *NO_ANSWER)


def problem_of(error: Exception, request_id: str, path: str) -> Problem:
    """The problem that `error` is to who made the request."""
    problem = kind_of(error)
    if isinstance(error, ProblemRaised):
        return problem
    if problem is UNAVAILABLE:
        _log.warning("request undecided", request_id=request_id, path=path, error=repr(error))
        return problem
    _log.error("request failed", request_id=request_id, path=path, exc_info=error)
    return INTERNAL.carrying(request_id=request_id)


def kind_of(error: Exception) -> Problem:
    """The same, without a word in the log."""
    if isinstance(error, ProblemRaised):
        return error.problem
    return UNAVAILABLE if isinstance(error, _UNDECIDED) else INTERNAL

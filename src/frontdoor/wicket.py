"""The wicket: what a front door knows from memory is answered in the turn of the loop in which it was read.

For every request aiohttp makes a task, a request and a response, which costs more than all that we do for a sold-out answer.
So the wicket stands before aiohttp's parser: of what the parser has read it takes the requests that can be answered at once,
writes the answer, and passes the others on as if it were not there. It only ever gives what the handler would have given; what
it does not know, or does not understand, goes the ordinary way.

Like `protocol`, it reaches below aiohttp's public names, and a test holds both ways to the same answers.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import Any, NamedTuple, TypeAlias

import msgspec
import structlog
from aiohttp import web
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http import HttpVersion11
from multidict import CIMultiDictProxy

from frontdoor.bodies import MAX_BODY_BYTES
from frontdoor.middlewares import REQUEST_ID_HEADER, request_id
from frontdoor.parse import media_problem
from frontdoor.problems import MEDIA_TYPE, Problem, ProblemRaised, body, headers
from frontdoor.replies import JSON_TYPE, encode
from shared import metrics

#: What a call answers from memory to headers and a body: a refusal, or what is shown with 200; None when memory is not enough.
#: May raise ProblemRaised, for the handler to answer.
AtOnce: TypeAlias = Callable[[CIMultiDictProxy[str], bytes], Problem | msgspec.Struct | None]


class Call(NamedTuple):
    """A POST that may be answered at once; its answers are counted by `name`."""

    name: str
    answer: AtOnce


#: Such calls by path.
Calls: TypeAlias = Mapping[str, Call]

_log = structlog.get_logger()


class Wicket:
    """A connection's parser, as aiohttp uses it, that keeps for itself what can be answered at once."""

    def __init__(self, parser: Any, connection: web.RequestHandler, calls: Calls) -> None:
        self._parser = parser
        self._connection = connection
        self._calls = calls

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parser, name)

    def feed_data(self, data: bytes) -> tuple[Any, bool, bytes]:
        """Parse, and answer what can be answered; the rest is returned."""
        fed: tuple[Any, bool, bytes] = self._parser.feed_data(data)
        messages, upgraded, _ = fed
        if len(messages) != 1 or upgraded or not self._idle():
            return fed
        answer = self._answer(*messages[0])
        if answer is None:
            return fed
        self._parser.message_consumed()
        self._send(answer)
        return (), False, b""

    def _idle(self) -> bool:
        """Whether nothing that came before is still to be answered, and the other side reads what it is sent."""
        connection = self._connection
        return not (connection._messages or connection._request_in_progress or connection._paused)

    def _answer(self, message: Any, payload: Any) -> bytes | None:
        call = self._calls.get(message.path)
        if call is None or not _plain(message):
            return None
        fields, raw = message.headers, _whole(payload)
        if raw is None or media_problem(fields.get("Content-Type"), fields.get("Content-Encoding")) is not None:
            return None
        try:
            known = call.answer(fields, raw)
        except ProblemRaised:
            return None
        except Exception:
            _log.exception("not answered at once", path=message.path)
            return None
        return None if known is None else _rendered(call.name, known, request_id(fields.get(REQUEST_ID_HEADER)))

    def _send(self, answer: bytes) -> None:
        connection = self._connection
        connection.transport.write(answer)  # type: ignore[union-attr]
        connection._next_keepalive_close_time = connection._loop.time() + connection._keepalive_timeout


def _plain(message: Any) -> bool:
    """Whether it is a POST that asks nothing of the connection."""
    return bool(
        message.method == "POST"
        and message.version == HttpVersion11
        and not message.should_close
        and "Expect" not in message.headers
    )


def _whole(payload: Any) -> bytes | None:
    """The body, without taking it from its reader; None when it has not come in one piece, or is too large for our calls."""
    pieces: Sequence[bytes] = getattr(payload, "_buffer", ())
    return pieces[0] if len(pieces) == 1 and payload.is_eof() and len(pieces[0]) <= MAX_BODY_BYTES else None


def _rendered(name: str, known: Problem | msgspec.Struct, named: str) -> bytes:
    if isinstance(known, Problem):
        metrics.ANSWERS.add(name, known.code)
        head, content = _problem_head(known), body(known)
    else:
        metrics.ANSWERS.add(name, "200")
        head, content = _JSON_HEAD, encode(known)
    return (
        f"{head}Content-Length: {len(content)}\r\n{REQUEST_ID_HEADER}: {named}\r\nDate: {rfc822_formatted_time()}\r\n\r\n"
    ).encode() + content


def _head(status: int, fields: Mapping[str, str]) -> str:
    return "".join(
        (f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n", *(f"{name}: {value}\r\n" for name, value in fields.items()))
    )


@lru_cache(maxsize=256)
def _problem_head(problem: Problem) -> str:
    return _head(problem.status, {"Content-Type": MEDIA_TYPE, **headers(problem)})


_JSON_HEAD = _head(200, {"Content-Type": JSON_TYPE})

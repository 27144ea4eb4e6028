"""The wicket: the calls of the coupons are answered without aiohttp's tasks, requests and responses.

For every request aiohttp makes a task, a request and a response, which costs more than all that we do for a sold-out answer.
So the wicket stands between aiohttp's parser and the connection: of what the parser has read it takes what it can serve,
writes the answer, in the same turn of the loop when memory is enough, and passes the rest on as if it were not there. While it
owes an answer, what the caller sends next is kept unread. A body that comes in pieces is waited for here, since whoever sends
it a byte at a time shall cost no more than his bytes. A request that is in any way unusual goes the ordinary way, to the same
answer.

Like `protocol`, it reaches below aiohttp's public names, and a test holds both ways to the same answers.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from aiohttp import web
from aiohttp.http import HttpVersion11
from aiohttp.http_exceptions import HttpProcessingError

from frontdoor.bodies import MAX_BODY_BYTES
from frontdoor.client_ip import client_ip
from frontdoor.failures import problem_of
from frontdoor.middlewares import REQUEST_ID_HEADER, request_id
from frontdoor.parse import media_problem
from frontdoor.problems import REQUEST_TIMEOUT, Problem
from frontdoor.reception import HIDDEN, Answering
from frontdoor.replies import NO_CALL, Reply, Shown
from frontdoor.ticks import Ticks
from frontdoor.visit import Visit
from frontdoor.written import written

#: How much of what is sent ahead of an answer is kept, before the connection is read no more.
_AHEAD_BYTES = 64 * 1024


class Counter(NamedTuple):
    """A POST that is served at the wicket; its answers are counted by `name`."""

    name: str
    answer: Callable[[Visit], Answering]


#: Such calls by path.
Counters: TypeAlias = Mapping[str, Counter]


class Served(NamedTuple):
    """What a port serves at its wickets, and whom it believes and bears there.

    `trusted_proxies`: how many of ours stand before it (see `client_ip`). `per_ip`: how many connections one address may have;
    0 for any number.
    """

    counters: Counters
    ticks: Ticks
    trusted_proxies: int = 0
    per_ip: int = 0


_running: set[asyncio.Task[None]] = set()


class Wicket:
    """A connection's parser, as aiohttp uses it, that keeps for itself what it serves."""

    __slots__ = (
        "_ahead",
        "_arriving",
        "_connection",
        "_counters",
        "_owes",
        "_parser",
        "_served",
        "begun_at",
        "ip",
        "unread_since",
    )

    def __init__(self, parser: Any, connection: web.RequestHandler, served: Served) -> None:
        self._parser = parser
        self._connection = connection
        self._served = served
        self._counters = served.counters
        self._owes = False
        self._ahead = b""
        #: A request, with its payload, whose body is still to come.
        self._arriving: tuple[Any, Any] | None = None
        peer = connection.peername
        self.ip = peer[0] if isinstance(peer, tuple) else ""
        self.begun_at = 0.0
        self.unread_since = 0.0

    # One by one: with a `__getattr__` every look at one of our own attributes would be a slow one.

    def message_consumed(self) -> None:
        """A message that was passed on has been served."""
        self._parser.message_consumed()

    def set_upgraded(self, upgraded: bool) -> None:
        """What comes next is, or is no, HTTP."""
        self._parser.set_upgraded(upgraded)

    def pause_reading(self) -> None:
        """The connection is read no more, for now."""
        self._parser.pause_reading()

    def feed_data(self, data: bytes) -> tuple[Any, bool, bytes]:
        """Parse, and serve what can be served; the rest is returned."""
        if self._owes:
            self._keep(data)
            return (), False, b""
        if self._arriving is not None:
            return self._arrive(self._arriving, data)
        fed: tuple[Any, bool, bytes] = self._parser.feed_data(data)
        messages, upgraded, _ = fed
        if not messages:
            self._note_beginning()
            return fed
        self.begun_at = 0.0
        if len(messages) != 1 or upgraded or not self._idle():
            return fed
        if self._takes(*messages[0]):
            self._parser.message_consumed()
        elif self._awaits(*messages[0]):
            self._arriving = messages[0]
            self._note_beginning()
            self._stay()
        else:
            return fed
        return (), False, b""

    def _arrive(self, arriving: tuple[Any, Any], data: bytes) -> tuple[Any, bool, bytes]:
        """The same, while a body is still to come. What follows it goes the ordinary way, after it."""
        self._arriving = None
        try:
            messages, upgraded, tail = self._parser.feed_data(data)
        except HttpProcessingError:
            self._connection._messages.append(arriving)
            raise
        if not messages and not arriving[1].is_eof():
            self._arriving = arriving
            return (), False, b""
        self.begun_at = 0.0
        if messages or not self._takes(*arriving):
            return (arriving, *messages), upgraded, tail
        self._parser.message_consumed()
        return (), False, b""

    def is_unread(self) -> bool:
        """Whether what was sent waits for the other side."""
        return bool(self._connection._paused)

    def end_if_silent(self, now: float) -> None:
        """End without a word when nothing has been asked for too long. Who has a task of aiohttp's has its timer as well."""
        connection = self._connection
        if connection._task_handler is None and not self._owes and now > connection._next_keepalive_close_time:
            connection.force_close()

    def tell_overdue(self) -> None:
        """Say that the request did not come in time, and end."""
        self.refuse(REQUEST_TIMEOUT)

    def refuse(self, problem: Problem) -> None:
        """Say why this connection is not served (any more), and end it."""
        self._write(written(NO_CALL, problem, request_id(None), b"Connection: close\r\n"))
        self._connection.force_close()

    def abort(self) -> None:
        """End without a word."""
        if self._connection.transport is not None:
            self._connection.transport.abort()

    def _note_beginning(self) -> None:
        """What came is the beginning of a request, unless it belongs to the body of the one that is being served."""
        if not self.begun_at and self._idle():
            self.begun_at = self._connection._loop.time()

    def _keep(self, data: bytes) -> None:
        self._ahead += data
        if len(self._ahead) > _AHEAD_BYTES and self._connection.transport is not None:
            self._connection.transport.pause_reading()

    def _idle(self) -> bool:
        """Whether nothing that came before is still to be answered, and the other side reads what it is sent."""
        connection = self._connection
        return not (connection._messages or connection._request_in_progress or connection._paused)

    def _takes(self, message: Any, payload: Any) -> bool:
        """Whether this one is served here: then it has been answered, or will be."""
        counter = self._counters.get(message.path)
        if counter is None or not _plain(message):
            return False
        fields, raw = message.headers, _whole(payload)
        if raw is None or media_problem(fields.get("Content-Type"), fields.get("Content-Encoding")) is not None:
            return False
        proxies = self._served.trusted_proxies
        ip = client_ip(self.ip, fields, proxies) if proxies else self.ip
        visit = Visit(fields, raw, ip, self._connection._loop.time())
        named = request_id(fields.get(REQUEST_ID_HEADER))
        try:
            answering = counter.answer(visit)
        except Exception as error:
            answering = problem_of(error, named, message.path)
        if not isinstance(answering, (Problem, Shown)):
            self._owe()
            self._promise(counter.name, visit, named, answering)
        elif answering is HIDDEN:
            self._owe()
            ticks = self._served.ticks
            ticks.at(ticks.known(visit.arrived_at), partial(self._pay, counter.name, HIDDEN, named))
        else:
            self._write(written(counter.name, answering, named))
        return True

    def _awaits(self, message: Any, payload: Any) -> bool:
        """Whether it is to be served here once the rest of its body has come."""
        if message.path not in self._counters or not _plain(message) or payload.is_eof():
            return False
        fields = message.headers
        length = fields.get("Content-Length")
        fits = length is not None and int(length) <= MAX_BODY_BYTES
        return fits and media_problem(fields.get("Content-Type"), fields.get("Content-Encoding")) is None

    def _owe(self) -> None:
        # As aiohttp says it of its own: who shuts down waits for it.
        self._connection._request_in_progress = self._owes = True
        self._stay()

    def _promise(self, name: str, visit: Visit, named: str, answering: Coroutine[Any, Any, Reply]) -> None:
        task = asyncio.create_task(self._fulfil(name, visit, named, answering))
        _running.add(task)
        task.add_done_callback(_running.discard)

    async def _fulfil(self, name: str, visit: Visit, named: str, answering: Coroutine[Any, Any, Reply]) -> None:
        try:
            reply = await answering
        except Exception as error:
            reply = problem_of(error, named, name)
        ticks = self._served.ticks
        if reply is HIDDEN:
            ticks.at(ticks.looked_up(visit.arrived_at), partial(self._pay, name, HIDDEN, named))
        else:
            self._pay(name, reply, named)

    def _pay(self, name: str, reply: Reply, named: str) -> None:
        """Write what was owed, and read on."""
        connection = self._connection
        connection._request_in_progress = self._owes = False
        self._write(written(name, reply, named))
        if connection._handler_waiter is not None and not connection._handler_waiter.done():
            connection._handler_waiter.set_result(None)
        if self._ahead and connection.transport is not None:
            ahead, self._ahead = self._ahead, b""
            if len(ahead) > _AHEAD_BYTES:
                connection.transport.resume_reading()
            connection.data_received(ahead)

    def _write(self, answer: bytes) -> None:
        transport = self._connection.transport
        if transport is not None:
            transport.write(answer)
            self._stay()

    def _stay(self) -> None:
        connection = self._connection
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
    """The body, without taking it from its reader; None when not all of it has come, or it is too large for our calls."""
    if not payload.is_eof():
        return None
    pieces: Sequence[bytes] = getattr(payload, "_buffer", ())
    body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    return body if 0 < len(body) <= MAX_BODY_BYTES else None

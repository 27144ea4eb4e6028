"""A load client that costs little: raw protocols over keep-alive connections, requests rendered before the clock starts.

A general HTTP client costs more per request than the servers it measures, so its figures would be its own. Measured beside bare
aiohttp on two cores (2 processes, 256 connections): `fire` takes 14 to 25 µs of CPU for a request, a quarter to a third of what
bare aiohttp takes to answer it; aiohttp's own client takes nine times as much.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from math import ceil
from typing import cast

import msgspec

from lastslot.wire import END_OF_HEAD, frame
from shared.clock import monotonic
from shared.errors import LastslotError

#: The status of a request whose connection broke before its answer came. Whether it was served is not known.
LOST = 0

#: Connections opened at once: fewer than a listener's usual backlog, past which the kernel drops one for a second.
_OPENING = 64


class Unframed(LastslotError):
    """The server answered in a framing this client does not read: chunked, several at once, or not HTTP/1.1 at all."""


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What came back for `requests[index]`.

    `seconds` is the latency from `started` (monotonic), the moment of sending.
    `head` and `body` are empty unless they were asked for.
    """

    index: int
    status: int
    seconds: float
    started: float
    head: bytes = b""
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """A header's value, None when it was not sent."""
        at = self.head.lower().find(f"\r\n{name.lower()}:".encode())
        if at < 0:
            return None
        return self.head[at + len(name) + 3 :].partition(b"\r\n")[0].strip().decode("latin-1")


def percentile(answers: Iterable[Answer], percent: float) -> float:
    """The latency in seconds that `percent` of the answers stay within (nearest rank)."""
    ordered = sorted(answer.seconds for answer in answers)
    return ordered[max(0, ceil(len(ordered) * percent / 100) - 1)]


async def fire(
    host: str,
    port: int,
    requests: Sequence[bytes],
    connections: int = 256,
    on_answer: Callable[[Answer], None] | None = None,
    keep_bodies: bool = False,
    within_s: float = 120.0,
) -> list[Answer]:
    """Send `requests` as fast as `connections` answer them; the answers come back in the order of the requests.

    Closed loop: each connection sends its next request when its last was answered. All are open before the first request is
    sent. What is unanswered after `within_s` seconds is LOST. Raises OSError when the server cannot be reached at all.
    """
    run = _Run(host, port, requests, on_answer, keep_bodies)
    await run.open(min(connections, len(requests)))
    for index in range(len(requests)):
        run.ask(index)
    return await run.answers(within_s)


class _Run:
    """What the connections of one burst share: the requests that wait for one of them, and the answers."""

    def __init__(
        self, host: str, port: int, requests: Sequence[bytes], on_answer: Callable[[Answer], None] | None, keep_bodies: bool
    ) -> None:
        self.requests = requests
        self.keep_bodies = keep_bodies
        self._address = host, port
        self._on_answer = on_answer
        self._answers: list[Answer | None] = [None] * len(requests)
        self._missing = len(requests)
        self._waiting: deque[int] = deque()
        self._connections: list[_Connection] = []
        self._idle: list[_Connection] = []
        self._reopening: set[asyncio.Task[None]] = set()
        self._finished = asyncio.get_running_loop().create_future()

    async def open(self, connections: int) -> None:
        self._connections = [_Connection(self) for _ in range(connections)]
        for first in range(0, connections, _OPENING):
            await asyncio.gather(*map(self._connect, self._connections[first : first + _OPENING]))
        self._idle = self._connections[:]

    def ask(self, index: int) -> None:
        """Have the request sent by the next free connection."""
        if self._idle:
            self._idle.pop().send(index)
        else:
            self._waiting.append(index)

    def rest(self, connection: "_Connection") -> None:
        """Give a free connection its next request."""
        if self._waiting:
            connection.send(self._waiting.popleft())
        else:
            self._idle.append(connection)

    def reopen(self, connection: "_Connection") -> None:
        task = asyncio.ensure_future(self._reconnect(connection))
        self._reopening.add(task)
        task.add_done_callback(self._reopening.discard)

    def keep(self, answer: Answer) -> None:
        self._answers[answer.index] = answer
        self._missing -= 1
        if self._on_answer is not None:
            self._on_answer(answer)
        if not self._missing and not self._finished.done():
            self._finished.set_result(None)

    def fail(self, error: Exception) -> None:
        if not self._finished.done():
            self._finished.set_exception(error)

    async def answers(self, within_s: float) -> list[Answer]:
        """All of them, once they are there; what is missing after `within_s` seconds is LOST."""
        if self._missing:
            await asyncio.wait([self._finished], timeout=within_s)
        for task in self._reopening:
            task.cancel()
        for connection in self._connections:
            connection.hang_up()
        if self._finished.done():
            self._finished.result()
        return [answer or Answer(index, LOST, within_s, monotonic() - within_s) for index, answer in enumerate(self._answers)]

    async def _connect(self, connection: "_Connection") -> None:
        await asyncio.get_running_loop().create_connection(lambda: connection, *self._address)

    async def _reconnect(self, connection: "_Connection") -> None:
        try:
            await self._connect(connection)
        except OSError:
            connection.give_up()


class _Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request in flight. It opens itself again after the server closed it."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._transport: asyncio.WriteTransport | None = None
        self._index: int | None = None
        self._started = 0.0
        self._received = b""
        self._proven = False  # has brought an answer
        self._closing = False  # the server said it would close

    def send(self, index: int) -> None:
        self._index = index
        self._started = monotonic()
        if self._transport is None:
            self._run.reopen(self)
        else:
            self._transport.write(self._run.requests[index])

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)
        self._proven = self._closing = False
        if self._index is not None:
            self._transport.write(self._run.requests[self._index])

    def data_received(self, data: bytes) -> None:
        if self._received:
            data = self._received + data
        try:
            framed = frame(data)
        except ValueError:
            self._run.fail(Unframed(f"cannot read the answer {data[:200]!r}"))
            return
        if framed is None:
            self._received = data
            return
        status, head_end, self._closing = framed
        self._received = b""
        self._proven = True
        self._answer(status, data, head_end)
        if not self._closing:
            self._run.rest(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        received, self._received = self._received, b""
        if self._index is None:
            if self._closing:
                self._run.rest(self)
        elif self._proven and not received:
            # A server may close a kept connection just as a request is on its way: every client asks again on a new one.
            self._run.reopen(self)
        else:
            self.give_up()

    def give_up(self) -> None:
        """Count the request as LOST and go on with the next."""
        self._answer(LOST, b"", 0)
        self._run.rest(self)

    def hang_up(self) -> None:
        self._index, self._closing = None, False
        if self._transport is not None:
            self._transport.abort()

    def _answer(self, status: int, data: bytes, head_end: int) -> None:
        index, self._index = self._index, None
        if index is None:
            self._run.fail(Unframed("the server spoke without being asked"))
        elif self._run.keep_bodies:
            head, body = data[:head_end], data[head_end + len(END_OF_HEAD) :]
            self._run.keep(Answer(index, status, monotonic() - self._started, self._started, head, body))
        else:
            self._run.keep(Answer(index, status, monotonic() - self._started, self._started))

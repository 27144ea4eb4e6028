"""A client that sends when a request is due, whatever the answers do.

A client that waits for an answer before it sends the next request asks a slow server less, and never measures what people who
do not wait would have seen. Here every request has its moment, its latency counts from that moment, and a client that is late
itself says by how much.

One thread and no event loop: `select` on an epoll sleeps to the microsecond, an event loop's timers round to the millisecond.
"""

import select
import socket
import time
from collections.abc import Sequence
from itertools import cycle
from random import Random

import msgspec

from lastslot.burst import LOST
from lastslot.wire import frame
from shared.clock import monotonic

#: No answer had come when the waiting ended; UNSENT: no connection had been free for it until then, so nobody has seen it.
UNANSWERED, UNSENT = -1, -2

_READ_BYTES = 65_536


class Replied(msgspec.Struct, frozen=True):
    """What came of the requests, in their order. `seconds` are latencies from the moment at which each was due.

    `late`: how long after that moment it was sent although a connection was free: the client's own fault.
    `took_s`: from the first request's moment to the last answer. `cpu_s`: the client's own CPU.
    """

    statuses: Sequence[int]
    seconds: Sequence[float]
    late: Sequence[float]
    took_s: float
    cpu_s: float


def poisson(rate: float, seconds: float, dice: Random) -> list[float]:
    """Moments, in seconds from the start, at which people come who know nothing of each other: rate × seconds of them."""
    return sorted(dice.uniform(0.0, seconds) for _ in range(round(rate * seconds)))


def pace(
    port: int,
    requests: Sequence[bytes],
    due: Sequence[float],
    connections: int,
    patience_s: float = 10.0,
    sources: Sequence[str] = ("127.0.0.1",),
) -> Replied:
    """Send `requests[i]` at `due[i]` (ascending) over kept connections, and wait for answers up to `patience_s` after the last.

    `sources`: the addresses the connections come from, in turn. Blocks. While no connection is free a request waits, and its
    latency grows. Raises OSError when nobody listens.
    """
    with select.epoll() as ready:
        run = _Run(port, requests, due, ready, sources)
        try:
            run.open(connections)
            return run.go(patience_s)
        finally:
            run.close()


class _Line:
    """A connection: what it asks now, and what has come of the answer."""

    __slots__ = ("index", "received", "socket")

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.index = -1
        self.received = b""


class _Run:
    def __init__(
        self, port: int, requests: Sequence[bytes], due: Sequence[float], ready: select.epoll, sources: Sequence[str]
    ) -> None:
        self._port = port
        self._sources = cycle(sources)
        self._requests = requests
        self._due = due
        self._ready = ready
        self._lines: dict[int, _Line] = {}
        self._idle: list[_Line] = []
        self._idle_since = 0.0
        self._statuses = [UNSENT] * len(requests)
        self._seconds = [0.0] * len(requests)
        self._late: list[float] = []
        self._next = 0
        self._answered = 0
        self._began = 0.0
        self._last = 0.0

    def open(self, connections: int) -> None:
        self._idle = [self._line() for _ in range(connections)]

    def close(self) -> None:
        for line in self._lines.values():
            line.socket.close()

    def go(self, patience_s: float) -> Replied:
        cpu = time.thread_time()
        self._began = monotonic() + 0.01
        ends = self._due[-1] + patience_s
        total = len(self._requests)
        while self._answered < total and (now := monotonic() - self._began) < ends:
            self._send_due(now)
            self._wait(now)
            for descriptor, _ in self._ready.poll(0):
                self._read(self._lines[descriptor])
        return Replied(self._statuses, self._settled(), self._late, self._last or ends, time.thread_time() - cpu)

    def _send_due(self, now: float) -> None:
        while self._idle and self._next < len(self._due) and self._due[self._next] <= now:
            index, line = self._next, self._idle.pop()
            self._next += 1
            self._late.append(now - max(self._due[index], self._idle_since))
            self._statuses[index] = UNANSWERED
            line.index = index
            try:
                line.socket.send(self._requests[index])
            except OSError:
                self._answer(self._anew(line, index), LOST)

    def _wait(self, now: float) -> None:
        """Until something has come, or a request is due that can be sent."""
        sendable = self._idle and self._next < len(self._due)
        pause_s = max(0.0, self._due[self._next] - now) if sendable else 0.05
        select.select([self._ready], [], [], min(pause_s, 0.05))

    def _read(self, line: _Line) -> None:
        try:
            data = line.socket.recv(_READ_BYTES)
        except OSError:
            data = b""
        if not data:
            self._hung_up(line)
            return
        line.received = line.received + data if line.received else data
        framed = frame(line.received)
        if framed is not None:
            status, _, closing = framed
            self._answer(self._anew(line, line.index) if closing else line, status)

    def _hung_up(self, line: _Line) -> None:
        fresh = self._anew(line, line.index)
        if line.index < 0:
            self._idle[self._idle.index(line)] = fresh
        else:
            self._answer(fresh, LOST)

    def _answer(self, line: _Line, status: int) -> None:
        """Note the answer to what this connection asked, and let it be asked again."""
        now = monotonic() - self._began
        self._statuses[line.index] = status
        self._seconds[line.index] = now - self._due[line.index]
        self._last = now
        self._answered += 1
        line.index, line.received = -1, b""
        if not self._idle:
            self._idle_since = now
        self._idle.append(line)

    def _anew(self, line: _Line, index: int) -> _Line:
        """A connection in the place of one that has ended, which asked for `index`."""
        del self._lines[line.socket.fileno()]
        line.socket.close()
        fresh = self._line()
        fresh.index = index
        return fresh

    def _line(self) -> _Line:
        connection = socket.create_connection(("127.0.0.1", self._port), source_address=(next(self._sources), 0))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setblocking(False)
        line = self._lines[connection.fileno()] = _Line(connection)
        self._ready.register(connection, select.EPOLLIN)
        return line

    def _settled(self) -> list[float]:
        """Latencies, with what was not answered at what it has waited so far."""
        now = monotonic() - self._began
        return [
            now - due if status in (UNANSWERED, UNSENT) else seconds
            for status, seconds, due in zip(self._statuses, self._seconds, self._due, strict=True)
        ]

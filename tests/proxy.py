"""A TCP proxy that harms what passes: between any two of client, front door, worker, Redis and Postgres.

A link that goes silent is not one that loses bytes: TCP sends again what did not arrive, so what was held back comes when the
link is whole again, and until then neither side hears that the other has hung up. Connections that are cut are reset.

All links are served by one thread with a loop of its own, so that a test which blocks stops nothing.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit, urlunsplit

T = TypeVar("T")

#: Which way bytes go: to the server that was connected to, or back to who connected.
Way = Literal["there", "back"]

_CHUNK = 65_536
_RESET = struct.pack("ii", 1, 0)


class Network:
    """The thread that serves links; `to` makes one."""

    def __init__(self) -> None:
        self._links: list[Link] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="network", daemon=True)
        self._thread.start()

    def to(self, url: str) -> "Link":
        """A link to the server that `url` names; closed with the network."""
        link = Link(self, url)
        self.run(link.open())
        self._links.append(link)
        return link

    def run(self, act: Coroutine[Any, Any, T]) -> T:
        """What `act` returns when it is awaited in the network's own loop."""
        return asyncio.run_coroutine_threadsafe(act, self._loop).result(10)

    def call(self, act: Callable[[], None]) -> None:
        """Do this in the network's own loop, and wait until it is done."""

        async def acted() -> None:
            act()

        self.run(acted())

    def close(self) -> None:
        """End every link."""
        self.run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _end(self) -> None:
        for link in self._links:
            link.close()
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True)


@contextmanager
def network() -> Iterator[Network]:
    """A network for a while."""
    made = Network()
    try:
        yield made
    finally:
        made.close()


class Link:
    """A port that leads to a server; `url` is the server's, by way of it. What is told to it harms until it is healed."""

    def __init__(self, network: Network, url: str) -> None:
        parts = urlsplit(url)
        self._network = network
        self._there = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._parts = parts
        self._passing: set[_Passing] = set()
        self._server: asyncio.Server | None = None
        self.port = 0
        self.delay_s = 0.0
        self.refusing = False
        self.pattern = b""
        self.then: Callable[[], None] | None = None
        self.swallowed = 0
        self.silent: dict[Way, asyncio.Event] = {}

    @property
    def url(self) -> str:
        """The server's URL by way of this link."""
        user, at, _ = self._parts.netloc.rpartition("@")
        return urlunsplit(self._parts._replace(netloc=f"{user}{at}127.0.0.1:{self.port}"))

    async def open(self) -> None:
        """Listen. Called by the network."""
        self.silent = {"there": asyncio.Event(), "back": asyncio.Event()}
        self._open_both()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        """End what passes, and listen no more. Called by the network."""
        if self._server is not None:
            self._server.close()
        self._heal()
        self._break()

    def delay(self, seconds: float) -> None:
        """Every piece arrives so much later, either way."""
        self.delay_s = seconds

    def silence(self, *ways: Way) -> None:
        """Nothing arrives any more that way (both, if none is named), and nobody is told so."""

        def fall_silent() -> None:
            for way in ways or ("there", "back"):
                self.silent[way].clear()

        self._network.call(fall_silent)

    def reset(self) -> None:
        """Break what is connected. Who connects again may."""
        self._network.call(self._break)

    def refuse(self) -> None:
        """Break what is connected, and whoever connects."""
        self.refusing = True
        self.reset()

    def cut_after(self, count: int, way: Way) -> None:
        """Break each connection once so many more bytes have gone that way: in the middle of a message, as like as not."""

        def allow() -> None:
            for passing in self._passing:
                passing.left[way] = count

        self._network.call(allow)

    def swallow(self, asked: bytes, then: Callable[[], None] | None = None) -> None:
        """Let the next request that holds `asked` through, but not its reply: once that comes, `then` is called, and the
        connection is broken."""
        self.then, self.pattern = then, asked

    def heal(self) -> None:
        """From here on bytes pass, those too that were held back."""
        self._network.call(self._heal)

    def _heal(self) -> None:
        self.delay_s, self.refusing, self.pattern = 0.0, False, b""
        for passing in self._passing:
            passing.left.clear()
        self._open_both()

    def _open_both(self) -> None:
        for way in self.silent.values():
            way.set()

    def _break(self) -> None:
        for passing in list(self._passing):
            passing.cut()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        passing = _Passing(self, writer)
        self._passing.add(passing)
        try:
            await passing.serve(reader, self._there)
        except OSError:
            pass
        finally:
            passing.cut()
            self._passing.discard(passing)


class _Passing:
    """One connection through a link. `left`: how many bytes may still go a way; `owed`: a reply is to be swallowed."""

    def __init__(self, link: Link, client: asyncio.StreamWriter) -> None:
        self.left: dict[Way, int] = {}
        self._link = link
        self._writers = [client]
        self._owed = False
        self._tail = b""

    async def serve(self, reader: asyncio.StreamReader, there: tuple[str, int]) -> None:
        if self._link.refusing:
            return
        await self._link.silent["there"].wait()
        answers, server = await asyncio.open_connection(*there)
        self._writers.append(server)
        async with asyncio.TaskGroup() as pumps:
            pumps.create_task(self._pump("there", reader, server))
            pumps.create_task(self._pump("back", answers, self._writers[0]))

    def cut(self) -> None:
        """Break it so that both sides hear of it at once."""
        for writer in self._writers:
            with contextlib.suppress(OSError, AttributeError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()

    async def _pump(self, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                if self._link.delay_s:
                    await asyncio.sleep(self._link.delay_s)
                await self._link.silent[way].wait()
                passed = self._harmed(way, data)
                writer.write(passed)
                await writer.drain()
                if len(passed) < len(data):
                    self.cut()
        # Who sent this is gone; that is news which has to pass as well.
        await self._link.silent[way].wait()
        writer.close()

    def _harmed(self, way: Way, data: bytes) -> bytes:
        """What of `data` gets through. If that is not all, nothing more does."""
        if way == "back" and self._owed:
            if self._link.then is not None:
                self._link.then()
            self._link.swallowed += 1
            return b""
        if way == "there" and self._link.pattern:
            self._look_for(self._link.pattern, data)
        if way not in self.left:
            return data
        self.left[way] -= len(data)
        return data if self.left[way] >= 0 else data[: self.left[way]]

    def _look_for(self, pattern: bytes, data: bytes) -> None:
        if pattern in self._tail + data:
            self._owed, self._link.pattern = True, b""
        self._tail = data[-len(pattern) + 1 :] if len(pattern) > 1 else b""

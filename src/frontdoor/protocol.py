"""The wire itself: what is answered to bytes that are no HTTP request.

aiohttp refuses those before any middleware could, in plain text and with a traceback in the log for each, which is a gift
to whoever sends garbage. This is the one place that reaches below its public names: it offers no other way to say which
protocol a runner's server shall speak.
"""

import asyncio
from typing import Any, cast

import structlog
from aiohttp import web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import InvalidURLError, LineTooLong

from frontdoor.connections import Connections
from frontdoor.problems import HEADERS_TOO_LARGE, INTERNAL, REQUEST_MALFORMED, TOO_MANY_CONNECTIONS, Problem
from frontdoor.replies import NO_CALL, SERVER, counted, refuse, refuse_http
from frontdoor.wicket import Served, Wicket

#: How long a socket may stay silent, before its first request as well as between two.
KEEP_ALIVE_S = 75.0
#: How long the unread rest of a refused body is still read (and dropped), so that its sender gets to see the answer.
LINGER_S = 2.0

_log = structlog.get_logger()


class DoorProtocol(web.RequestHandler):
    """One connection."""

    __slots__ = ("_begun", "_served_by", "_wicket")

    def __init__(self, server: "_DoorServer", **kwargs: Any) -> None:
        super().__init__(server, **kwargs)
        self._served_by = server
        self._begun = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, with a wicket before the parser; or end at once, where the address has too many.

        aiohttp's own beginning gives everybody a task and a timer, also who says nothing; here the task comes with the first
        request that needs it, and `connections` sees who has been silent for too long.
        """
        BaseProtocol.connection_made(self, transport)
        server = self._served_by
        server.connection_made(self, cast(asyncio.Transport, transport))
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        self._wicket = Wicket(self._parser, self, server.served)
        self._parser = self._wicket  # type: ignore[assignment]
        if not server.open_connections.admits(self._wicket):
            self._wicket.refuse(TOO_MANY_CONNECTIONS)

    def data_received(self, data: bytes) -> None:
        """Read; what is not served at the wicket has aiohttp's task begin."""
        super().data_received(data)
        if self._messages and not self._begun:
            self._begun = True
            self._task_handler = asyncio.create_task(self.start())

    def connection_lost(self, exc: BaseException | None) -> None:
        """End."""
        self._served_by.open_connections.left(self._wicket)
        super().connection_lost(exc)
        # The wicket knows us: while we know it too, both would lie about until the collector comes, and keep it busy.
        del self._wicket

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what never became a request (400), or what failed outside of the middleware; the connection ends."""
        if status >= 500:
            _log.error("request failed outside of the middleware", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("An answer is under way, so there can be no other.")
        response = refuse(INTERNAL if status >= 500 else _malformed(exc, message or ""))
        response.force_close()
        return counted(NO_CALL, response)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer; one that aiohttp raised before the middleware (an Expect it does not know) in our words."""
        if isinstance(resp, web.HTTPError):
            resp = counted(NO_CALL, refuse_http(resp))
        if not resp.prepared:
            # Else aiohttp names itself and its version, and an answer tells which way it came.
            resp.headers["Server"] = SERVER
        return await super().finish_response(request, resp, start_time)


class _DoorServer(web.Server):
    served: Served
    open_connections: Connections

    def __call__(self) -> web.RequestHandler:
        return DoorProtocol(self, loop=self._loop, **self._kwargs)


class DoorRunner(web.AppRunner):
    """An AppRunner whose connections are DoorProtocols, without access log and without decompression.

    `served`: what is answered before it reaches the application (see `wicket`).
    """

    def __init__(self, app: web.Application, served: Served, **kwargs: Any) -> None:
        ours: dict[str, Any] = {
            "access_log": None,
            "auto_decompress": False,
            "keepalive_timeout": KEEP_ALIVE_S,
            "lingering_time": LINGER_S,
        }
        super().__init__(app, **(ours | kwargs))
        self._served = served

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        ours = _DoorServer(server.request_handler, request_factory=server.request_factory, loop=server._loop, **server._kwargs)
        ours.served, ours.open_connections = self._served, Connections(self._served.per_ip)
        return ours


def _malformed(exc: BaseException | None, message: str) -> Problem:
    if isinstance(exc, LineTooLong):
        return HEADERS_TOO_LARGE
    if isinstance(exc, InvalidURLError):
        return REQUEST_MALFORMED.saying("The request target is not a URL.")
    # The first line says what is wrong; the rest quotes the caller's bytes back at him.
    fault = message.partition("\n")[0].partition(": b")[0].rstrip(":. ")
    return REQUEST_MALFORMED.saying(f"{fault}.") if fault and fault.isprintable() else REQUEST_MALFORMED

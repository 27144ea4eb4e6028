"""From bytes on a socket to an answer: whatever is sent, no 5xx, a named reason, and the next request is served."""

import asyncio
import gc
import gzip
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import TypeAlias

import asyncpg
import msgspec
import pytest
from aiohttp import web

from frontdoor.bodies import MAX_BODY_BYTES, read_body
from frontdoor.middlewares import answer_every_request
from frontdoor.parse import redeem_body
from frontdoor.problems import BUSY, Problem, accepted
from frontdoor.protocol import DoorProtocol, DoorRunner
from frontdoor.reception import HIDDEN, Answering, answered
from frontdoor.replies import Reply, Shown, refuse
from frontdoor.ticks import TICK_S, Ticks
from frontdoor.visit import Visit
from frontdoor.wicket import Counter, Served
from shared import metrics
from shared.errors import RedisUnavailable

GOOD = b'{"code":"A","order_id":"1"}'


class Taken(msgspec.Struct):
    code: str


Events: TypeAlias = tuple[asyncio.Event, asyncio.Event]


async def later(reply: Reply, events: Events) -> Reply:
    entered, may_end = events
    entered.set()
    await may_end.wait()
    return reply


def answer_from(events: Events, visit: Visit) -> Answering:
    """A call that answers some at once, and others when they may end."""
    code = accepted(redeem_body(visit.body)).code
    known: dict[str, Answering] = {"B": BUSY, "HIDDEN": HIDDEN, "IP": Shown(Taken(visit.ip))}
    return known.get(code) or (later(Shown(Taken(code)), events) if code == "LATER" else Shown(Taken(code)))


async def broken(request: web.Request) -> web.Response:
    raise KeyError("secret")


AWAY = [
    ConnectionRefusedError("postgres at 10.0.0.1"),
    TimeoutError(),
    asyncpg.InterfaceError("pool is closing"),
    asyncpg.AdminShutdownError("10.0.0.1 is stopped"),
    RedisUnavailable(),
]


async def away(request: web.Request) -> web.Response:
    raise AWAY[int(request.query["as"])]


async def busy(request: web.Request) -> web.Response:
    return refuse(BUSY)


async def measure(request: web.Request) -> web.Response:
    return web.Response(text=str(len(await request.read())))


@pytest.fixture
def bodies() -> asyncio.Queue[bytes | Problem]:
    """What was read of the bodies that were sent to /overheard."""
    return asyncio.Queue()


@pytest.fixture
def events() -> Events:
    """Set when the slow call has begun; to be set when it may end."""
    return asyncio.Event(), asyncio.Event()


@pytest.fixture(params=["handler", "wicket"])
async def runner(
    request: pytest.FixtureRequest, bodies: asyncio.Queue[bytes | Problem], events: Events
) -> AsyncIterator[DoorRunner]:
    async def overheard(request: web.Request) -> web.Response:
        bodies.put_nowait(await read_body(request))
        return web.Response()

    app = web.Application(middlewares=[answer_every_request])
    ticks, answer = Ticks(), partial(answer_from, events)

    async def redeem(request: web.Request) -> web.Response:
        return await answered(request, answer, ticks, 1)

    app.router.add_post("/redeem", redeem)
    app.router.add_post("/measure", measure)
    app.router.add_post("/overheard", overheard)
    for name, handler in {"broken": broken, "away": away, "busy": busy}.items():
        app.router.add_get(f"/{name}", handler)
    counters = {"/redeem": Counter("redeem", answer)} if request.param == "wicket" else {}
    runner = DoorRunner(app, Served(counters, ticks, trusted_proxies=1, per_ip=PER_IP))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner
    await runner.cleanup()


@pytest.fixture
def port(runner: DoorRunner) -> int:
    number: int = runner.addresses[0][1]
    return number


class Answer:
    def __init__(self, head: bytes, body: bytes) -> None:
        first, *fields = head.decode("latin-1").split("\r\n")
        self.status = int(first.split()[1])
        self.headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
        self.body = body

    @property
    def code(self) -> str:
        problem = json.loads(self.body)
        assert self.headers["content-type"] == "application/problem+json"
        assert problem["status"] == self.status
        assert problem["type"] == f"/problems/{problem['code']}"
        return str(problem["code"])


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(30):
            yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):  # whoever is refused may be hung up on
            await writer.wait_closed()


async def exchange(port: int, sent: bytes) -> Answer:
    async with connected(port) as (reader, writer):
        writer.write(sent)
        head = await reader.readuntil(b"\r\n\r\n")
        answer = Answer(head.rstrip(), b"")
        answer.body = await reader.readexactly(int(answer.headers.get("content-length", "0")))
        return answer


def post(*fields: bytes, body: bytes = GOOD, version: bytes = b"1.1", length: bool = True) -> bytes:
    head = [b"POST /redeem HTTP/" + version, *fields]
    if length:
        head.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def of(code: bytes) -> bytes:
    return post(HOST, JSON, body=GOOD.replace(b"A", code))


PER_IP = 50
HOST = b"Host: door"
JSON = b"Content-Type: application/json"
CHUNKED = b"Transfer-Encoding: chunked"


def get(path: str, *fields: bytes) -> bytes:
    return b"\r\n".join([f"GET {path} HTTP/1.1".encode(), HOST, *fields]) + b"\r\n\r\n"


REFUSED: dict[str, tuple[bytes, int, str]] = {
    "garbage": (b"garbage\r\n\r\n", 400, "request_malformed"),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01", 400, "request_malformed"),
    "bare LF": (post(HOST, JSON).replace(b"\r\n", b"\n"), 400, "request_malformed"),
    "two Hosts": (post(HOST, HOST, JSON), 400, "request_malformed"),
    "no Host": (post(JSON), 400, "request_malformed"),
    "CL and TE": (post(HOST, JSON, CHUNKED), 400, "request_malformed"),
    "two lengths": (post(HOST, JSON, b"Content-Length: 3"), 400, "request_malformed"),
    "negative length": (post(HOST, JSON, b"Content-Length: -1", length=False), 400, "request_malformed"),
    "endless length": (post(HOST, JSON, b"Content-Length: " + b"9" * 30, length=False), 400, "request_malformed"),
    "folded header": (post(HOST, JSON, b"X: 1", b" folded"), 400, "request_malformed"),
    "NUL in a header": (post(HOST, JSON, b"X: \x00"), 400, "request_malformed"),
    "space in a name": (post(HOST, JSON, b"X Y: 1"), 400, "request_malformed"),
    "200 headers": (post(HOST, JSON, *(b"X-%d: 1" % n for n in range(200))), 400, "request_malformed"),
    "9 KiB header": (post(HOST, JSON, b"X: " + b"a" * 9_216), 431, "headers_too_large"),
    "9 KiB path": (get("/" + "a" * 9_216), 431, "headers_too_large"),
    "HTTP/9.9": (post(HOST, JSON, version=b"9.9"), 400, "request_malformed"),
    "target no URL": (get("http://[::1/"), 400, "request_malformed"),
    "method unknown": (get("/redeem").replace(b"GET", b"BREW"), 400, "request_malformed"),
    "method not for this": (get("/redeem"), 405, "method_not_allowed"),
    "path unknown": (get("/nothing"), 404, "not_found"),
    "path with dots": (get("/%2e%2e/redeem"), 404, "not_found"),
    "path with NUL": (get("/%00"), 404, "not_found"),
    "path with ff": (get("/%ff"), 404, "not_found"),
    "expectation": (post(HOST, JSON, b"Expect: magic"), 417, "expectation_failed"),
    "chunk size no number": (post(HOST, JSON, CHUNKED, body=b"zz\r\n", length=False), 400, "request_malformed"),
    "chunk shorter than said": (
        post(HOST, JSON, CHUNKED, body=b"5\r\nabc\r\n0\r\n\r\n", length=False),
        400,
        "request_malformed",
    ),
    "body too large": (post(HOST, JSON, body=b" " * (MAX_BODY_BYTES + 1)), 413, "body_too_large"),
    "body would be too large": (post(HOST, JSON, b"Content-Length: 99999999", length=False), 413, "body_too_large"),
    "chunked body too large": (
        post(HOST, JSON, CHUNKED, body=b"8000\r\n" + b" " * 0x8000 + b"\r\n", length=False),
        413,
        "body_too_large",
    ),
    "gzip": (post(HOST, JSON, b"Content-Encoding: gzip", body=gzip.compress(GOOD)), 415, "media_type_unsupported"),
    "gzip bomb": (
        post(HOST, JSON, b"Content-Encoding: gzip", body=gzip.compress(bytes(50_000_000))),
        415,
        "media_type_unsupported",
    ),
    "not gzip": (post(HOST, JSON, b"Content-Encoding: gzip"), 415, "media_type_unsupported"),
    "no content type": (post(HOST), 415, "media_type_unsupported"),
    "charset foo": (post(HOST, JSON + b"; charset=foo"), 415, "media_type_unsupported"),
    "body invalid": (post(HOST, JSON, body=b"["), 400, "body_invalid"),
}


@pytest.mark.parametrize(("sent", "status", "code"), REFUSED.values(), ids=REFUSED)
async def test_a_bad_request_is_named_and_the_next_one_served(port: int, sent: bytes, status: int, code: str) -> None:
    answer = await exchange(port, sent)
    assert (answer.status, answer.code) == (status, code)
    assert (await exchange(port, post(HOST, JSON))).status == 200


SERVED = {
    "HTTP/1.0": post(HOST, JSON, version=b"1.0"),
    "chunked": post(HOST, JSON, CHUNKED, body=b"%x\r\n%s\r\n0\r\n\r\n" % (len(GOOD), GOOD), length=False),
    "100 headers": post(HOST, JSON, *(b"X-%d: 1" % n for n in range(100))),
    "header in Latin-1": post(HOST, JSON, b"X: \xff"),
    "identity": post(HOST, JSON, b"Content-Encoding: identity"),
    "upgrade declined": post(HOST, JSON, b"Connection: upgrade", b"Upgrade: websocket"),
}


@pytest.mark.parametrize("sent", SERVED.values(), ids=SERVED)
async def test_an_odd_but_proper_request_is_served(port: int, sent: bytes) -> None:
    assert (await exchange(port, sent)).status == 200


async def test_a_body_that_comes_in_pieces_is_whole(port: int) -> None:
    head, _, body = post(HOST, JSON, b"Expect: 100-continue").partition(b"\r\n\r\n")
    async with connected(port) as (reader, writer):
        writer.write(head + b"\r\n\r\n" + body[:5])
        assert b" 100 " in await reader.readuntil(b"\r\n\r\n")  # the handler is waiting for the rest
        writer.write(body[5:])
        assert b" 200 " in await reader.readline()


#: What may come with the last byte of a body, and what is answered then.
AFTERWARDS: dict[str, tuple[bytes, list[bytes]]] = {
    "nothing": (b"", []),
    "another call": (of(b"B"), [b'"busy"']),
    "half a call": (of(b"B")[:-1], []),
    "another request": (get("/busy"), [b'"busy"']),
    "no request": (b"garbage\r\n\r\n", [b'"request_malformed"']),
}


@pytest.mark.parametrize(("after", "answers"), AFTERWARDS.values(), ids=AFTERWARDS)
async def test_a_body_that_comes_a_byte_at_a_time_is_whole_whatever_comes_after(
    runner: DoorRunner, port: int, after: bytes, answers: list[bytes]
) -> None:
    async with connected(port) as (reader, writer):
        writer.write(of(b"B"))
        assert b'"busy"' in await reader.readuntil(b"}")
        head, _, body = of(b"A").partition(b"\r\n\r\n")
        arrives(runner, head + b"\r\n\r\n")
        for byte in body[:-1]:
            arrives(runner, bytes([byte]))
            await asyncio.sleep(0)
        arrives(runner, body[-1:] + after)
        assert (await reader.readuntil(b"}")).endswith(b'{"code":"A"}')
        for answer in answers:
            assert answer in await reader.readuntil(b"}")


@pytest.mark.parametrize("runner", ["wicket"], indirect=True)
async def test_half_a_call_that_broke_off_leaves_nothing_for_the_collector(runner: DoorRunner, port: int) -> None:
    await test_a_connection_that_ended_leaves_nothing_for_the_collector(port, of(b"A")[:-1])


@pytest.mark.parametrize("runner", ["wicket"], indirect=True)
async def test_who_sends_a_call_slowly_has_no_task_of_his_own(runner: DoorRunner, port: int) -> None:
    async with connected(port) as (reader, writer):
        writer.write(of(b"A"))
        await reader.readuntil(b"}")
        assert runner.server is not None
        [connection] = runner.server.connections
        before, silent_until = len(asyncio.all_tasks()), connection._next_keepalive_close_time
        await asyncio.sleep(0.002)
        arrives(runner, of(b"A")[:-1])
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == before
        assert connection._next_keepalive_close_time > silent_until
        arrives(runner, of(b"A")[-1:])
        assert (await reader.readuntil(b"}")).endswith(b'{"code":"A"}')


async def test_a_body_that_does_not_come_is_not_waited_for(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("frontdoor.bodies.READ_TIMEOUT_S", 0.05)
    monkeypatch.setattr("frontdoor.connections.HEAD_WITHIN_S", 0.05)
    monkeypatch.setattr("frontdoor.connections._LOOK_EVERY_S", 0.05)
    answer = await exchange(port, post(HOST, JSON)[:-1])
    assert (answer.status, answer.code) == (408, "request_timeout")


async def test_a_body_that_breaks_off_is_a_value_like_any_other(port: int, bodies: asyncio.Queue[bytes | Problem]) -> None:
    head, _, body = post(HOST, JSON, b"Expect: 100-continue").replace(b"/redeem", b"/overheard").partition(b"\r\n\r\n")
    async with connected(port) as (reader, writer):
        writer.write(head + b"\r\n\r\n" + body[:5])
        assert b" 100 " in await reader.readuntil(b"\r\n\r\n")
    async with asyncio.timeout(5):
        heard = await bodies.get()
    assert isinstance(heard, Problem)
    assert heard.code == "request_malformed"


@pytest.mark.parametrize("part", [b"P", post(HOST, JSON)[:20], post(HOST, JSON).partition(b"\r\n\r\n")[0]])
async def test_a_head_that_does_not_come_is_not_waited_for(port: int, monkeypatch: pytest.MonkeyPatch, part: bytes) -> None:
    monkeypatch.setattr("frontdoor.connections.HEAD_WITHIN_S", 0.05)
    monkeypatch.setattr("frontdoor.connections._LOOK_EVERY_S", 0.05)
    async with connected(port) as (reader, writer):
        writer.write(post(HOST, JSON))
        assert b" 200 " in (await reader.readuntil(b"}")).splitlines()[0]
        writer.write(part)
        answer = await reader.read()
    assert b" 408 " in answer.splitlines()[0]
    assert answer.endswith(b"}")


@pytest.mark.parametrize("asked", [b"", of(b"A"), get("/busy")], ids=("nothing", "a call", "another request"))
async def test_who_is_silent_for_too_long_is_let_go(
    runner: DoorRunner, port: int, monkeypatch: pytest.MonkeyPatch, asked: bytes
) -> None:
    monkeypatch.setattr("frontdoor.connections._LOOK_EVERY_S", 0.05)
    bears_silence(runner, 0.1)
    async with connected(port) as (reader, writer):
        writer.write(asked)
        assert (await reader.read()).endswith(b"}" if asked else b"")
        assert reader.at_eof()


@pytest.mark.parametrize("runner", ["wicket"], indirect=True)
async def test_who_sends_a_body_is_not_silent(runner: DoorRunner, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("frontdoor.connections._LOOK_EVERY_S", 0.02)
    bears_silence(runner, 0.1)
    async with connected(port) as (reader, writer):
        writer.write(of(b"A")[:-1])
        await asyncio.sleep(0.3)  # many looks, and three times the deadline
        writer.write(of(b"A")[-1:])
        assert (await reader.readuntil(b"}")).endswith(b'{"code":"A"}')


async def test_who_thinks_while_he_waits_for_an_answer_is_not_overdue(
    runner: DoorRunner, port: int, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    bears_silence(runner, 0.05)
    monkeypatch.setattr("frontdoor.connections.HEAD_WITHIN_S", 0.05)
    monkeypatch.setattr("frontdoor.connections._LOOK_EVERY_S", 0.02)
    entered, may_end = events
    async with connected(port) as (reader, writer):
        writer.write(of(b"LATER"))
        await entered.wait()
        await asyncio.sleep(0.2)  # several looks, and four times the deadline
        may_end.set()
        assert (await reader.readuntil(b"}")).endswith(b'{"code":"LATER"}')


async def test_who_does_not_read_is_let_go(runner: DoorRunner, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("frontdoor.connections.READ_WITHIN_S", 0.1)
    monkeypatch.setattr("frontdoor.connections._LOOK_EVERY_S", 0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1_024)
    with suppress(ConnectionError):
        async with asyncio.timeout(30):
            while True:
                writer.write(of(b"A") * 1_000)
                await writer.drain()
    assert writer.transport.is_closing() or reader.at_eof()
    writer.close()


async def test_an_address_has_no_more_connections_than_it_may(port: int) -> None:
    async with AsyncExitStack() as many:
        held = [await many.enter_async_context(connected(port)) for _ in range(PER_IP)]
        async with connected(port) as (reader, _):
            answer = await reader.read()
            assert b" 429 " in answer.splitlines()[0]
            assert b'"too_many_connections"' in answer
        reader, writer = held[0]
        writer.write(of(b"A"))
        assert (await reader.readuntil(b"}")).endswith(b'{"code":"A"}')
        writer.close()
        await writer.wait_closed()
        assert (await exchange(port, of(b"A"))).status == 200


async def test_after_malformed_http_the_connection_ends(port: int) -> None:
    async with connected(port) as (reader, writer):
        writer.write(b"garbage\r\n\r\n")
        assert (await reader.read()).endswith(b"}")


async def test_nothing_is_decompressed_even_to_be_dropped(port: int) -> None:
    packed = gzip.compress(bytes(1_000))
    answer = await exchange(port, post(HOST, b"Content-Encoding: gzip", body=packed).replace(b"/redeem", b"/measure"))
    assert answer.body == str(len(packed)).encode()


async def test_a_thousand_pipelined_requests_get_a_thousand_answers(port: int) -> None:
    async with connected(port) as (reader, writer):
        writer.write(post(HOST, JSON) * 1_000)
        for _ in range(1_000):
            assert b" 200 " in (await reader.readuntil(b"}")).splitlines()[0]


def bears_silence(runner: DoorRunner, seconds: float) -> None:
    """From now on who comes may be silent for so long."""
    assert runner.server is not None
    runner.server._kwargs["keepalive_timeout"] = seconds


def arrives(runner: DoorRunner, sent: bytes) -> None:
    """Something more comes over the only connection, now."""
    assert runner.server is not None
    [connection] = runner.server.connections
    connection.data_received(sent)


async def test_an_answer_never_overtakes_the_one_before(runner: DoorRunner, port: int, events: Events) -> None:
    entered, may_end = events
    async with connected(port) as (reader, writer):
        writer.write(of(b"LATER"))
        await entered.wait()
        for _ in range(3):
            arrives(runner, of(b"A"))
            await asyncio.sleep(0.02)
        may_end.set()
        assert (await reader.readuntil(b"}")).endswith(b'{"code":"LATER"}')
        for _ in range(3):
            assert (await reader.readuntil(b"}")).endswith(b'{"code":"A"}')


async def test_what_came_just_before_is_answered_before(runner: DoorRunner, port: int) -> None:
    async with connected(port) as (reader, writer):
        writer.write(of(b"A"))
        await reader.readuntil(b"}")
        arrives(runner, get("/busy"))
        arrives(runner, of(b"A"))
        assert b'"busy"' in await reader.readuntil(b"}")
        assert (await reader.readuntil(b"}")).endswith(b'{"code":"A"}')


async def test_after_many_requests_some_at_once_are_all_answered(port: int) -> None:
    async with connected(port) as (reader, writer):
        for at_once in [1] * 100 + [5]:
            writer.write(of(b"A") * at_once)
            for _ in range(at_once):
                assert (await reader.readuntil(b"}")).endswith(b'{"code":"A"}')


async def test_both_ways_give_the_same_fields(port: int, events: Events) -> None:
    events[1].set()
    answers = [await exchange(port, of(code)) for code in (b"A", b"LATER")]
    assert {name for answer in answers for name in answer.headers} <= {
        *("content-type", "content-length", "x-request-id", "date", "server")
    }
    assert {answer.headers["server"] for answer in answers} == {"lastslot"}
    for name in ("content-type", "content-length", "x-request-id", "date"):
        assert all(name in answer.headers for answer in answers)


async def test_what_comes_before_and_after_an_answer_at_once_is_served(port: int, events: Events) -> None:
    events[1].set()
    async with connected(port) as (reader, writer):
        for code in (b"A", b"LATER", b"A", b"A", b"LATER"):
            writer.write(of(code))
            assert (await reader.readuntil(b"}")).endswith(b'{"code":"%b"}' % code)


async def test_what_is_sent_ahead_is_answered_in_its_turn(runner: DoorRunner, port: int, events: Events) -> None:
    entered, may_end = events
    async with connected(port) as (reader, writer):
        writer.write(of(b"LATER"))
        await entered.wait()
        writer.write(of(b"B") + of(b"A") * 2_000)  # far more than is kept unread
        await asyncio.sleep(0)
        may_end.set()
        assert (await reader.readuntil(b"}")).endswith(b'{"code":"LATER"}')
        assert b'"busy"' in await reader.readuntil(b"}")
        for _ in range(2_000):
            assert (await reader.readuntil(b"}")).endswith(b'{"code":"A"}')


async def test_who_leaves_before_the_answer_leaves_nothing_behind(port: int, events: Events) -> None:
    entered, may_end = events
    async with connected(port) as (_, writer):
        writer.write(of(b"LATER") + of(b"A"))
        await entered.wait()
    may_end.set()
    assert (await exchange(port, of(b"A"))).status == 200


def in_memory() -> int:
    return sum(isinstance(each, DoorProtocol) for each in gc.get_objects())


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 (nobody is told of what leaves memory)
            await asyncio.sleep(0.01)


ENDED = [b"", b"POST /redeem", post(HOST, JSON), get("/busy")]


@pytest.mark.parametrize("sent", ENDED, ids=("silent", "half a head", "a call", "another request"))
async def test_a_connection_that_ended_leaves_nothing_for_the_collector(port: int, sent: bytes) -> None:
    gc.disable()
    try:
        before = in_memory()
        async with connected(port) as (_, writer):
            writer.write(sent)
            await until(lambda: in_memory() > before)
        await until(lambda: in_memory() <= before)
    finally:
        gc.enable()


async def test_what_is_owed_is_answered_before_the_door_closes(runner: DoorRunner, port: int, events: Events) -> None:
    entered, may_end = events
    async with connected(port) as (reader, writer):
        writer.write(of(b"LATER"))
        await entered.wait()
        closing = asyncio.create_task(runner.cleanup())
        done, _ = await asyncio.wait([closing], timeout=0.05)
        assert not done
        may_end.set()
        assert (await reader.read()).endswith(b'{"code":"LATER"}')
        await closing


async def test_a_call_knows_what_the_trusted_proxy_says_of_its_caller(port: int) -> None:
    forwarded = b"X-Forwarded-For: 6.6.6.6, 203.0.113.7"
    for fields, ip in (((forwarded,), "203.0.113.7"), ((), "127.0.0.1")):
        answer = await exchange(port, post(HOST, JSON, *fields, body=GOOD.replace(b"A", b"IP")))
        assert json.loads(answer.body) == {"code": ip}


async def test_the_hidden_answer_takes_a_whole_tick(port: int) -> None:
    loop = asyncio.get_running_loop()
    async with connected(port) as (reader, writer):
        for _ in range(3):
            sent_at = loop.time()
            writer.write(of(b"HIDDEN"))
            assert b'"unknown_code"' in await reader.readuntil(b"}")
            assert loop.time() - sent_at >= TICK_S


async def test_what_breaks_is_named_without_its_secrets(port: int) -> None:
    answer = await exchange(port, get("/broken", b"X-Request-Id: mine-1"))
    assert (answer.status, answer.code) == (500, "internal")
    assert json.loads(answer.body)["request_id"] == "mine-1"
    assert b"secret" not in answer.body


@pytest.mark.parametrize("kind", range(len(AWAY)))
async def test_a_store_that_is_away_is_503_and_worth_another_try(port: int, kind: int) -> None:
    answer = await exchange(port, get(f"/away?as={kind}"))
    assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "unavailable", "1")
    assert b"10.0.0.1" not in answer.body


async def test_a_method_that_is_not_served_is_told_which_are(port: int) -> None:
    assert (await exchange(port, get("/redeem"))).headers["allow"] == "POST"


async def test_a_sane_request_id_is_echoed_and_any_other_replaced(port: int) -> None:
    assert (await exchange(port, get("/x", b"X-Request-Id: a.b-C_1"))).headers["x-request-id"] == "a.b-C_1"
    given = {
        (await exchange(port, get("/x", b"X-Request-Id: " + odd))).headers["x-request-id"]
        for odd in (b"", b"a b", b"\xff", b'"><script>', b"a" * 129)
    }
    assert len(given) == 5
    assert all(len(request_id) < 30 and request_id.isascii() for request_id in given)


ANSWERED = {
    "a success": (post(HOST, JSON), ("redeem", "200")),
    "a refusal that is raised": (post(HOST, JSON, body=b"["), ("redeem", "body_invalid")),
    "a refusal that is returned": (get("/busy"), ("busy", "busy")),
    "a store that is away": (get("/away?as=0"), ("away", "unavailable")),
    "a defect": (get("/broken"), ("broken", "internal")),
    "no such path": (get("/nothing"), ("none", "not_found")),
    "an expectation": (post(HOST, JSON, b"Expect: magic"), ("none", "expectation_failed")),
    "no HTTP": (b"garbage\r\n\r\n", ("none", "request_malformed")),
}


@pytest.mark.parametrize(("sent", "labels"), ANSWERED.values(), ids=ANSWERED)
async def test_every_answer_is_counted_once(port: int, sent: bytes, labels: tuple[str, str]) -> None:
    metrics.ANSWERS.fold()
    await exchange(port, sent)
    assert metrics.ANSWERS._counts == {labels: 1}

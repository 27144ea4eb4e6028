"""The load client against servers that answer in every way ours may, and in some that they must not."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from lastslot.burst import LOST, Answer, Unframed, fire, percentile
from lastslot.wire import render

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

REQUESTS = [render("POST", f"/{number}", "test", {"Idempotency-Key": str(number)}, b'{"a":1}') for number in range(40)]


@asynccontextmanager
async def server(serve: Serve) -> AsyncIterator[int]:
    async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    listener = await asyncio.start_server(closing, "127.0.0.1", 0)
    async with listener:
        yield listener.sockets[0].getsockname()[1]


async def asked(reader: asyncio.StreamReader) -> bytes:
    """The path of the next request."""
    head = await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(7)
    return head.split(b" ")[1]


def answer_to(path: bytes, extra: bytes = b"") -> bytes:
    return b"HTTP/1.1 201 Created\r\ncontent-Length: %d\r\n%sX-Path: %s\r\n\r\n%s" % (len(path), extra, path, path)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(answer_to(await asked(reader)))


async def fired(serve: Serve, connections: int = 4) -> list[Answer]:
    async with server(serve) as port:
        return await fire("127.0.0.1", port, REQUESTS, connections, keep_bodies=True, within_s=10)


def assert_each_got_its_own(answers: list[Answer]) -> None:
    assert [(a.index, a.status, a.body) for a in answers] == [(n, 201, b"/%d" % n) for n in range(len(REQUESTS))]


async def test_answers_come_back_in_the_order_of_the_requests() -> None:
    answers = await fired(echo)
    assert_each_got_its_own(answers)
    assert answers[3].header("x-path") == "/3"
    assert answers[3].header("Location") is None


async def test_heads_and_bodies_are_kept_only_when_asked_for() -> None:
    seen: list[int] = []
    async with server(echo) as port:
        answers = await fire("127.0.0.1", port, REQUESTS, 4, on_answer=lambda answer: seen.append(answer.index))
    assert {(a.status, a.head, a.body) for a in answers} == {(201, b"", b"")}
    assert sorted(seen) == list(range(len(REQUESTS)))


async def test_an_answer_in_many_packets_is_one_answer() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            for byte in answer_to(await asked(reader)):
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0)

    assert_each_got_its_own(await fired(drip))


async def test_a_server_that_announces_the_end_of_a_connection_loses_nothing() -> None:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer_to(await asked(reader), b"Connection: close\r\n"))

    assert_each_got_its_own(await fired(once))


async def test_a_request_that_met_a_closing_connection_is_sent_again() -> None:
    async def thrice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(3):
            writer.write(answer_to(await asked(reader)))
        await asked(reader)

    assert_each_got_its_own(await fired(thrice))


async def test_a_connection_that_breaks_mid_answer_loses_that_request_only() -> None:
    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (path := await asked(reader)) != b"/7":
            writer.write(answer_to(path))
        writer.write(answer_to(path)[:-1])

    answers = await fired(break_off)
    assert [a.index for a in answers if a.status == LOST] == [7]


async def test_a_server_that_never_answers_costs_each_request_once() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked(reader)

    assert {a.status for a in await fired(refuse)} == {LOST}


async def test_what_is_late_is_lost() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with server(silent) as port:
        answers = await fire("127.0.0.1", port, REQUESTS, 4, within_s=0.05)
    assert {a.status for a in answers} == {LOST}


async def test_a_server_that_goes_away_does_not_hang_the_burst() -> None:
    listeners: list[asyncio.Server] = []

    async def last_words(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        listeners[0].close()
        writer.write(answer_to(await asked(reader), b"Connection: close\r\n"))
        writer.close()

    listeners.append(await asyncio.start_server(last_words, "127.0.0.1", 0))
    answers = await fire("127.0.0.1", listeners[0].sockets[0].getsockname()[1], REQUESTS, 1, within_s=10)
    assert [a.status for a in answers] == [201] + [LOST] * (len(REQUESTS) - 1)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        answer_to(b"/1") * 2,
    ],
)
async def test_an_answer_that_cannot_be_read_is_an_error_not_a_figure(answer: bytes) -> None:
    async def odd(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked(reader)
        writer.write(answer)
        await reader.read()

    with pytest.raises(Unframed):
        await fired(odd)


async def test_an_answer_without_a_body_needs_no_length() -> None:
    async def no_content(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await asked(reader):
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    assert {a.status for a in await fired(no_content)} == {204}


async def test_nobody_listening_is_an_error() -> None:
    async with server(echo) as port:
        pass
    with pytest.raises(ConnectionRefusedError):
        await fire("127.0.0.1", port, REQUESTS, 4)


def test_a_percentile_is_the_nearest_rank() -> None:
    answers = [Answer(n, 200, seconds=n / 100, started=0.0) for n in range(100, 0, -1)]
    assert percentile(answers, 50) == 0.5
    assert percentile(answers, 99) == 0.99
    assert percentile(answers[:1], 50) == 1.0

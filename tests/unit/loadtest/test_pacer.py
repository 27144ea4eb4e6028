"""The client of the open loop, against servers that answer late, not at all, or hang up."""

import asyncio
from random import Random

from lastslot.burst import LOST
from loadtest.pacer import UNANSWERED, UNSENT, Replied, pace, poisson
from tests.unit.lastslot.test_burst import REQUESTS, Serve, answer_to, asked, echo, server

STALL_S = 0.3


async def paced(serve: Serve, due: list[float], connections: int = 4, patience_s: float = 5.0) -> Replied:
    serving: set[asyncio.Task[object] | None] = set()

    async def tracked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        await serve(reader, writer)

    async with server(tracked) as port:
        replied = await asyncio.to_thread(pace, port, REQUESTS[: len(due)], due, connections, patience_s)
        await asyncio.wait([task for task in serving if task])
    return replied


async def stall_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        path = await asked(reader)
        if path == b"/0":
            await asyncio.sleep(STALL_S)
        writer.write(answer_to(path))


async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await asked(reader)


async def one_each(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(answer_to(await asked(reader), b"Connection: close\r\n"))


async def drop_the_third(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while (path := await asked(reader)) != b"/3":
        writer.write(answer_to(path))


async def in_pieces(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        answer = answer_to(await asked(reader))
        for piece in (answer[:9], answer[9:-1], answer[-1:]):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.001)


async def test_requests_are_sent_when_they_are_due_though_an_earlier_one_is_unanswered() -> None:
    replied = await paced(stall_once, [0.0, 0.01, 0.02])
    assert set(replied.statuses) == {201}
    assert replied.seconds[0] >= STALL_S
    assert max(replied.seconds[1:]) < STALL_S


async def test_a_request_that_waited_for_a_connection_counts_its_wait() -> None:
    replied = await paced(stall_once, [0.0, 0.1], connections=1)
    assert replied.seconds[1] >= STALL_S - 0.1
    assert replied.late[1] < STALL_S - 0.1


async def test_nothing_is_sent_before_it_is_due() -> None:
    replied = await paced(echo, [0.0, 0.2])
    assert replied.took_s >= 0.2
    assert min(replied.late) >= 0


async def test_what_is_not_answered_in_time_is_told_from_what_was_never_sent() -> None:
    replied = await paced(never, [0.0, 0.01], connections=1, patience_s=0.2)
    assert list(replied.statuses) == [UNANSWERED, UNSENT]
    assert min(replied.seconds) >= 0.2


async def test_a_connection_that_is_closed_after_its_answer_is_made_anew() -> None:
    replied = await paced(one_each, [number / 200 for number in range(20)], connections=2)
    assert list(replied.statuses) == [201] * 20


async def test_a_broken_connection_loses_its_own_request_alone() -> None:
    replied = await paced(drop_the_third, [number / 200 for number in range(8)], connections=2)
    assert [index for index, status in enumerate(replied.statuses) if status != 201] == [3]
    assert replied.statuses[3] == LOST


async def test_an_answer_in_pieces_is_one_answer() -> None:
    replied = await paced(in_pieces, [0.0, 0.0, 0.01])
    assert list(replied.statuses) == [201] * 3


def test_people_come_in_order_as_many_as_the_rate_says_and_the_same_for_a_seed() -> None:
    due = poisson(500, 2.0, Random(7))
    assert len(due) == 1_000
    assert due == sorted(due)
    assert 0.0 <= due[0] <= due[-1] <= 2.0
    assert due == poisson(500, 2.0, Random(7))

"""A segment's list comes in whole or not at all, and is read for many users at once."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from datetime import date

import pytest

from frontdoor import segments as calls
from shared import segments
from shared.domain.ids import UserId
from shared.domain.segment import Member
from shared.postgres import Pool
from shared.redis_client import Redis
from tests.integration.campaign_door import Client, door_of, headers, served

CSV = {"Content-Type": "text/csv"}
ANN, BOB, CAT = UserId("ann"), UserId("bob"), UserId("cat")


@pytest.fixture
async def client(dsn: str, pool: Pool, redis: Redis) -> AsyncIterator[Client]:
    async with served(door_of(dsn, pool, redis)) as client:
        yield client


async def put(client: Client, name: str, text: str | bytes) -> tuple[int, dict[str, object]]:
    answer = await client.put(f"/api/v1/segments/{name}", data=text.encode() if isinstance(text, str) else text, headers=CSV)
    return answer.status, await answer.json()


async def memberships(pool: Pool, *users: UserId) -> dict[UserId, dict[str, date | None]]:
    async with pool.acquire() as connection:
        return await segments.memberships(connection, users)


async def test_a_list_makes_a_segment_and_the_next_one_replaces_it(client: Client, pool: Pool) -> None:
    status, body = await put(client, "vip", "user_id,since\nann,2026-10-01\nbob,\n")
    assert (status, body["name"], body["members"]) == (200, "vip", 2)
    assert (await put(client, "staff", "user_id\nann\n"))[0] == 200
    assert await memberships(pool, ANN, BOB, CAT) == {
        ANN: {"vip": date(2026, 10, 1), "staff": None},
        BOB: {"vip": None},
        CAT: {},
    }
    status, body = await put(client, "vip", "user_id,since\nann,2026-11-01\ncat,\n")
    assert (status, body["members"]) == (200, 2)
    assert await memberships(pool, ANN, BOB, CAT) == {
        ANN: {"vip": date(2026, 11, 1), "staff": None},
        BOB: {},
        CAT: {"vip": None},
    }


async def test_segments_are_listed_and_deleted(client: Client, pool: Pool) -> None:
    for name in ("vip", "staff"):
        await put(client, name, "user_id\nann\nbob\n")
    listed = (await (await client.get("/api/v1/segments")).json())["segments"]
    assert [(segment["name"], segment["members"]) for segment in listed] == [("staff", 2), ("vip", 2)]
    answer = await client.delete("/api/v1/segments/vip")
    assert (answer.status, (await answer.json())["members"]) == (200, 2)
    assert await memberships(pool, ANN) == {ANN: {"staff": None}}
    answer = await client.delete("/api/v1/segments/vip")
    assert (answer.status, (await answer.json())["code"]) == (404, "segment_unknown")


async def test_a_deleted_segment_is_gone_at_once_and_cleared_away_little_by_little(client: Client, pool: Pool) -> None:
    many = "".join(f"user{number}\n" for number in range(2_500))
    await put(client, "vip", f"user_id\nann\n{many}")
    await put(client, "staff", "user_id\nann\n")
    assert (await client.delete("/api/v1/segments/vip")).status == 200
    assert await memberships(pool, ANN) == {ANN: {"staff": None}}
    # Loaded anew before that: nothing of the one before is in it, and nothing of it is cleared away.
    await put(client, "vip", "user_id,since\nbob,2026-10-01\n")
    assert await pool.fetchval("SELECT count(*) FROM segment_members") == 2_503
    assert await segments.clear(pool, 1_000) == 2_501
    assert await segments.clear(pool, 1_000) == 0
    assert await memberships(pool, ANN, BOB) == {ANN: {"staff": None}, BOB: {"vip": date(2026, 10, 1)}}
    assert await pool.fetchval("SELECT count(*) FROM segments") == 2


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("ann\n", 1),
        ("", 1),
        ("user_id,since\nann,\nbob,soon\ncat,later\n", 3),
        ("user_id\nann\nbob\ncat\nbob\nann\n", 5),
        (b"user_id\n\xff\n", 2),
    ],
)
async def test_a_bad_line_is_named_and_the_segment_stays_as_it_was(
    client: Client, pool: Pool, text: str | bytes, line: int
) -> None:
    await put(client, "vip", "user_id\nann\n")
    status, problem = await put(client, "vip", text)
    assert (status, problem["code"], problem["line"]) == (400, "csv_invalid", line)
    assert str(problem["detail"]).startswith(f"Line {line} ")
    assert await memberships(pool, ANN, BOB) == {ANN: {"vip": None}, BOB: {}}


async def test_a_bad_line_behind_many_good_ones_leaves_nothing(client: Client, pool: Pool) -> None:
    many = "".join(f"user{number}\n" for number in range(50_000))
    status, problem = await put(client, "vip", f"user_id\n{many}\0\n")
    assert (status, problem["line"]) == (400, 50_002)
    assert await pool.fetchval("SELECT count(*) FROM segments") == 0


async def test_a_large_list_that_changes_little_touches_little(client: Client, pool: Pool) -> None:
    members = [f"user{number}" for number in range(30_000)]
    await put(client, "vip", "\n".join(["user_id", *members]))
    before = {row["user_id"]: row["xmin"] for row in await pool.fetch("SELECT user_id, xmin FROM segment_members")}
    status, body = await put(client, "vip", "\n".join(["user_id", *members[1:], "new"]))
    assert (status, body["members"]) == (200, 30_000)
    after = {row["user_id"]: row["xmin"] for row in await pool.fetch("SELECT user_id, xmin FROM segment_members")}
    assert set(after) == {*members[1:], "new"}
    assert all(after[user] == before[user] for user in members[1:])


async def test_others_are_served_while_a_list_arrives(client: Client) -> None:
    arriving = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield b"user_id\nann\n"
        await arriving.wait()
        yield b"bob\n"

    putting = asyncio.create_task(client.put("/api/v1/segments/vip", data=slowly(), headers=CSV))
    assert await (await client.get("/api/v1/segments")).json() == {"segments": []}
    arriving.set()
    assert (await (await putting).json())["members"] == 2


async def test_two_lists_for_one_segment_at_once_leave_one_of_them(client: Client, pool: Pool) -> None:
    lists = [[f"{side}{number}" for number in range(2_000)] for side in ("left", "right")]
    answers = await asyncio.gather(*(put(client, "vip", "\n".join(["user_id", *users])) for users in lists * 2))
    assert {status for status, _ in answers} == {200}
    kept = [row["user_id"] for row in await pool.fetch("SELECT user_id FROM segment_members")]
    assert sorted(kept) in [sorted(users) for users in lists]


async def test_a_list_that_breaks_off_or_does_not_end_leaves_nothing(
    client: Client, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "READ_TIMEOUT_S", 0.2)
    monkeypatch.setattr(calls, "MAX_LIST_BYTES", 1_000)

    async def stalling() -> AsyncIterator[bytes]:
        yield b"user_id\nann\n"
        await asyncio.Event().wait()

    answer = await client.put("/api/v1/segments/vip", data=stalling(), headers=CSV)
    assert (answer.status, (await answer.json())["code"]) == (408, "request_timeout")
    status, problem = await put(client, "vip", "user_id\n" + "x" * 200 + "\n" + "y\n" * 500)
    assert (status, problem["code"]) == (413, "body_too_large")
    assert await pool.fetchval("SELECT count(*) FROM segments") == 0


@pytest.mark.parametrize(
    ("name", "kind", "status", "code"),
    [
        ("a.b", "text/csv", 400, "field_invalid"),
        ("a%2fb", "text/csv", 400, "field_invalid"),
        ("vip", "application/json", 415, "csv_expected"),
        ("vip", "text/csv; charset=latin-1", 415, "csv_expected"),
        ("vip", "text/csv; charset=utf-8", 200, None),
    ],
)
async def test_names_and_media_types_are_checked_first(
    client: Client, name: str, kind: str, status: int, code: str | None
) -> None:
    answer = await client.put(f"/api/v1/segments/{name}", data=b"user_id\n", headers={"Content-Type": kind})
    assert (answer.status, (await answer.json()).get("code")) == (status, code)


@pytest.mark.parametrize(("method", "path"), [("PUT", "/vip"), ("GET", ""), ("DELETE", "/vip")])
async def test_segments_are_for_administrators(client: Client, method: str, path: str) -> None:
    answer = await client.request(method, f"/api/v1/segments{path}", headers=headers("service"))
    assert answer.status == 403


async def test_what_the_copy_raises_is_what_the_list_raised(dsn: str) -> None:
    async def members() -> AsyncIterator[Member]:
        for line in itertools.count(2):
            yield Member(line, UserId(f"user{line}"), None)
            if line == 40_000:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await segments.replace(dsn, "vip", members())

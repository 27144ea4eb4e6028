"""Single-use codes over HTTP: minted by administrators, exported as CSV, refused by name."""

import asyncio
import csv
import gc
import io
from collections.abc import AsyncIterator, Iterator
from time import thread_time
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from aiohttp import ClientPayloadError

from shared import codes, keys
from shared.domain.ids import CampaignId, Incarnation, home_partition
from shared.domain.settlement import Settlement
from shared.gate import Gate, Term
from shared.postgres import Pool
from shared.redis_client import Redis
from tests.integration.campaign_door import BODY, Client, door_of, headers, served

POOL = {key: value for key, value in BODY.items() if key != "code"} | {"type": "pool", "total_limit": None}


@pytest.fixture
async def client(dsn: str, pool: Pool, redis: Redis) -> AsyncIterator[Client]:
    async with served(door_of(dsn, pool, redis)) as client:
        yield client


async def made(client: Client, **different: object) -> str:
    answer = await client.post("/api/v1/campaigns", json={**POOL, **different})
    body = await answer.json()
    assert answer.status == 201, body
    return str(body["campaign_id"])


async def mint(client: Client, campaign: str, **body: object) -> tuple[int, dict[str, Any]]:
    raw, kind = io.BytesIO(msgspec.json.encode(body)), {"Content-Type": "application/json"}
    answer = await client.post(f"/api/v1/campaigns/{campaign}/codes", data=raw, headers=kind)
    return answer.status, await answer.json()


async def export(client: Client, campaign: str) -> list[dict[str, str]]:
    answer = await client.get(f"/api/v1/campaigns/{campaign}/codes")
    assert (answer.status, answer.content_type, answer.charset) == (200, "text/csv", "utf-8")
    return list(csv.DictReader((await answer.text()).splitlines()))


async def test_a_pool_is_minted_and_exported(client: Client) -> None:
    campaign = await made(client)
    assert await mint(client, campaign, count=5_000, prefix="bf-") == (201, {"minted": 5_000})
    rows = await export(client, campaign)
    assert len({row["code"] for row in rows}) == 5_000
    assert all(row["code"].startswith("BF-") and row["state"] == "unused" for row in rows)
    assert list(rows[0]) == ["code", "state", "intended_user", "claimed_by", "claimed_at"]
    shown = await (await client.get(f"/api/v1/campaigns/{campaign}")).json()
    assert shown["remaining"] == 5_000


async def test_the_gate_knows_the_new_slots_before_the_answer(client: Client, redis: Redis) -> None:
    campaign = CampaignId(UUID(await made(client)))
    home, gate = home_partition(campaign), Gate(redis, 100)
    life = Incarnation(f"{await gate.run_id()}-1")
    assert await gate.point(home, b"", life, epoch=1)
    empty = Settlement(campaign, 1, 0, 1, None, {})
    for mode in ("wipe", "seed"):
        await gate.settle(home, life, [empty], Term(1, None), mode=mode, seeding="seeding")
    await mint(client, str(campaign), count=7)
    known = await redis.hgetall(keys.gate(home, life, campaign))  # type: ignore[misc]
    assert known[b"free"] == b"7"


async def test_codes_for_users_are_shown_in_their_order(client: Client) -> None:
    campaign = await made(client, type="unique")
    status, body = await mint(client, campaign, users=["ann", 'b"o,b', "cat"], pattern="vip-########")
    assert (status, body["minted"]) == (201, 3)
    rows = await export(client, campaign)
    owners = {row["code"]: row["intended_user"] for row in rows}
    assert [owners[code] for code in body["codes"]] == ["ann", 'b"o,b', "cat"]


async def test_a_courtesy_code_is_for_one_user_of_either_kind(client: Client) -> None:
    for kind in ("unique", "pool"):
        campaign = await made(client, type=kind)
        status, body = await mint(client, campaign, user="ann")
        assert (status, body["minted"], len(body["codes"])) == (201, 1, 1)
        assert [row["intended_user"] for row in await export(client, campaign)] == ["ann"]


async def keyed(client: Client, path: str, key: str, body: dict[str, object]) -> tuple[int, dict[str, Any]]:
    answer = await client.post(f"/api/v1/campaigns{path}", json=body, headers={"Idempotency-Key": key})
    return answer.status, await answer.json()


@pytest.mark.parametrize("body", [{"users": ["ann", "bob"]}, {"user": "ann"}, {"count": 2_000}])
async def test_a_call_with_a_key_mints_once_and_is_answered_alike(client: Client, body: dict[str, object]) -> None:
    campaign, other = await made(client), await made(client)
    first, *again = await asyncio.gather(*(keyed(client, f"/{campaign}/codes", "k", body) for _ in range(5)))
    assert first[0] == 201
    assert again == [first] * 4
    assert len(await export(client, campaign)) == first[1]["minted"]
    # The same key on another campaign, and another key, are calls of their own.
    assert (await keyed(client, f"/{other}/codes", "k", body))[1]["minted"] == first[1]["minted"]
    assert (await keyed(client, f"/{campaign}/codes", "l", body))[0] == 201
    assert len(await export(client, campaign)) == 2 * first[1]["minted"]


async def test_a_key_is_good_for_one_body_and_a_refusal_does_not_use_it_up(client: Client) -> None:
    campaign = await made(client)
    path = f"/{campaign}/codes"
    assert (await keyed(client, path, "k", {"count": 11, "pattern": "##"}))[1]["code"] == "pattern_too_small"
    assert (await keyed(client, path, "k", {"count": 3}))[0] == 201
    status, problem = await keyed(client, path, "k", {"count": 4})
    assert (status, problem["code"]) == (422, "key_reused")
    assert (await keyed(client, path, "", {"count": 4}))[1]["code"] == "key_invalid"
    # Whatever has become of the campaign since.
    await client.post(f"/api/v1/campaigns/{campaign}/end")
    assert await keyed(client, path, "k", {"count": 3}) == (201, {"minted": 3})


async def test_very_many_codes_for_users_are_only_counted(client: Client) -> None:
    campaign = await made(client, type="unique")
    status, body = await mint(client, campaign, users=[f"user{number}" for number in range(1_001)])
    assert (status, body) == (201, {"minted": 1_001})


@pytest.mark.parametrize(
    ("kind", "body", "status", "code", "field"),
    [
        ("pool", {}, 400, "field_invalid", "count"),
        ("pool", {"count": 1, "user": "ann"}, 400, "field_invalid", "count"),
        ("pool", {"count": 0}, 400, "field_invalid", "count"),
        ("pool", {"count": -1}, 400, "field_invalid", "count"),
        ("pool", {"count": True}, 400, "field_invalid", "count"),
        ("pool", {"count": 50_001}, 400, "too_many_codes", None),
        ("pool", {"count": 10**12}, 400, "too_many_codes", None),
        ("pool", {"count": 1, "pattern": "NONE"}, 400, "field_invalid", "pattern"),
        ("pool", {"count": 1, "charset": "A"}, 400, "field_invalid", "charset"),
        ("pool", {"count": 11, "pattern": "##"}, 409, "pattern_too_small", None),
        ("pool", {"count": 1, "colour": "red"}, 400, "field_invalid", "colour"),
        ("unique", {"count": 1}, 400, "field_invalid", "count"),
        ("unique", {"users": []}, 400, "field_invalid", "users"),
        ("unique", {"users": ["ann", "\0"]}, 400, "field_invalid", "users"),
        ("unique", {"users": ["ann", ""]}, 400, "field_invalid", "users[1]"),
        ("unique", {"users": ["a"] * 50_001}, 400, "too_many_codes", None),
        ("unique", {"users": ["a" * 256] * 5_000}, 413, "body_too_large", None),
    ],
)
async def test_a_wish_that_cannot_be_met_is_refused_by_name(
    client: Client, kind: str, body: dict[str, object], status: int, code: str, field: str | None
) -> None:
    told, problem = await mint(client, await made(client, type=kind), **body)
    assert (told, problem["code"], problem.get("field")) == (status, code, field)


async def test_what_mints_nothing_is_refused(client: Client) -> None:
    shared = await made(client, type="shared", code="SHARED", total_limit=5)
    assert (await mint(client, shared, count=1))[1]["code"] == "nothing_to_mint"
    ended = await made(client)
    await client.post(f"/api/v1/campaigns/{ended}/end")
    assert (await mint(client, ended, count=1))[1]["code"] == "campaign_ended"
    for unknown in (str(uuid4()), "nonsense"):
        assert (await mint(client, unknown, count=1))[1]["code"] == "campaign_unknown"
        assert (await client.get(f"/api/v1/campaigns/{unknown}/codes")).status == 404
    assert await export(client, shared) == []


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_codes_are_for_administrators(client: Client, method: str) -> None:
    campaign = await made(client)
    answer = await client.request(method, f"/api/v1/campaigns/{campaign}/codes", json={"count": 1}, headers=headers("service"))
    assert answer.status == 403


async def test_an_export_that_fails_half_way_is_not_taken_for_whole(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign = await made(client)
    await mint(client, campaign, count=5_000)

    async def breaking(*arguments: Any) -> AsyncIterator[Any]:
        async for page in exported(*arguments):
            yield page
            raise ConnectionResetError

    exported = codes.exported
    monkeypatch.setattr(codes, "exported", breaking)
    answer = await client.get(f"/api/v1/campaigns/{campaign}/codes")
    with pytest.raises(ClientPayloadError):
        await answer.read()


@pytest.fixture
def no_garbage_of_other_tests() -> Iterator[None]:
    """A full collection goes through everything that the tests before have left, which is no work of the code's under test."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("no_garbage_of_other_tests")
async def test_minting_lets_others_in_between(client: Client) -> None:
    campaign = await made(client)
    longest = 0.0
    minting = asyncio.create_task(mint(client, campaign, count=50_000))
    while not minting.done():
        # Of this thread's own time: what other processes take of the machine is not what is asked here.
        began = thread_time()
        await asyncio.sleep(0)
        longest = max(longest, thread_time() - began)
    assert (await minting)[0] == 201
    assert longest < 0.05


@pytest.mark.parametrize("sqlstate", ["40P01", "40001", "55P03"])
async def test_who_lost_against_other_writers_to_the_last_is_told_to_come_again(
    client: Client, pool: Pool, sqlstate: str
) -> None:
    campaign = await made(client)
    await pool.execute(
        f"CREATE FUNCTION objection() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"RAISE EXCEPTION 'objection' USING ERRCODE = '{sqlstate}'; END $$; "
        f"CREATE TRIGGER objection BEFORE INSERT ON codes FOR EACH STATEMENT EXECUTE FUNCTION objection()"
    )
    status, body = await mint(client, campaign, count=1)
    assert (status, body["code"]) == (503, "unavailable")
    assert await export(client, campaign) == []

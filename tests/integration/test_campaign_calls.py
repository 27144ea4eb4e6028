import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from frontdoor.campaign_shapes import CampaignPage, CampaignShown
from frontdoor.context import Door
from shared import keys
from shared.domain.code import Code
from shared.domain.ids import Incarnation, PartitionNo, home_partition
from shared.domain.outcomes import Refusal
from shared.domain.settlement import Settlement
from shared.gate import Gate, Term
from shared.postgres import Pool
from shared.redis_client import Redis, open_redis
from tests.integration.campaign_door import BODY, Client, door_of, headers, served

CODE = Code("BLACKFRI100")


@pytest.fixture
def door(dsn: str, pool: Pool, redis: Redis) -> Door:
    return door_of(dsn, pool, redis)


@pytest.fixture
async def client(door: Door) -> AsyncIterator[Client]:
    async with served(door) as client:
        yield client


async def ask(client: Client, method: str, path: str = "", body: object = None) -> tuple[int, Any]:
    answer = await client.request(method, f"/api/v1/campaigns{path}", json=body)
    return answer.status, msgspec.json.decode(await answer.read())


async def made(client: Client, **different: object) -> CampaignShown:
    status, body = await ask(client, "POST", body={**BODY, **different})
    assert status == 201, body
    return msgspec.convert(body, CampaignShown)


async def test_a_created_campaign_is_shown_with_its_window_in_utc_and_found_where_location_says(client: Client) -> None:
    answer = await client.post("/api/v1/campaigns", json=BODY)
    body = await answer.json()
    assert answer.status == 201
    assert body["code"] == "BLACKFRI100"
    assert (body["starts_at"], body["ends_at"]) == ("2026-11-27T05:00:00Z", "2026-11-28T05:00:00Z")
    assert (body["status"], body["claimed"], body["remaining"], body["per_user_limit"]) == ("active", 0, 1000, 1)
    assert answer.headers["Location"] == f"/api/v1/campaigns/{body['campaign_id']}"
    shown = await (await client.get(answer.headers["Location"])).json()
    assert shown == body | {"launches": [], "paused_by_guard": None}


async def test_the_owner_of_a_new_campaign_hears_of_it_and_its_gate_of_every_change(client: Client, redis: Redis) -> None:
    gate = Gate(redis, 100)
    life = Incarnation(f"{await gate.run_id()}-1")
    for partition in range(16):
        assert await gate.point(PartitionNo(partition), b"", life, epoch=1)
    campaign = await made(client)
    home = home_partition(campaign.campaign_id)
    [(_, ring)] = await redis.xrange(keys.bell(home, life))
    assert ring == {b"c": campaign.campaign_id.hex.encode()}
    for mode in ("wipe", "seed"):
        settlement = Settlement(campaign.campaign_id, 1, 1000, 1, None, {})
        await gate.settle(home, life, [settlement], Term(1, None), mode=mode, seeding="one")
    await ask(client, "POST", f"/{campaign.campaign_id}/pause")
    assert await redis.hget(keys.gate(home, life, campaign.campaign_id), "closed") == b"campaign_paused"  # type: ignore[misc]


async def test_a_door_says_no_by_the_window_it_knows_now_not_by_the_one_a_waiting_request_came_with(
    door: Door, client: Client
) -> None:
    campaign = await made(client, starts_at="2999-01-01T00:00", ends_at=None)
    before = await door.campaigns.find(campaign.campaign_id)
    assert before is not None
    assert door.shut(before) is Refusal.NOT_STARTED
    assert (await ask(client, "PATCH", f"/{campaign.campaign_id}", {"starts_at": "2000-01-01T00:00"}))[0] == 200
    assert door.shut(before) is None
    await door.campaigns.find(campaign.campaign_id)
    assert door.shut(before) is None


@pytest.mark.parametrize(
    ("different", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "nul\0"}, "name"),
        ({"code": "two words"}, "code"),
        ({"type": "lottery"}, "type"),
        ({"type": "unique"}, "code"),
        ({"discount": {"type": "percent", "value": 101}}, "discount.value"),
        ({"discount": {"type": "percent", "value": 10, "extra": 1}}, "discount.extra"),
        ({"total_limit": -1}, "total_limit"),
        ({"total_limit": 2**63}, "total_limit"),
        ({"total_limit": True}, "total_limit"),
        ({"total_limit": 1.5}, "total_limit"),
        ({"per_user_limit": 0}, "per_user_limit"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"ends_at": "2026-11-01T01:30"}, "ends_at"),
        ({"ends_at": None, "ends_on": "2026-02-30"}, "ends_on"),
        ({"stacking_rules": {"excludes": "SAVE*"}}, "stacking_rules.excludes"),
        ({"stacking_rules": {"includes": []}}, "stacking_rules.includes"),
        ({"hold_ttl_s": 0}, "hold_ttl_s"),
        ({"minted": 5}, "minted"),
    ],
)
async def test_a_wrong_field_is_refused_by_name(client: Client, different: dict[str, Any], field: str) -> None:
    status, problem = await ask(client, "POST", body={**BODY, **different})
    assert (status, problem["code"], problem["field"]) == (400, "field_invalid", field)


async def test_a_limit_left_out_is_asked_for(client: Client) -> None:
    status, problem = await ask(client, "POST", body={name: value for name, value in BODY.items() if name != "total_limit"})
    assert (status, problem["field"]) == (400, "total_limit")


async def test_all_faults_are_told_at_once(client: Client) -> None:
    status, problem = await ask(client, "POST", body={**BODY, "name": "", "per_user_limit": 0, "starts_at": "2026-03-08T02:30"})
    assert status == 400
    assert {fault["field"] for fault in problem["faults"]} == {"name", "per_user_limit", "starts_at"}
    assert "2026-03-08T02:30:00-05:00 or 2026-03-08T02:30:00-04:00" in problem["detail"]


@pytest.mark.parametrize(
    "raw", [b"", b"5", b"null", b"[]", b"{", b"\xff", b"[" * 10_000, b'{"name":NaN}', b'{"name":"\\ud800"}']
)
async def test_a_body_that_is_no_object_is_refused(client: Client, raw: bytes) -> None:
    for method, path in (("POST", ""), ("PATCH", f"/{uuid4()}")):
        answer = await client.request(
            method, f"/api/v1/campaigns{path}", data=raw, headers={"Content-Type": "application/json"}
        )
        assert answer.status == 400
        assert answer.content_type == "application/problem+json"


@pytest.mark.parametrize("body", [BODY, {**BODY, "type": "unique", "code": None}])
async def test_a_campaign_is_created_once_by_a_key_and_shown_as_it_stands(client: Client, body: dict[str, Any]) -> None:
    async def create(**different: Any) -> tuple[int, Any]:
        answer = await client.post("/api/v1/campaigns", json={**body, **different}, headers={"Idempotency-Key": "k"})
        return answer.status, await answer.json()

    first, *again = await asyncio.gather(*(create() for _ in range(5)))
    assert first[0] == 201
    assert again == [first] * 4
    assert len((await ask(client, "GET"))[1]["campaigns"]) == 1
    assert (await create(name="Another"))[1]["code"] == "key_reused"
    await client.post(f"/api/v1/campaigns/{first[1]['campaign_id']}/pause")
    status, shown = await create()
    assert (status, shown["campaign_id"], shown["status"]) == (201, first[1]["campaign_id"], "paused")


async def test_a_taken_code_is_refused(client: Client) -> None:
    await made(client)
    status, problem = await ask(client, "POST", body={**BODY, "code": "BlackFri100"})
    assert (status, problem["code"]) == (409, "code_taken")


NOBODYS = "00000000-0000-4000-8000-000000000000"
CALLS = [
    ("POST", ""),
    ("GET", ""),
    ("GET", f"/{NOBODYS}"),
    ("PATCH", f"/{NOBODYS}"),
    ("POST", f"/{NOBODYS}/pause"),
    ("POST", f"/{NOBODYS}/resume"),
    ("POST", f"/{NOBODYS}/end"),
    ("GET", f"/{NOBODYS}/stats"),
]


@pytest.mark.parametrize(("method", "path"), CALLS)
async def test_only_administrators_may(client: Client, method: str, path: str) -> None:
    url = f"/api/v1/campaigns{path}"
    for scopes in ((), ("service",)):
        answer = await client.request(method, url, json={}, headers=headers(*scopes))
        assert (answer.status, (await answer.json(content_type=None))["code"]) == (403, "scope_required")
    answer = await client.request(method, url, json={}, headers={"Authorization": "Bearer nonsense"})
    assert answer.status == 401


@pytest.mark.parametrize(("method", "path"), CALLS[2:])
async def test_an_unknown_campaign_is_not_found(client: Client, method: str, path: str) -> None:
    for named in (path, path.replace(path[1:37], "not-an-id"), path.replace(path[1:37], "%00")):
        status, problem = await ask(client, method, named, {})
        assert (status, problem["code"]) == (404, "campaign_unknown")


async def test_for_an_unknown_campaign_no_launch_is_announced(client: Client) -> None:
    times = {"starts_at": "2999-11-27T09:00", "ends_at": "2999-11-27T10:00"}
    status, problem = await ask(client, "POST", f"/{uuid4()}/launches", times)
    assert (status, problem["code"]) == (404, "campaign_unknown")


async def test_a_launch_that_cannot_be_is_refused_with_all_its_faults(client: Client) -> None:
    campaign = await made(client)
    status, problem = await ask(client, "POST", f"/{campaign.campaign_id}/launches", {"starts_at": "now", "ends_at": "then"})
    assert (status, problem["code"]) == (400, "field_invalid")
    assert [fault["field"] for fault in problem["faults"]] == ["starts_at", "ends_at"]


async def test_a_change_is_answered_with_the_campaign_it_makes(client: Client) -> None:
    campaign = await made(client)
    status, body = await ask(client, "PATCH", f"/{campaign.campaign_id}", {"total_limit": None, "ends_at": "2026-11-29T00:00"})
    assert status == 200
    assert (body["total_limit"], body["remaining"], body["ends_at"]) == (None, None, "2026-11-29T05:00:00Z")
    assert body["version"] > campaign.version


@pytest.mark.parametrize("field", ["code", "type", "timezone", "status", "campaign_id", "hold_ttl_s"])
async def test_what_never_changes_cannot_be_asked_for(client: Client, field: str) -> None:
    status, problem = await ask(client, "PATCH", f"/{(await made(client)).campaign_id}", {field: "x"})
    assert (status, problem["field"]) == (400, field)


async def test_a_limit_below_what_is_held_is_refused_with_the_number(client: Client, pool: Pool) -> None:
    campaign = await made(client)
    await pool.execute("UPDATE campaign_slices SET claimed = 7")
    status, problem = await ask(client, "PATCH", f"/{campaign.campaign_id}", {"total_limit": 6})
    assert (status, problem["code"], problem["claimed"]) == (409, "limit_below_claimed", 7)


async def test_a_campaign_is_paused_resumed_and_ended_for_good(client: Client) -> None:
    path = f"/{(await made(client)).campaign_id}"
    for step, becomes in (("pause", "paused"), ("pause", "paused"), ("resume", "active"), ("end", "ended"), ("end", "ended")):
        status, body = await ask(client, "POST", f"{path}/{step}")
        assert (status, body["status"]) == (200, becomes)
    for method, way in (("POST", f"{path}/resume"), ("POST", f"{path}/pause"), ("PATCH", path)):
        status, problem = await ask(client, method, way, {})
        assert (status, problem["code"]) == (409, "campaign_ended")


async def test_a_change_takes_the_copies_away_and_is_broadcast(client: Client, door: Door, redis: Redis) -> None:
    campaign = await made(client)
    await door.campaigns.find(campaign.campaign_id)
    assert await redis.exists(keys.campaign_copy(campaign.campaign_id))
    async with redis.pubsub(ignore_subscribe_messages=True) as broadcasts:
        await broadcasts.subscribe(keys.CAMPAIGN_CHANGED_CHANNEL)
        await broadcasts.get_message(timeout=5)
        await ask(client, "POST", f"/{campaign.campaign_id}/pause")
        message = await broadcasts.get_message(timeout=5)
    assert message is not None
    assert message["data"] == campaign.campaign_id.hex.encode()
    assert door.campaigns.peek(campaign.campaign_id) is None
    assert not await redis.exists(keys.campaign_copy(campaign.campaign_id))


async def test_without_redis_changes_are_committed_and_answered(dsn: str, pool: Pool) -> None:
    async with open_redis("redis://127.0.0.1:1") as nowhere, served(door_of(dsn, pool, nowhere)) as client:
        campaign = await made(client)
        assert (await ask(client, "POST", f"/{campaign.campaign_id}/pause"))[0] == 200
    assert await pool.fetchval("SELECT status FROM campaigns") == "paused"


async def test_pages_go_on_from_the_newest_to_the_oldest(client: Client) -> None:
    ids = [(await made(client, code=f"CODE{number}")).campaign_id for number in range(5)]
    seen: list[CampaignShown] = []
    after = ""
    while True:
        status, body = await ask(client, "GET", f"?limit=2{after}")
        part = msgspec.convert(body, CampaignPage)
        assert status == 200
        seen += part.campaigns
        if part.next_after is None:
            break
        after = f"&after={part.next_after}"
    assert [campaign.campaign_id for campaign in seen] == ids[::-1]


async def test_a_campaign_is_found_by_its_code_as_it_was_typed(client: Client) -> None:
    campaign = await made(client)
    await made(client, code="OTHER")
    for typed, found in (("blackfri100%20", [campaign]), ("NONE", []), ("%00", [])):
        _, body = await ask(client, "GET", f"?code={typed}")
        assert msgspec.convert(body, CampaignPage) == CampaignPage(found, None)


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "limit=-1", "limit=x", "limit=%C2%B2", "after=x", "after=", "limit=" + "9" * 5000]
)
async def test_a_wrong_query_is_refused_by_name(client: Client, query: str) -> None:
    status, problem = await ask(client, "GET", f"?{query}")
    assert (status, problem["field"]) == (400, query.partition("=")[0])


async def test_numbers_are_counted(client: Client) -> None:
    campaign = await made(client)
    status, body = await ask(client, "GET", f"/{campaign.campaign_id}/stats")
    assert status == 200
    assert body == {
        "campaign_id": str(campaign.campaign_id),
        "status": "active",
        "total_limit": 1000,
        "claimed": 0,
        "redeemed": 0,
        "released": 0,
        "remaining": 1000,
        "amount_limit": None,
        "amount_claimed": 0,
    }

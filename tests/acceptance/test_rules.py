"""The rules of redemption at front doors that are processes of their own: who is told what, byte by byte, and how soon."""

import asyncio
from collections.abc import Mapping
from itertools import count
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import msgspec
import pytest

from shared.clock import monotonic
from tests.acceptance.client import Client
from tests.acceptance.history import Reply
from tests.acceptance.sockets import wire

ADULT = {">=": [{"var": "attrs.age"}, 18]}
EUR = "EUR"

_numbers = count(1)


def fresh() -> str:
    """An order of this test's own: what one order holds is in the way of its other codes."""
    return f"order {uuid4()}"


async def post(
    client: Client,
    path: str,
    body: Any,
    user: str | None = None,
    *scopes: str,
    base_url: str | None = None,
    **attrs: Any,
) -> Reply:
    headers = {"Content-Type": "application/json", "Idempotency-Key": f"rules {next(_numbers)}"}
    if user is not None:
        headers["Authorization"] = client.bearer(user, *scopes, **({"attrs": attrs} if attrs else {}))
    return await client.send("POST", f"{base_url or client.stack.base_url}{path}", headers, msgspec.json.encode(body))


async def validate(
    client: Client, code: str, user: str | None = None, *scopes: str, base_url: str | None = None, **said: Any
) -> Reply:
    attrs = said.pop("token", {})
    return await post(client, "/api/v1/coupons/validate", {"code": code, **said}, user, *scopes, base_url=base_url, **attrs)


async def redeem(client: Client, code: str, user: str, *scopes: str, **said: Any) -> Reply:
    attrs = said.pop("token", {})
    return await post(client, "/api/v1/coupons/redeem", {"code": code, "order_id": fresh(), **said}, user, *scopes, **attrs)


async def mint(client: Client, campaign: Mapping[str, Any], **wish: Any) -> list[str]:
    reply = await client.administer("POST", f"/api/v1/campaigns/{campaign['campaign_id']}/codes", wish)
    assert reply.status == 201, reply
    codes: list[str] = reply.body.get("codes", [])
    return codes


async def answer_bytes(client: Client, body: dict[str, Any], user: str | None = None) -> bytes:
    """A validate answer as it came over the wire, on a connection of its own."""
    url = urlsplit(client.stack.base_url)
    headers = {"Host": url.netloc, "Content-Type": "application/json", "Connection": "close", "X-Request-Id": "same"}
    if user is not None:
        headers["Authorization"] = client.bearer(user)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    writer.write(wire("POST", "/api/v1/coupons/validate", headers, msgspec.json.encode(body)))
    head, _, content = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    fields = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"date:")]
    return b"\r\n".join(fields) + b"\r\n\r\n" + content


@pytest.mark.parametrize("times", [1, 3], ids=["at first", "from memory"])
async def test_who_says_not_who_they_are_cannot_tell_a_code_for_others_from_no_code(client: Client, times: int) -> None:
    adults = await client.campaign(audience_filter=ADULT)
    exact = await client.campaign(code=f"Exact-{uuid4().hex[:8]}", exact=True)
    unique = await client.campaign(type="unique", code=None)
    [anns] = await mint(client, unique, user="ann")
    for _ in range(times):
        unknown = await answer_bytes(client, {"code": "NO-SUCH-CODE"})
        assert unknown.startswith(b"HTTP/1.1 404 ")
        for hidden in (adults["code"], exact["code"], anns):
            typed = hidden.swapcase() if hidden == exact["code"] else hidden
            assert await answer_bytes(client, {"code": typed}) == unknown
        assert await answer_bytes(client, {"code": anns}, "bob") == unknown
    assert (await validate(client, adults["code"], "kid", token={"age": 17})).code == "audience_mismatch"
    assert (await validate(client, adults["code"], "eve")).status == 403
    assert (await validate(client, adults["code"], "dad", token={"age": 18})).body["valid"] is True
    assert (await validate(client, anns, "ann")).body["valid"] is True


async def test_an_audience_is_told_by_the_token_or_by_a_service_and_before_sold_out(client: Client) -> None:
    campaign = await client.campaign(audience_filter=ADULT, total_limit=1)
    code = campaign["code"]
    assert (await redeem(client, code, "kid", token={"age": 17})).code == "audience_mismatch"
    assert (await redeem(client, code, "kid", attrs={"age": 18})).code == "scope_required"
    assert (await redeem(client, code, "dad", token={"age": 18})).status == 201
    for _ in range(3):
        assert (await redeem(client, code, "kid", token={"age": 17})).code == "audience_mismatch"
        late = await redeem(client, code, "checkout", "service", user_id="mum", attrs={"age": 40})
        assert late.code == "exhausted"


async def test_an_exact_code_is_known_by_its_spelling(client: Client) -> None:
    name = f"SpringSale{uuid4().hex[:8]}"
    campaign = await client.campaign(code=name, exact=True)
    assert campaign["exact"] is True
    assert (await redeem(client, name.upper(), "ann")).code == "unknown_code"
    assert (await validate(client, name.lower())).code == "unknown_code"
    assert (await validate(client, name)).body["code"] == name
    assert (await redeem(client, f" {name} ", "ann")).status == 201
    assert (await client.create(code=name.upper())).code == "code_taken"


async def test_what_the_cart_can_mend_is_told_with_200(client: Client) -> None:
    save = await client.campaign()
    shy = await client.campaign(stacking_rules={"excludes": [save["code"]]}, minimum_subtotal=5_000)
    small = await validate(client, shy["code"], subtotal=4_999)
    assert (small.status, small.body["valid"], small.body["reason"]) == (200, False, "minimum_not_met")
    assert small.body["minimum_subtotal"] == 5_000
    assert (await validate(client, shy["code"])).body["reason"] == "subtotal_required"
    reason = f"not_stackable_with_{save['code']}"
    crowded = await validate(client, shy["code"], subtotal=5_000, applied_codes=["unknown", save["code"].lower()])
    assert (crowded.status, crowded.body["reason"], crowded.body["with"]) == (200, reason, save["code"])
    other_way = await validate(client, save["code"], applied_codes=[shy["code"]])
    assert other_way.body["reason"] == f"not_stackable_with_{shy['code']}"
    assert (await validate(client, shy["code"], subtotal=5_000)).body["valid"] is True
    order = fresh()
    assert (await redeem(client, save["code"], "ann", order_id=order)).status == 201
    refused = await redeem(client, shy["code"], "ann", order_id=order, subtotal=5_000)
    assert (refused.status, refused.code, refused.body["with"]) == (409, "not_stackable", save["code"])


async def test_a_code_that_the_order_has_is_shown_with_the_discount_it_kept(client: Client) -> None:
    campaign = await client.campaign(total_limit=1, discount={"type": "percent", "value": 10, "currency": EUR})
    order = fresh()
    assert (await redeem(client, campaign["code"], "ann", order_id=order, subtotal=2_000)).status == 201
    await client.change(campaign, discount={"type": "percent", "value": 50, "currency": EUR})
    for who in (("ann",), ("checkout", "service")):
        shown = await validate(client, campaign["code"], *who, order_id=order, subtotal=2_000)
        assert (shown.status, shown.body["already_redeemed_for_this_order"]) == (200, True)
        assert shown.body["discount"]["amount"] == 200
    for stranger in ((), ("bob",)):
        assert (await validate(client, campaign["code"], *stranger, order_id=order)).code == "exhausted"


async def test_another_discount_is_served_by_every_door_within_a_second(client: Client, two_doors: list[str]) -> None:
    doors = [client.stack.base_url, *two_doors]
    pool = await client.campaign(type="pool", discount={"type": "percent", "value": 10, "currency": EUR})
    typed = [pool["code"], *await mint(client, pool, users=["ann", "bob"])]
    await mint(client, pool, count=1)  # for whoever comes by the public code
    users = ["cat", "ann", "bob"]

    async def served() -> set[int]:
        asking = [
            validate(client, code, user, base_url=door) for door in doors for code, user in zip(typed, users, strict=True)
        ]
        return {reply.body["discount"]["value"] for reply in await asyncio.gather(*asking)}

    assert await served() == {10}
    await client.change(pool, discount={"type": "percent", "value": 25, "currency": EUR})
    changed = monotonic()
    while (seen := await served()) != {25}:
        assert monotonic() - changed < 1.0, seen
    assert monotonic() - changed < 1.0


async def test_the_time_that_is_left_is_said_in_words_and_seconds_and_utc(client: Client) -> None:
    campaign = await client.campaign(ends_on="2099-12-31", timezone="America/New_York")
    shown = (await validate(client, campaign["code"])).body
    assert shown["expires_at"] == "2100-01-01T05:00:00Z"
    assert shown["expires_text"] == f"ends in {shown['expires_in_s'] // 86_400} days"
    both = await client.create(ends_on="2099-12-31", ends_at="2099-12-31T12:00")
    assert (both.status, both.body["field"]) == (400, "ends_on")


async def test_a_hold_is_shown_to_its_owner_and_given_back_when_nobody_confirms(client: Client) -> None:
    campaign = await client.campaign(total_limit=1, hold_ttl_s=1)
    held = await redeem(client, campaign["code"], "ann")
    again = await redeem(client, campaign["code"], "ann")
    assert (held.status, again.status) == (201, 200)
    assert again.body == held.body
    await client.until_open(campaign)
    assert (await client.confirm(held.body["redemption_id"])).code == "hold_expired"
    won = await redeem(client, campaign["code"], "bob")
    assert won.status == 201
    assert (await client.confirm(won.body["redemption_id"])).status == 200


async def test_a_refunded_order_gives_back_what_its_campaigns_allow(client: Client) -> None:
    giving = await client.campaign(total_limit=1, release_on_refund=True)
    keeping = await client.campaign(total_limit=1)
    order = fresh()
    for campaign in (giving, keeping):
        won = await redeem(client, campaign["code"], "ann", order_id=order)
        assert (await client.confirm(won.body["redemption_id"])).status == 200
    path = f"/api/v1/orders/{order.replace(' ', '%20')}/refunded"
    assert (await post(client, path, None, "ann")).code == "scope_required"
    told = [await post(client, path, None, "checkout", "service") for _ in range(2)]
    assert [reply.status for reply in told] == [200, 200]
    assert told[0].body == told[1].body
    assert sorted(each["state"] for each in told[0].body["redemptions"]) == ["redeemed", "released"]
    assert [each["code"] for each in told[0].body["kept"]] == ["release_not_allowed"]
    await client.until_open(giving)
    assert (await redeem(client, giving["code"], "bob")).status == 201

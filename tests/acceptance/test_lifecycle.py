"""What the shop's back end does with a redemption: confirm, release, refund, and what a cart reads of its order."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from tests.acceptance.client import Client, until
from tests.acceptance.history import Reply


async def claimed(client: Client, user: str = "ann", order: str | None = None, **terms: Any) -> tuple[dict[str, Any], Reply]:
    """A campaign on `terms`, and the user's redemption of it."""
    campaign = await client.campaign(**terms)
    reply = await client.redeem(client.ask(campaign, user, **({"order": order} if order else {})))
    assert reply.status == 201, reply
    return campaign, reply


async def test_a_confirmed_redemption_is_redeemed_and_stays_so(client: Client) -> None:
    campaign, first = await claimed(client)
    confirmed = await client.confirm(first.body["redemption_id"])
    assert confirmed.status == 200
    assert (confirmed.body["state"], confirmed.body["claimed_at"]) == ("redeemed", first.body["claimed_at"])
    again = await client.confirm(first.body["redemption_id"])
    assert (again.status, again.body) == (200, confirmed.body)
    replayed = await client.redeem(client.ask(campaign, "ann"))
    assert (replayed.status, replayed.body) == (200, confirmed.body)


async def test_a_failed_checkout_gives_the_slot_back_once(client: Client) -> None:
    campaign, first = await claimed(client, total_limit=1, release_on_failure=True)
    replies = [await client.release(first.body["redemption_id"], "failure") for _ in range(3)]
    assert {reply.status for reply in replies} == {200}
    assert all(reply.body == replies[0].body for reply in replies)
    assert (replies[0].body["state"], replies[0].body["released_reason"]) == ("released", "failure")
    await client.until_open(campaign)
    asks = [client.ask(campaign, f"next-{number}") for number in range(10)]
    assert sorted(reply.status for reply in await client.burst(asks)) == [201] + [410] * 9


async def test_who_released_may_claim_again_with_a_new_key_and_hears_the_old_claim_with_the_old(client: Client) -> None:
    campaign, first = await claimed(client, total_limit=1, release_on_failure=True)
    released = await client.release(first.body["redemption_id"], "failure")
    await client.until_open(campaign)
    second = await client.insist(client.ask(campaign, "ann", key="again"))
    assert second.status == 201
    assert second.body["redemption_id"] != first.body["redemption_id"]
    old = await client.redeem(client.ask(campaign, "ann"))
    assert (old.status, old.body) == (200, released.body)


async def test_a_freed_slot_is_given_to_nobody_while_another_door_still_says_sold_out(
    client: Client, two_doors: list[str]
) -> None:
    one, other = two_doors
    campaign = await client.campaign(total_limit=2, release_on_failure=True)
    winners = await client.burst([client.ask(campaign, f"winner-{number}") for number in range(2)])
    sold_out = await client.redeem(client.ask(campaign, "early"), base_url=one)
    assert (sold_out.status, sold_out.code) == (410, "exhausted")
    for winner in winners:
        await client.release(winner.body["redemption_id"], "failure")
    ask = client.ask(campaign, "bob")

    async def won() -> bool:
        return (await client.redeem(ask, base_url=other)).status == 201

    # Bob has shown that the slots are free, and one is left: from here on sold out would be a lie.
    await until(won)
    assert (await client.redeem(client.ask(campaign, "cat"), base_url=one)).status == 201


async def test_a_refund_gives_the_slot_back(client: Client) -> None:
    campaign, first = await claimed(client, total_limit=1, release_on_refund=True)
    await client.confirm(first.body["redemption_id"])
    refunded = await client.release(first.body["redemption_id"], "refund")
    assert (refunded.status, refunded.body["state"], refunded.body["released_reason"]) == (200, "released", "refund")
    await client.until_open(campaign)
    assert (await client.insist(client.ask(campaign, "bob"))).status == 201


@pytest.mark.parametrize(("reason", "confirmed"), [("failure", False), ("refund", True)])
async def test_a_campaign_that_gives_nothing_back_says_so(client: Client, reason: str, confirmed: bool) -> None:
    _, first = await claimed(client)
    if confirmed:
        await client.confirm(first.body["redemption_id"])
    refused = await client.release(first.body["redemption_id"], reason)
    assert (refused.status, refused.code) == (409, "release_not_allowed")


async def test_what_is_released_cannot_be_confirmed(client: Client) -> None:
    _, first = await claimed(client, release_on_failure=True)
    await client.release(first.body["redemption_id"], "failure")
    refused = await client.confirm(first.body["redemption_id"])
    assert (refused.status, refused.code) == (409, "not_claimed")


async def test_what_is_redeemed_cannot_fail_and_what_is_claimed_cannot_be_refunded(client: Client) -> None:
    _, first = await claimed(client, release_on_failure=True, release_on_refund=True)
    early = await client.release(first.body["redemption_id"], "refund")
    assert (early.status, early.code) == (409, "not_redeemed")
    await client.confirm(first.body["redemption_id"])
    late = await client.release(first.body["redemption_id"], "failure")
    assert (late.status, late.code) == (409, "not_claimed")


async def test_a_redemption_that_never_was_is_unknown(client: Client) -> None:
    for reply in (await client.confirm(str(uuid4())), await client.release("nonsense", "failure")):
        assert (reply.status, reply.code) == (404, "redemption_unknown")


async def test_only_services_confirm_and_release(client: Client) -> None:
    _, first = await claimed(client, release_on_failure=True)
    path = f"/api/v1/redemptions/{first.body['redemption_id']}"
    for verb in ("confirm", "release"):
        headers = {"Authorization": client.bearer("ann"), "Content-Type": "application/json"}
        url = f"{client.stack.base_url}{path}/{verb}"
        reply = await client.send("POST", url, headers, b'{"reason":"failure"}')
        assert (reply.status, reply.code) == (403, "scope_required")


async def test_confirm_and_release_at_once_end_in_one_story(client: Client) -> None:
    _, first = await claimed(client, release_on_failure=True)
    redemption = first.body["redemption_id"]
    replies = await asyncio.gather(
        *(client.confirm(redemption) if turn % 2 else client.release(redemption, "failure") for turn in range(20))
    )
    states = {reply.body["state"] for reply in replies if reply.status == 200}
    assert len(states) == 1
    assert {reply.code for reply in replies if reply.status != 200} == {"not_claimed"}


async def test_an_order_shows_all_that_it_holds_and_held(client: Client) -> None:
    order = f"order-{uuid4()}"
    _, first = await claimed(client, order=order, release_on_failure=True)
    _, second = await claimed(client, user="bob", order=order)
    released = await client.release(first.body["redemption_id"], "failure")
    shown = await client.read(f"/api/v1/orders/{order}/redemptions", "checkout", "service")
    assert shown.body["order_id"] == order
    assert sorted(each["redemption_id"] for each in shown.body["redemptions"]) == sorted(
        [first.body["redemption_id"], second.body["redemption_id"]]
    )
    assert released.body in shown.body["redemptions"]


async def test_an_order_shows_a_user_only_their_own(client: Client) -> None:
    order = f"order-{uuid4()}"
    _, first = await claimed(client, order=order)
    await claimed(client, user="bob", order=order)
    shown = await client.read(f"/api/v1/orders/{order}/redemptions", first.body["user_id"])
    assert shown.body["redemptions"] == [first.body]


async def test_an_order_without_redemptions_shows_none(client: Client) -> None:
    shown = await client.read(f"/api/v1/orders/{uuid4()}/redemptions", "ann")
    assert (shown.status, shown.body["redemptions"]) == (200, [])

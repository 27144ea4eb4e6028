"""Slots that are given back while others ask for them, and orders that are refunded."""

import asyncio
from typing import Any

from shared.clock import monotonic
from tests.acceptance.client import Client
from tests.acceptance.history import Reply
from tests.acceptance.office import HIDDEN_AT_MOST_S, campaign_elsewhere, code_rows, mint, told, wins_at_last

SLOTS = 1_000


async def released_all(client: Client, held: list[Reply]) -> float:
    """Give all of them back, 50 at a time, again after a 503 as clients do; when the last answer came."""
    turn = asyncio.Semaphore(50)

    async def one(reply: Reply) -> Reply:
        async with turn, asyncio.timeout(30):
            while True:
                answer = await client.release(reply.body["redemption_id"], "failure")
                if answer.status != 503:
                    return answer
                await asyncio.sleep(0.05)

    replies = await asyncio.gather(*map(one, held))
    assert {(reply.status, reply.body["state"], reply.body["released_reason"]) for reply in replies} == {
        (200, "released", "failure")
    }
    return max(reply.ended for reply in replies)


async def test_a_thousand_given_back_while_a_thousand_others_ask(client: Client) -> None:
    campaign = await client.campaign(total_limit=SLOTS, release_on_failure=True)
    sold = [client.ask(campaign, f"early-{number}") for number in range(SLOTS)]
    held = await client.burst(sold)
    assert told(held) == {(201, None): SLOTS}
    assert (await client.redeem(client.ask(campaign, "nobody"))).code == "exhausted"

    asks = [client.ask(campaign, f"late-{number}") for number in range(SLOTS)]
    last_release, replies = await asyncio.gather(released_all(client, held), client.burst(asks, at_once=50))
    assert {reply.code for reply in replies} <= {None, "exhausted"}
    won = told(replies)[201, None]
    # Whoever asks now, and goes on asking, has a slot soon after the last one was given back.
    losers = [ask for ask, reply in zip(asks, replies, strict=True) if reply.status == 410]
    if losers:
        first = await wins_at_last(client, losers[0])
        assert first.ended - last_release <= HIDDEN_AT_MOST_S
    assert told(await client.burst(losers[1:])) == ({(201, None): len(losers) - 1} if losers[1:] else {})
    assert (await client.redeem(client.ask(campaign, "too late"))).code == "exhausted"

    proof = await client.proof(campaign)
    assert (proof.redemptions, proof.active, proof.claimed, proof.budget) == (2 * SLOTS, SLOTS, SLOTS, SLOTS)
    assert won + len(losers) == SLOTS
    replayed = await client.burst(sold)
    assert {(reply.status, reply.body["state"]) for reply in replayed} == {(200, "released")}


async def test_a_slot_that_is_given_back_again_and_again_is_never_hidden_for_long(client: Client) -> None:
    """The storm at its narrowest: one slot, asked for by many all the time."""
    campaign = await client.campaign(total_limit=1, release_on_failure=True)
    holder = await client.redeem(client.ask(campaign, "user-0"))
    waits = []
    for number in range(1, 6):
        crowd = [client.ask(campaign, f"user-{number}-{each}") for each in range(20)]
        await client.release(holder.body["redemption_id"], "failure")
        freed = monotonic()
        taken: list[Reply] = []
        while not taken:
            taken = [reply for reply in await client.race(crowd) if reply.status == 201]
            assert monotonic() - freed <= HIDDEN_AT_MOST_S
        [holder] = taken
        waits.append(holder.ended - freed)
    assert max(waits) <= HIDDEN_AT_MOST_S


async def bought(client: Client, order: str, *campaigns: dict[str, Any]) -> list[Reply]:
    """What ann redeemed and paid for, of each campaign."""
    taken = [await client.redeem(client.ask(each, "ann", order=order)) for each in campaigns]
    assert told(taken) == {(201, None): len(campaigns)}
    return [await client.confirm(reply.body["redemption_id"]) for reply in taken]


async def test_a_refunded_order_gives_back_what_its_campaigns_give_back(client: Client) -> None:
    pool = await client.campaign(type="pool", total_limit=1, release_on_refund=True)
    [code] = await mint(client, pool, count=1)
    keeps = await campaign_elsewhere(client, pool, total_limit=1)
    order = f"order of {client.user('ann')}"
    given, kept = await bought(client, order, pool, keeps)
    assert [(row["state"], row["claimed_by"]) for row in await code_rows(client, pool)] == [("claimed", client.user("ann"))]

    refunds = await asyncio.gather(*(client.refund(order) for _ in range(10)))
    assert {reply.status for reply in refunds} == {200}
    assert all(reply.body == refunds[0].body for reply in [*refunds, await client.refund(order)])
    body = refunds[0].body
    stands = {each["redemption_id"]: each for each in body["redemptions"]}
    assert (body["order_id"], len(stands)) == (order, 2)
    released = stands[given.body["redemption_id"]]
    assert (released["state"], released["released_reason"]) == ("released", "refund")
    assert stands[kept.body["redemption_id"]] == kept.body
    assert body["kept"] == [{"redemption_id": kept.body["redemption_id"], "code": "release_not_allowed"}]
    shown = await client.read(f"/api/v1/orders/{order}/redemptions", "checkout", "service")
    assert sorted(map(str, shown.body["redemptions"])) == sorted(map(str, body["redemptions"]))

    assert [(row["state"], row["claimed_by"]) for row in await code_rows(client, pool)] == [("unused", None)]
    again = client.ask(pool, "ann", key="pool again", order=f"{order}, again")
    assert (await wins_at_last(client, again)).body["code"] == code
    assert (await client.redeem(client.ask(pool, "ann", order=order))).body == released
    assert (await client.redeem(client.ask(keeps, "ann", key="keeps again"))).code == "already_redeemed"
    assert [((await client.proof(each)).redemptions, (await client.proof(each)).claimed) for each in (pool, keeps)] == [
        (2, 1),
        (1, 1),
    ]
    # The order of before stays refunded, and what was claimed for another order stays claimed.
    assert (await client.refund(order)).body == body
    assert (await client.proof(pool)).claimed == 1


async def test_what_was_not_paid_for_is_not_refunded(client: Client) -> None:
    campaign = await client.campaign(release_on_refund=True)
    ask = client.ask(campaign, "ann")
    first = await client.redeem(ask)
    refunded = await client.refund(ask.order)
    assert refunded.body["redemptions"] == [first.body]
    assert refunded.body["kept"] == [{"redemption_id": first.body["redemption_id"], "code": "not_redeemed"}]
    await client.confirm(first.body["redemption_id"])
    assert [each["state"] for each in (await client.refund(ask.order)).body["redemptions"]] == ["released"]


async def test_an_order_that_holds_nothing_is_refunded_all_the_same(client: Client) -> None:
    order = f"order of {client.user('nobody')}"
    refunded = await client.refund(order)
    assert (refunded.status, refunded.body) == (200, {"order_id": order, "redemptions": [], "kept": []})


async def test_orders_of_many_partitions_refunded_at_once_do_not_get_stuck(client: Client) -> None:
    campaigns = [await client.campaign(total_limit=100, release_on_refund=True) for _ in range(6)]
    orders = [f"order {number} of {client.user('ann')}" for number in range(12)]
    for number, order in enumerate(orders):
        asks = [client.ask(each, f"user-{number}", order=order) for each in campaigns]
        for reply in await client.burst(asks):
            await client.confirm(reply.body["redemption_id"])
    refunds = await asyncio.gather(*(client.refund(order) for order in orders * 3))
    assert {(reply.status, len(reply.body["redemptions"]), len(reply.body["kept"])) for reply in refunds} == {(200, 6, 0)}
    assert {(await client.proof(each)).claimed for each in campaigns} == {0}

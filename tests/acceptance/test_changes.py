"""Campaigns that are changed while people claim: every front door gives the new terms within a second, and nobody loses any."""

import asyncio
from functools import partial
from typing import Any

from shared.clock import monotonic
from tests.acceptance.client import Client, until
from tests.acceptance.history import Ask, Reply
from tests.acceptance.office import told, wins_at_last

#: Within this a change is served by every front door.
SEEN_WITHIN_S = 1.0


async def offered(client: Client, campaign: dict[str, Any], door: str) -> Any:
    """The value that a front door offers now; None when it offers nothing."""
    reply = await client.validate(campaign["code"], base_url=door)
    return reply.body["discount"]["value"] if reply.status == 200 else None


async def seen_everywhere(client: Client, campaign: dict[str, Any], doors: list[str], changed: Reply, value: Any) -> None:
    """Every front door offers `value` in time, and nothing else from then on."""

    async def seen(door: str) -> float:
        while await offered(client, campaign, door) != value:
            assert monotonic() - changed.ended <= SEEN_WITHIN_S, f"{door} does not know yet"
            await asyncio.sleep(0.01)
        return monotonic()

    await asyncio.gather(*(seen(door) for door in doors))
    assert {await offered(client, campaign, door) for door in doors * 10} == {value}


async def test_a_changed_discount_is_served_by_every_front_door_within_a_second(client: Client, two_doors: list[str]) -> None:
    doors = [*two_doors, client.stack.base_url]
    campaign = await client.campaign(total_limit=None)
    early: dict[Ask, Reply] = {}
    for value in (500, 700, 200):
        if value != 500:
            changed = await client.change(campaign, discount={"type": "amount", "value": value, "currency": "EUR"})
            await seen_everywhere(client, campaign, doors, changed, value)
        asks = [client.ask(campaign, f"user-{value}-{number}", subtotal=1_000) for number in range(9)]
        replies = await client.race(asks, doors)
        assert {reply.body["discount_applied"]["value"] for reply in replies} == {value}
        early.update(zip(asks, replies, strict=True))
    # What was promised is kept, whatever the campaign gives by now.
    for ask, reply in early.items():
        for door in doors:
            again = await client.redeem(ask, base_url=door)
            assert (again.status, again.body) == (200, reply.body)
    confirmed = [(await client.confirm(reply.body["redemption_id"])).body for reply in early.values()]
    assert [each["discount_applied"] for each in confirmed] == [reply.body["discount_applied"] for reply in early.values()]


async def test_a_campaign_that_is_paused_and_resumed_is_so_at_every_front_door_within_a_second(
    client: Client, two_doors: list[str]
) -> None:
    doors = [*two_doors, client.stack.base_url]
    campaign = await client.campaign(total_limit=None)
    assert {await offered(client, campaign, door) for door in doors} == {500}
    for verb, value in (("pause", None), ("resume", 500), ("end", None)):
        changed = await client.administer("POST", f"/api/v1/campaigns/{campaign['campaign_id']}/{verb}", {})
        await seen_everywhere(client, campaign, doors, changed, value)


async def test_a_limit_that_is_moved_under_a_crowd_is_exact_in_the_end(client: Client, two_doors: list[str]) -> None:
    campaign = await client.campaign(total_limit=40)
    over = asyncio.Event()

    async def persist(number: int) -> Reply:
        """Go on asking until there is something, or the limits have been moved for the last time."""
        ask, door = client.ask(campaign, f"user-{number}"), two_doors[number % 2]
        while True:
            last = over.is_set()
            reply = await client.insist(ask, base_url=door)
            if reply.status == 201 or last:
                return reply
            await asyncio.sleep(0.1)

    async def holds(slots: int) -> bool:
        return (await client.proof(campaign)).claimed >= slots

    async def move_limits() -> None:
        for limit in (60, 80, 90):
            await until(partial(holds, limit - 30))
            await client.change(campaign, total_limit=limit)
            lowered = await client.try_change(campaign, total_limit=limit - 25)
            # Below what is held by then it does not go, and the refusal says how much that is.
            if lowered.status != 200:
                assert (lowered.status, lowered.code) == (409, "limit_below_claimed")
                assert limit - 25 < lowered.body["claimed"] <= limit
            await client.change(campaign, total_limit=limit)
        await until(partial(holds, 90))
        over.set()

    crowd = asyncio.gather(*(persist(number) for number in range(150)))
    await move_limits()
    replies = await crowd
    assert told(replies) == {(201, None): 90, (410, "exhausted"): 60}
    proof = await client.proof(campaign)
    assert (proof.redemptions, proof.active, proof.claimed, proof.budget) == (90,) * 4


async def test_a_limit_is_raised_for_every_front_door_and_never_lowered_below_what_is_held(
    client: Client, two_doors: list[str]
) -> None:
    doors = [*two_doors, client.stack.base_url]
    campaign = await client.campaign(total_limit=6)
    crowd = [client.ask(campaign, f"user-{number}") for number in range(12)]
    assert told(await client.race(crowd, doors)) == {(201, None): 6, (410, "exhausted"): 6}
    refused = await client.try_change(campaign, total_limit=5)
    assert (refused.status, refused.code, refused.body["claimed"]) == (409, "limit_below_claimed", 6)
    changed = await client.change(campaign, total_limit=9)
    late = [client.ask(campaign, f"late-{number}") for number in range(3)]
    won = await asyncio.gather(*(wins_at_last(client, ask, base_url=door) for ask, door in zip(late, doors, strict=True)))
    assert max(reply.ended for reply in won) - changed.ended <= SEEN_WITHIN_S
    await client.change(campaign, total_limit=9)
    later = await client.race([client.ask(campaign, f"later-{number}") for number in range(12)], doors)
    assert told(later) == {(410, "exhausted"): 12}

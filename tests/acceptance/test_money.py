"""A campaign whose money is limited: never a cent too much, and not sold out while something still fits."""

import random
from typing import Any

from tests.acceptance.client import Client
from tests.acceptance.history import Reply
from tests.acceptance.office import PATIENT, told, winners, wins_at_last

BUDGET = 10_000
TENTH = {"type": "percent", "value": 10, "currency": "EUR"}


def spent(replies: list[Reply]) -> int:
    return sum(taken["discount_applied"]["amount"] for taken in winners(replies))


async def money(client: Client, campaign: dict[str, Any]) -> tuple[int, int]:
    """What is given and what there is, as its administrators read it."""
    path = f"/api/v1/campaigns/{campaign['campaign_id']}/stats"
    counted = (await client.administer("GET", path, None)).body
    return counted["amount_claimed"], counted["amount_limit"]


async def test_money_is_spent_to_the_last_cent_and_not_beyond(client: Client, two_doors: list[str]) -> None:
    campaign = await client.campaign(total_limit=None, discount=TENTH, amount_limit=BUDGET)
    carts = random.Random(7).choices(range(10, 3_000, 10), k=400)
    asks = [client.ask(campaign, f"user-{number}", subtotal=cart) for number, cart in enumerate(carts)]
    replies = await client.race(asks, two_doors, prefer=PATIENT)
    given = spent(replies)
    assert (await money(client, campaign)) == (given, BUDGET)
    left = BUDGET - given
    assert left >= 0
    assert {reply.code for reply in replies} <= (
        {None, "budget_insufficient"} if left else {None, "budget_insufficient", "exhausted"}
    )
    # Who was refused wanted more than there is.
    refused = [cart for cart, reply in zip(carts, replies, strict=True) if reply.code == "budget_insufficient"]
    assert refused
    assert min(refused) > 10 * left

    if left:
        beyond = await client.redeem(client.ask(campaign, "greedy", subtotal=10 * left + 10))
        assert (beyond.status, beyond.code) == (409, "budget_insufficient")
        fits = await client.redeem(client.ask(campaign, "modest", subtotal=10 * left))
        assert (fits.status, fits.body["discount_applied"]["amount"]) == (201, left)
    assert (await money(client, campaign)) == (BUDGET, BUDGET)
    late = await client.race([client.ask(campaign, f"late-{number}", subtotal=10) for number in range(20)], two_doors)
    assert told(late) == {(410, "exhausted"): 20}


async def test_the_last_money_goes_to_one_of_many(client: Client, two_doors: list[str]) -> None:
    fixed = {"type": "amount", "value": 400, "currency": "EUR"}
    campaign = await client.campaign(total_limit=None, discount=fixed, amount_limit=1_000)
    replies = await client.race([client.ask(campaign, f"user-{number}", subtotal=900) for number in range(50)], two_doors)
    assert told(replies) == {(201, None): 2, (409, "budget_insufficient"): 48}
    smaller = await client.race([client.ask(campaign, f"small-{number}", subtotal=150) for number in range(20)], two_doors)
    assert told(smaller) == {(201, None): 1, (409, "budget_insufficient"): 19}
    # No more than the cart costs is taken of the money.
    assert spent([*replies, *smaller]) == 950
    assert (await client.redeem(client.ask(campaign, "last", subtotal=50))).status == 201
    assert (await client.redeem(client.ask(campaign, "one more", subtotal=1))).code == "exhausted"


async def test_money_that_is_given_back_or_added_can_be_had(client: Client) -> None:
    campaign = await client.campaign(total_limit=None, discount=TENTH, amount_limit=500, release_on_failure=True)
    first = await client.redeem(client.ask(campaign, "ann", subtotal=5_000))
    assert (await client.redeem(client.ask(campaign, "bob", subtotal=100))).code == "exhausted"
    await client.release(first.body["redemption_id"], "failure")
    assert (await money(client, campaign)) == (0, 500)
    carl = await wins_at_last(client, client.ask(campaign, "carl", subtotal=1_000))
    replies = await client.race([client.ask(campaign, f"user-{number}", subtotal=1_000) for number in range(20)])
    assert spent([carl, *replies]) == 500
    assert (await client.try_change(campaign, amount_limit=499)).code == "limit_below_claimed"
    await client.change(campaign, amount_limit=600)
    await wins_at_last(client, client.ask(campaign, "dora", subtotal=1_000))
    assert (await client.redeem(client.ask(campaign, "emil", subtotal=1_000))).code == "exhausted"
    assert (await money(client, campaign)) == (600, 600)

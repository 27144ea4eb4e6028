"""Codes that do not go together, claimed for one order at the same moment: never both, and always one."""

from typing import Any

import pytest

from tests.acceptance.client import Client
from tests.acceptance.office import campaign_elsewhere, rows

#: What two campaigns demand that do not go together, and how often they are brought together.
APART: dict[str, tuple[dict[str, Any] | None, dict[str, Any] | None, int]] = {
    "each excludes the other": ({"excludes": ["ACCEPT-*"]}, {"excludes": ["ACCEPT-*"]}, 50),
    "one excludes the other": ({"excludes": ["accept-*"]}, None, 20),
    "one wants to be alone": (None, {"exclusive": True}, 20),
    "they are of one category": ({"category": "shoes"}, {"category": "shoes"}, 20),
}
ANY_NUMBER = {"total_limit": None, "per_user_limit": 1_000}


@pytest.mark.parametrize("rules", APART.values(), ids=APART.keys())
async def test_codes_that_exclude_each_other_are_never_both_on_an_order(
    client: Client, two_doors: list[str], rules: tuple[dict[str, Any] | None, dict[str, Any] | None, int]
) -> None:
    ours, theirs, times = rules
    one = await client.campaign(stacking_rules=ours, **ANY_NUMBER)
    other = await campaign_elsewhere(client, one, stacking_rules=theirs, **ANY_NUMBER)
    for number in range(times):
        order = f"order {number} of {client.user('ann')}"
        pair = [client.ask(each, "ann", key=f"{order} {each['code']}", order=order) for each in (one, other)]
        # Now the one is first on the wire, now the other.
        pair = pair[:: 1 if number % 2 else -1]
        replies = await client.race(pair, two_doors)
        assert sorted(reply.status for reply in replies) == [201, 409], replies
        [lost] = [reply for reply in replies if reply.status == 409]
        [won] = [reply for reply in replies if reply.status == 201]
        assert (lost.code, lost.body["with"]) == ("not_stackable", won.body["code"])
    held = await rows(
        client,
        "SELECT order_id FROM redemptions WHERE campaign_id = ANY ($1) GROUP BY order_id HAVING count(*) <> 1",
        [one["campaign_id"], other["campaign_id"]],
    )
    assert held == []


async def test_a_hundred_orders_at_once_get_one_of_two_codes_each(client: Client, two_doors: list[str]) -> None:
    one = await client.campaign(stacking_rules={"excludes": ["ACCEPT-*"]}, **ANY_NUMBER)
    other = await campaign_elsewhere(client, one, **ANY_NUMBER)
    asks = [client.ask(each, f"user-{number}") for number in range(100) for each in (one, other)]
    # Both of a pair come to different doors.
    replies = await client.race(asks, two_doors)
    for first, second in zip(replies[::2], replies[1::2], strict=True):
        assert sorted([first.status, second.status]) == [201, 409]
    counts = [(await client.proof(each)).active for each in (one, other)]
    assert sum(counts) == 100


async def test_codes_that_go_together_are_both_given(client: Client, two_doors: list[str]) -> None:
    one = await client.campaign(stacking_rules={"excludes": ["OTHER-*"], "category": "shoes"}, **ANY_NUMBER)
    other = await campaign_elsewhere(client, one, stacking_rules={"category": "hats"}, **ANY_NUMBER)
    asks = [client.ask(each, f"user-{number}") for number in range(50) for each in (one, other)]
    assert {reply.status for reply in await client.race(asks, two_doors)} == {201}


async def test_a_code_that_was_given_back_is_in_nobodys_way(client: Client) -> None:
    one = await client.campaign(stacking_rules={"exclusive": True}, release_on_failure=True)
    other = await campaign_elsewhere(client, one)
    first = await client.redeem(client.ask(one, "ann"))
    wanted = client.ask(other, "ann")
    assert (await client.redeem(wanted)).body["with"] == one["code"]
    await client.release(first.body["redemption_id"], "failure")
    assert (await client.redeem(wanted)).status == 201
    refused = await client.insist(client.ask(one, "ann", key="again"))
    assert (refused.code, refused.body["with"]) == ("not_stackable", other["code"])


async def test_rules_that_come_while_people_claim_hold_from_then_on(client: Client, two_doors: list[str]) -> None:
    one = await client.campaign(**ANY_NUMBER)
    other = await campaign_elsewhere(client, one, **ANY_NUMBER)
    assert (await client.redeem(client.ask(one, "ann"))).status == 201
    await client.change(other, stacking_rules={"excludes": [one["code"]]})
    for door in two_doors:
        assert (await client.redeem(client.ask(other, "ann"), base_url=door)).code == "not_stackable"
    validated = await client.validate(other["code"], client.user("bob"), applied_codes=[one["code"]])
    assert (validated.status, validated.body["valid"]) == (200, False)
    assert validated.body["reason"] == f"not_stackable_with_{one['code']}"
    await client.change(other, stacking_rules=None)
    assert (await client.redeem(client.ask(other, "ann"))).status == 201

"""Many tabs, many machines, one user; many users, one slot: the exact answer however they race."""

import pytest

from tests.acceptance.client import Client
from tests.acceptance.office import told

TABS = 50


async def test_fifty_tabs_of_one_user_win_once(client: Client) -> None:
    campaign = await client.campaign(total_limit=100)
    replies = await client.race([client.ask(campaign, "ann", key=f"tab-{tab}") for tab in range(TABS)])
    assert told(replies) == {(201, None): 1, (409, "already_redeemed"): TABS - 1}


async def test_the_same_key_fifty_times_is_one_claim(client: Client) -> None:
    campaign = await client.campaign(total_limit=100)
    replies = await client.race([client.ask(campaign, "ann")] * TABS)
    assert told(replies) == {(201, None): 1, (200, None): TABS - 1}
    assert len({reply.body["claim_id"] for reply in replies}) == 1
    assert len({reply.body["redemption_id"] for reply in replies}) == 1


async def test_the_last_slot_has_one_winner(client: Client) -> None:
    campaign = await client.campaign(total_limit=1)
    replies = await client.race([client.ask(campaign, f"user-{number}") for number in range(20)])
    assert told(replies) == {(201, None): 1, (410, "exhausted"): 19}


async def test_the_last_of_several_slots_has_one_winner(client: Client) -> None:
    campaign = await client.campaign(total_limit=5)
    for number in range(4):
        assert (await client.redeem(client.ask(campaign, f"early-{number}"))).status == 201
    replies = await client.race([client.ask(campaign, f"user-{number}") for number in range(20)])
    assert told(replies) == {(201, None): 1, (410, "exhausted"): 19}


async def test_a_limit_of_three_a_user_is_exactly_three(client: Client) -> None:
    campaign = await client.campaign(total_limit=100, per_user_limit=3)
    replies = await client.race([client.ask(campaign, "ann", key=f"tab-{tab}") for tab in range(TABS)])
    assert told(replies) == {(201, None): 3, (409, "already_redeemed"): TABS - 3}


async def test_tabs_of_many_users_keep_them_apart(client: Client) -> None:
    campaign = await client.campaign(total_limit=100)
    asks = [client.ask(campaign, f"user-{number % 10}", key=f"tab-{number}") for number in range(TABS)]
    replies = await client.race(asks)
    assert told(replies) == {(201, None): 10, (409, "already_redeemed"): TABS - 10}
    winners = [ask.user for ask, reply in zip(asks, replies, strict=True) if reply.status == 201]
    assert len(set(winners)) == 10


@pytest.mark.parametrize("terms", [{"total_limit": 100}, {"total_limit": 1}, {"total_limit": 1, "per_user_limit": 3}], ids=str)
async def test_the_same_key_at_two_doors_at_once_is_one_claim(
    client: Client, two_doors: list[str], terms: dict[str, int]
) -> None:
    campaign = await client.campaign(**terms)
    replies = await client.race([client.ask(campaign, "ann")] * TABS, two_doors)
    assert told(replies) == {(201, None): 1, (200, None): TABS - 1}
    assert len({reply.body["claim_id"] for reply in replies}) == 1


async def test_tabs_at_two_doors_at_once_win_once(client: Client, two_doors: list[str]) -> None:
    campaign = await client.campaign(total_limit=100)
    replies = await client.race([client.ask(campaign, "ann", key=f"tab-{tab}") for tab in range(TABS)], two_doors)
    assert told(replies) == {(201, None): 1, (409, "already_redeemed"): TABS - 1}


async def test_one_key_in_two_campaigns_is_one_claim_with_two_bodies(client: Client) -> None:
    first, second = await client.campaign(), await client.campaign()
    replies = await client.race([client.ask(first, "ann", key="one"), client.ask(second, "ann", key="one")])
    assert told(replies) == {(201, None): 1, (422, "key_reused"): 1}


@pytest.mark.parametrize("key", ["b:c", "a", "key with spaces", "~" * 255])
async def test_keys_belong_to_their_users(client: Client, key: str) -> None:
    campaign = await client.campaign(total_limit=100)
    asks = [client.ask(campaign, user, key=key) for user in ("a", "a:b", "{a}", "ä")]
    replies = await client.race(asks)
    assert told(replies) == {(201, None): len(asks)}

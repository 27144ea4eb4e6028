"""Slots that are held for a checkout: confirmed in time or given back, and one story whoever asks, and whenever."""

import asyncio
from collections import Counter
from datetime import datetime
from typing import Any

import pytest

from shared.clock import utc_now
from tests.acceptance.client import Client, until
from tests.acceptance.history import Ask, Reply
from tests.acceptance.office import mint, rows, told, wins_at_last

HOLDS = 80
#: Confirmations are sent so long before and after the end of a hold, spread evenly.
AROUND_S = 0.2
REDEEMED, EXPIRED = (200, "redeemed"), (409, "hold_expired")


def outcome(confirmed: Reply) -> tuple[int, str | None]:
    return confirmed.status, confirmed.body["state"] if confirmed.status == 200 else confirmed.code


async def confirm_around(client: Client, hold: dict[str, Any], offset_s: float) -> tuple[int, str | None]:
    """What two who confirm at that distance from the end of the hold are told: the same."""
    ends = datetime.fromisoformat(hold["hold_expires_at"])
    await asyncio.sleep(max(0.0, (ends - utc_now()).total_seconds() + offset_s))
    one, other = await asyncio.gather(*(client.confirm(hold["redemption_id"]) for _ in range(2)))
    assert outcome(one) == outcome(other)
    return outcome(one)


async def let_go(client: Client, campaign: dict[str, Any]) -> None:
    """Wait until no hold of the campaign is open any more."""

    async def none_open() -> bool:
        open_holds = "SELECT FROM redemptions WHERE campaign_id = $1 AND state = 'claimed'"
        return not await rows(client, open_holds, campaign["campaign_id"])

    await until(none_open, within_s=5)


async def test_a_confirmation_at_the_end_of_its_hold_has_one_outcome_for_ever(client: Client) -> None:
    campaign = await client.campaign(total_limit=HOLDS, hold_ttl_s=2)
    asks = [client.ask(campaign, f"user-{number}") for number in range(HOLDS)]
    held = await client.burst(asks)
    assert told(held) == {(201, None): HOLDS}
    offsets = [AROUND_S * (2 * number / (HOLDS - 1) - 1) for number in range(HOLDS)]
    outcomes = await asyncio.gather(
        *(confirm_around(client, reply.body, offset) for reply, offset in zip(held, offsets, strict=True))
    )
    expired = Counter(outcomes)[EXPIRED]
    assert set(outcomes) == {REDEEMED, EXPIRED}, "some were in time, and some were not"

    await let_go(client, campaign)
    for ask, reply, was in zip(asks, held, outcomes, strict=True):
        assert outcome(await client.confirm(reply.body["redemption_id"])) == was
        replayed = await client.redeem(ask)
        assert (replayed.status, replayed.body["redemption_id"]) == (200, reply.body["redemption_id"])
        story = (replayed.body["state"], replayed.body.get("released_reason"), "redeemed_at" in replayed.body)
        assert story == (("redeemed", None, True) if was == REDEEMED else ("released", "expiry", False))

    first, *others = [client.ask(campaign, f"next-{number}") for number in range(HOLDS)]
    again = [await wins_at_last(client, first), *await client.burst(others)]
    assert told(again) == {(201, None): expired, (410, "exhausted"): HOLDS - expired}
    proof = await client.proof(campaign)
    assert (proof.redemptions, proof.active, proof.claimed) == (HOLDS + expired, HOLDS, HOLDS)


@pytest.mark.parametrize("gives_back", [True, False])
async def test_who_lets_go_of_a_hold_that_is_over_is_told_that_it_expired(client: Client, gives_back: bool) -> None:
    campaign = await client.campaign(total_limit=30, hold_ttl_s=1, release_on_failure=gives_back)
    held = await client.burst([client.ask(campaign, f"user-{number}") for number in range(30)])
    outcomes = await asyncio.gather(*(confirm_around(client, reply.body, 0.01) for reply in held))
    assert set(outcomes) == {EXPIRED}
    ids = [reply.body["redemption_id"] for reply in held]
    released = await asyncio.gather(*(client.release(each, "failure") for each in ids))
    assert {(reply.status, reply.body["released_reason"]) for reply in released} == {(200, "expiry")}
    assert {outcome(await client.confirm(each)) for each in ids} == {EXPIRED}


async def test_a_hold_is_shown_to_its_own_user_under_another_key(client: Client) -> None:
    campaign = await client.campaign(total_limit=1, hold_ttl_s=30)
    first = await client.redeem(client.ask(campaign, "ann"))
    assert first.status == 201
    other_tab = client.ask(campaign, "ann", key="other tab")
    shown = await client.redeem(other_tab)
    assert (shown.status, shown.body) == (200, first.body)
    assert (await client.redeem(client.ask(campaign, "bob"))).code == "exhausted"
    await client.confirm(first.body["redemption_id"])
    # What is redeemed is no hold any more.
    refused = await client.redeem(other_tab)
    assert (refused.status, refused.code) == (409, "already_redeemed")


async def test_tabs_of_one_user_share_one_hold(client: Client) -> None:
    campaign = await client.campaign(total_limit=10, hold_ttl_s=30)
    replies = await client.race([client.ask(campaign, "ann", key=f"tab-{tab}") for tab in range(30)])
    assert told(replies) == {(201, None): 1, (200, None): 29}
    assert len({reply.body["redemption_id"] for reply in replies}) == 1
    assert (await client.proof(campaign)).claimed == 1


async def test_a_slot_that_is_held_and_let_go_again_and_again_is_never_in_two_hands(client: Client) -> None:
    campaign = await client.campaign(total_limit=1, hold_ttl_s=1)
    for round_no in range(2):
        crowd = [client.ask(campaign, name, key=f"round {round_no}") for name in ("ann", "bob", "cat")]
        taken: list[Reply] = []

        async def somebody_has_it(crowd: list[Ask] = crowd, taken: list[Reply] = taken) -> bool:
            replies = await client.race(crowd)
            assert {reply.code for reply in replies} <= {None, "exhausted"}
            taken += [reply for reply in replies if reply.status == 201]
            return bool(taken)

        await until(somebody_has_it, within_s=5)
        assert len(taken) == 1
        await let_go(client, campaign)
    proof = await client.proof(campaign)
    assert (proof.redemptions, proof.active, proof.claimed) == (2, 0, 0)


async def test_the_code_of_an_expired_hold_is_free_for_another(client: Client) -> None:
    pool = await client.campaign(type="pool", code=None, total_limit=None, hold_ttl_s=1)
    [code] = await mint(client, pool, count=1)
    assert (await client.redeem(client.ask(pool, "ann", code=code))).status == 201
    assert (await client.redeem(client.ask(pool, "bob", code=code))).status == 410

    async def bob_has_it() -> bool:
        return (await client.redeem(client.ask(pool, "bob", code=code))).status == 201

    await until(bob_has_it, within_s=5)

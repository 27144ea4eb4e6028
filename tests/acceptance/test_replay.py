"""A success once acknowledged is answered as the success it is, whatever has happened since; and 202 leads to the outcome."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from tests.acceptance.client import Client, until
from tests.acceptance.history import Ask, Reply


async def won(client: Client, campaign: dict[str, Any], user: str = "winner") -> tuple[Ask, Reply]:
    ask = client.ask(campaign, user)
    reply = await client.redeem(ask)
    assert reply.status == 201, reply
    return ask, reply


async def refused_to_others(client: Client, campaign: dict[str, Any], status: int, code: str) -> None:
    """Wait until the campaign is closed to those who hold nothing."""
    visitors = iter(range(10_000))

    async def refused() -> bool:
        reply = await client.redeem(client.ask(campaign, f"visitor-{next(visitors)}"))
        return (reply.status, reply.code) == (status, code)

    await until(refused)


async def test_a_winner_who_asks_again_after_a_pause_has_won(client: Client) -> None:
    campaign = await client.campaign(total_limit=None)
    ask, first = await won(client, campaign)
    await client.put(campaign, "pause")
    await refused_to_others(client, campaign, 409, "campaign_paused")
    again = await client.redeem(ask)
    assert (again.status, again.body) == (200, first.body)


async def test_a_winner_who_asks_again_after_the_end_has_won(client: Client) -> None:
    campaign = await client.campaign(total_limit=None)
    ask, first = await won(client, campaign)
    await client.put(campaign, "end")
    await refused_to_others(client, campaign, 410, "ended")
    again = await client.redeem(ask)
    assert (again.status, again.body) == (200, first.body)


async def test_a_winner_who_asks_again_after_the_window_was_closed_has_won(client: Client) -> None:
    campaign = await client.campaign(total_limit=None)
    ask, first = await won(client, campaign)
    await client.change(campaign, ends_at=(datetime.now(UTC) - timedelta(hours=1)).isoformat())
    await refused_to_others(client, campaign, 410, "expired")
    again = await client.redeem(ask)
    assert (again.status, again.body) == (200, first.body)


async def test_a_winner_who_asks_again_after_the_window_ran_out_has_won(client: Client) -> None:
    ends_at = datetime.now(UTC) + timedelta(seconds=2)
    campaign = await client.campaign(total_limit=None, ends_at=ends_at.isoformat())
    ask, first = await won(client, campaign)
    await refused_to_others(client, campaign, 410, "expired")
    assert datetime.now(UTC) >= ends_at - timedelta(milliseconds=50)
    again = await client.redeem(ask)
    assert (again.status, again.body) == (200, first.body)


async def test_a_winner_who_asks_again_after_sold_out_has_won_however_often(client: Client) -> None:
    campaign = await client.campaign(total_limit=1)
    ask, first = await won(client, campaign)
    await refused_to_others(client, campaign, 410, "exhausted")
    replies = await client.race([ask] * 50)
    assert [(reply.status, reply.body) for reply in replies] == [(200, first.body)] * 50


async def test_a_winner_who_asks_again_with_a_new_key_has_redeemed_already(client: Client) -> None:
    campaign = await client.campaign(total_limit=1)
    await won(client, campaign)
    reply = await client.redeem(client.ask(campaign, "winner", key="another"))
    assert (reply.status, reply.code) == (409, "already_redeemed")


async def test_a_winner_who_could_have_had_more_hears_of_the_own_claim_after_sold_out(client: Client) -> None:
    campaign = await client.campaign(total_limit=1, per_user_limit=3)
    ask, first = await won(client, campaign)
    await refused_to_others(client, campaign, 410, "exhausted")
    again = await client.redeem(ask)
    assert (again.status, again.body) == (200, first.body)
    more = await client.redeem(client.ask(campaign, "winner", key="another"))
    assert (more.status, more.code) == (410, "exhausted")


async def test_who_was_refused_may_win_with_the_same_key_later(client: Client) -> None:
    campaign = await client.campaign()
    await client.put(campaign, "pause")
    ask = client.ask(campaign, "patient")

    async def paused() -> bool:
        return (await client.validate(campaign["code"])).code == "campaign_paused"

    await until(paused)
    reply = await client.redeem(ask)
    assert (reply.status, reply.code) == (409, "campaign_paused")
    await client.put(campaign, "resume")

    async def won_now() -> bool:
        return (await client.redeem(ask)).status == 201

    await until(won_now)


async def test_a_campaign_that_has_not_started_gives_nothing(client: Client) -> None:
    campaign = await client.campaign(starts_at=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
    reply = await client.redeem(client.ask(campaign, "early"))
    assert (reply.status, reply.code) == (409, "not_started")


async def test_an_unknown_code_is_unknown(client: Client) -> None:
    reply = await client.redeem(client.ask({"code": f"NO-{uuid4()}"}, "ann"))
    assert (reply.status, reply.code) == (404, "unknown_code")


@pytest.mark.parametrize("other", [{"order": "another"}, {"subtotal": 1_000}])
async def test_a_key_with_another_body_is_reused(client: Client, other: dict[str, Any]) -> None:
    campaign = await client.campaign()
    ask, first = await won(client, campaign)
    reply = await client.redeem(client.ask(campaign, "winner", **other))
    assert (reply.status, reply.code) == (422, "key_reused")
    assert (await client.redeem(ask)).body == first.body


async def test_a_reused_key_is_told_also_after_sold_out_and_pause(client: Client) -> None:
    campaign = await client.campaign(total_limit=1)
    await won(client, campaign)
    await client.put(campaign, "pause")
    await refused_to_others(client, campaign, 409, "campaign_paused")
    reply = await client.redeem(client.ask(campaign, "winner", order="another"))
    assert (reply.status, reply.code) == (422, "key_reused")


async def test_another_spelling_of_the_code_is_the_same_body(client: Client) -> None:
    campaign = await client.campaign()
    ask, first = await won(client, campaign)
    spelled = client.ask({"code": f"  {campaign['code'].lower()} "}, "winner", key=ask.key)
    again = await client.redeem(spelled)
    assert (again.status, again.body) == (200, first.body)


async def test_respond_async_is_answered_at_once_and_leads_to_the_outcome(client: Client) -> None:
    campaign = await client.campaign()
    ask = client.ask(campaign, "hurried")
    accepted = await client.redeem(ask, prefer="respond-async")
    assert accepted.status == 202
    assert accepted.body["state"] == "pending"
    assert accepted.headers["Location"] == accepted.body["location"]
    outcome = await client.read(f"{accepted.headers['Location']}&wait=5", ask.user)
    assert outcome.status == 200
    assert outcome.body["claim_id"] == accepted.body["claim_id"]
    again = await client.redeem(ask)
    assert (again.status, again.body) == (200, outcome.body)


async def test_a_wait_of_nothing_leads_to_the_outcome_too(client: Client) -> None:
    campaign = await client.campaign()
    ask = client.ask(campaign, "hurried")
    accepted = await client.redeem(ask, prefer="wait=0")
    assert accepted.status in (201, 202)
    outcome = await client.read(f"/api/v1/claims/{accepted.body['claim_id']}?wait=5", ask.user)
    assert (outcome.status, outcome.body["state"]) == (200, "claimed")


async def test_polling_tells_a_refusal_as_redeem_does(client: Client) -> None:
    campaign = await client.campaign(total_limit=1)
    await won(client, campaign)
    ask = client.ask(campaign, "late")
    reply = await client.redeem(ask, prefer="respond-async")
    if reply.status == 202:
        reply = await client.read(f"{reply.headers['Location']}&wait=5", ask.user)
    assert (reply.status, reply.code) == (410, "exhausted")


async def test_a_claim_is_shown_to_its_user_and_to_services_only(client: Client) -> None:
    campaign = await client.campaign()
    ask, first = await won(client, campaign)
    path = f"/api/v1/claims/{first.body['claim_id']}"
    assert (await client.read(path, ask.user)).body == first.body
    assert (await client.read(path, "checkout", "service")).body == first.body
    stranger = await client.read(path, "mallory")
    assert (stranger.status, stranger.code) == (404, "claim_unknown")


async def test_a_claim_that_never_was_is_unknown(client: Client) -> None:
    reply = await client.read(f"/api/v1/claims/{uuid4()}?wait=1", "ann")
    assert (reply.status, reply.code) == (404, "claim_unknown")

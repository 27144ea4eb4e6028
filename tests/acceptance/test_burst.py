"""A burst on real processes: as many winners as slots, everyone else refused, and winners who ask again hear their own win."""

from collections import Counter

from tests.acceptance.client import Client

PEOPLE, SLOTS = 3_000, 300


async def test_a_burst_sells_exactly_its_slots_and_winners_retries_are_their_own(client: Client) -> None:
    campaign = await client.campaign(total_limit=SLOTS)
    asks = [client.ask(campaign, f"user-{number}") for number in range(PEOPLE)]
    replies = await client.burst(asks)
    assert Counter((reply.status, reply.code) for reply in replies) == {
        (201, None): SLOTS,
        (410, "exhausted"): PEOPLE - SLOTS,
    }
    winners = {ask: reply for ask, reply in zip(asks, replies, strict=True) if reply.status == 201}
    retries = await client.burst(list(winners))
    for (ask, first), again in zip(winners.items(), retries, strict=True):
        assert (again.status, again.body) == (200, first.body), ask
    proof = await client.proof(campaign)
    assert (proof.redemptions, proof.active, proof.users, proof.claimed, proof.budget) == (SLOTS,) * 5
    assert proof.chain_intact


async def test_a_burst_on_several_campaigns_at_once_keeps_them_apart(client: Client) -> None:
    campaigns = [await client.campaign(total_limit=10 + number) for number in range(8)]
    asks = [client.ask(campaign, f"user-{number}") for number in range(60) for campaign in campaigns]
    replies = await client.burst(asks)
    won = Counter(ask.code for ask, reply in zip(asks, replies, strict=True) if reply.status == 201)
    assert won == {campaign["code"]: campaign["total_limit"] for campaign in campaigns}
    assert {reply.code for reply in replies} == {None, "exhausted"}


async def test_an_unlimited_campaign_refuses_nobody(client: Client) -> None:
    campaign = await client.campaign(total_limit=None)
    replies = await client.burst([client.ask(campaign, f"user-{number}") for number in range(400)])
    assert {reply.status for reply in replies} == {201}


async def test_a_campaign_without_slots_gives_none(client: Client) -> None:
    campaign = await client.campaign(total_limit=0)
    replies = await client.race([client.ask(campaign, f"user-{number}") for number in range(10)])
    assert {(reply.status, reply.code) for reply in replies} == {(410, "exhausted")}


async def test_a_raised_limit_sells_exactly_what_it_was_raised_by(client: Client) -> None:
    campaign = await client.campaign(total_limit=20)
    early = await client.burst([client.ask(campaign, f"early-{number}") for number in range(60)])
    assert Counter(reply.status for reply in early) == {201: 20, 410: 40}
    await client.change(campaign, total_limit=30)
    await client.until_open(campaign)
    late = await client.burst([client.ask(campaign, f"late-{number}") for number in range(60)])
    assert Counter(reply.status for reply in late) == {201: 10, 410: 50}

"""Hot campaigns move, and are cut into slices, while people press redeem: as many win as there are slots."""

import asyncio
from typing import Any

import pytest

from tests.acceptance.client import Client
from tests.acceptance.history import Reply
from tests.acceptance.office import partition_of, rows, told, wins_at_last

PEOPLE, SLOTS = 2_000, 400


async def burst_while(client: Client, campaign: dict[str, Any], path: str, body: dict[str, int]) -> tuple[list[Reply], Reply]:
    """A burst in the middle of which an administrator asks for something; the answers to both."""
    asks = [client.ask(campaign, f"user-{number}") for number in range(PEOPLE)]
    under_way, answers = asyncio.Event(), 0

    async def count(_: Reply) -> None:
        nonlocal answers
        answers += 1
        if answers == SLOTS // 4:
            under_way.set()

    bursting = asyncio.create_task(client.burst(asks, on_reply=count))
    await under_way.wait()
    done = await client.administer("POST", f"/api/v1/campaigns/{campaign['campaign_id']}{path}", body)
    return await bursting, done


@pytest.mark.parametrize("what", ["split", "move"])
async def test_a_hot_campaign_moves_during_its_burst_and_sells_exactly_its_slots(
    client: Client, two_doors: list[str], what: str
) -> None:
    campaign = await client.campaign(total_limit=SLOTS)
    elsewhere = (await partition_of(client, campaign) + 1) % 16
    body = {"slices": 4} if what == "split" else {"partition": elsewhere}
    replies, done = await burst_while(client, campaign, f"/{what}", body)
    assert done.status == 200, done
    print(f"\n{what}: admission paused for {done.body['admission_paused_ms']} ms")
    assert told(replies) == {(201, None): SLOTS, (410, "exhausted"): PEOPLE - SLOTS}
    where = "SELECT partition_no FROM campaign_slices WHERE campaign_id = $1 ORDER BY slice_no"
    homes = await rows(client, where, campaign["campaign_id"])
    assert [row["partition_no"] for row in homes] == done.body["partitions"]
    assert len(homes) == 4 if what == "split" else done.body["partitions"] == [elsewhere]
    again = [client.ask(campaign, f"user-{number}") for number, reply in enumerate(replies) if reply.status == 201]
    for door in two_doors:
        heard = await asyncio.gather(*(client.insist(ask, base_url=door) for ask in again))
        assert {reply.status for reply in heard} == {200}
    proof = await client.proof(campaign)
    assert (proof.active, proof.users, proof.claimed, proof.budget, proof.chain_intact) == (*(SLOTS,) * 4, True)


async def test_a_slot_given_back_in_a_split_campaign_is_anybodys(client: Client) -> None:
    campaign = await client.campaign(total_limit=8, release_on_failure=True)
    early = await client.burst([client.ask(campaign, f"early-{number}") for number in range(8)])
    split = await client.administer("POST", f"/api/v1/campaigns/{campaign['campaign_id']}/split", {"slices": 4})
    assert split.status == 200, split
    asks = [client.ask(campaign, f"late-{number}") for number in range(12)]
    assert told(await client.burst(asks)) == {(410, "exhausted"): 12}
    for number, reply in enumerate(early):
        assert (await client.release(reply.body["redemption_id"], "failure")).status == 200
        await wins_at_last(client, asks[number])
    assert told(await client.burst(asks[8:])) == {(410, "exhausted"): 4}


async def test_what_cannot_be_is_refused_by_name(client: Client) -> None:
    campaign = await client.campaign()
    pool = await client.campaign(type="pool", code=None)
    path, gone = f"/api/v1/campaigns/{campaign['campaign_id']}", "/api/v1/campaigns/00000000-0000-0000-0000-000000000000"
    refused = [
        (path + "/split", {"slices": 0}, 400, "field_invalid"),
        (path + "/split", {"slices": 17}, 400, "field_invalid"),
        (path + "/split", {"slices": "4"}, 400, "field_invalid"),
        (path + "/move", {"partition": 16}, 400, "field_invalid"),
        (path + "/move", {"partition": -1}, 400, "field_invalid"),
        (gone + "/split", {"slices": 2}, 404, "campaign_unknown"),
        (f"/api/v1/campaigns/{pool['campaign_id']}/split", {"slices": 2}, 409, "not_splittable"),
    ]
    for where, body, status, code in refused:
        reply = await client.administer("POST", where, body)
        assert (reply.status, reply.code) == (status, code), reply
    assert (await client.administer("POST", path + "/split", {"slices": 2})).status == 200
    for where, body in ((path + "/split", {"slices": 1}), (path + "/move", {"partition": 3})):
        reply = await client.administer("POST", where, body)
        assert (reply.status, reply.code) == (409, "already_split"), reply
    await client.put(campaign, "end")
    assert (await client.administer("POST", path + "/split", {"slices": 4})).code == "campaign_ended"

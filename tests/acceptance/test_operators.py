"""What operators do while everything runs: reconcile beside a burst, and clear the attic."""

import asyncio
from uuid import UUID

import redis
from click.testing import CliRunner, Result

from lastslot.cli import cli
from shared import keys
from shared.domain.ids import CampaignId, Incarnation, home_partition
from shared.reconciling import opened_stores, reconcile
from tests.acceptance.client import Client, until
from tests.acceptance.stacks import RunningStack

PEOPLE, SLOTS = 600, 200


async def types(running: RunningStack, *words: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, cli, [*words, "--data-dir", str(running.directory / "data")])


async def test_stores_of_an_engine_at_work_do_not_differ(shared_stack: RunningStack, client: Client) -> None:
    campaign = await client.campaign(total_limit=SLOTS, release_on_failure=True)

    async def come_and_go() -> None:
        replies = await client.burst([client.ask(campaign, f"user-{number}") for number in range(PEOPLE)], at_once=30)
        for reply in replies:
            if reply.status == 201:
                await client.release(reply.body["redemption_id"], "failure")

    coming = asyncio.create_task(come_and_go())
    gates = 0
    async with opened_stores(client.stack.postgres_dsn, client.stack.redis_url) as stores:
        while not coming.done():
            reconciled = await reconcile(stores)
            assert reconciled.found == []
            gates += reconciled.gates
    await coming
    assert gates
    typed = await types(shared_stack, "reconcile")
    assert (typed.exit_code, "; 0 differences" in typed.stdout) == (0, True), typed.output


async def test_poison_in_a_mailbox_waits_in_the_attic_until_somebody_deals_with_it(
    shared_stack: RunningStack, client: Client
) -> None:
    campaign = await client.campaign()
    await client.insist(client.ask(campaign, "neighbour"))
    partition = home_partition(CampaignId(UUID(campaign["campaign_id"])))
    before = (await types(shared_stack, "attic", "list")).stdout
    with redis.Redis.from_url(client.stack.redis_url) as store:
        living = store.get(keys.incarnation_pointer(partition))
        assert isinstance(living, bytes)
        store.xadd(keys.mailbox(partition, Incarnation(living.decode())), {"c": "poison", "e": b"\xc1poison"})

    async def listed() -> bool:
        return (await types(shared_stack, "attic", "list")).stdout != before

    await until(listed)
    *_, line, waiting = (await types(shared_stack, "attic", "list")).stdout.splitlines()
    assert waiting == "waiting: 1"
    number = line.split()[0]
    assert (
        await types(shared_stack, "attic", "replay", number)
    ).stdout == f"{number}: cannot be read, so it can only be discarded\n"
    assert "poison" in (await types(shared_stack, "attic", "show", number)).stdout
    assert (await types(shared_stack, "attic", "discard", number, "--reason", "a test")).exit_code == 0
    assert (await types(shared_stack, "attic", "list")).stdout == before
    assert (await client.insist(client.ask(campaign, "another neighbour"))).status == 201

"""Parts are killed, frozen, restarted and emptied in the middle of a burst: the totals stay the same and no ack is lost.

One stack is hurt again and again here, as one is in real life; its supervisor brings back what was killed.
"""

import signal
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
import redis

from tests.acceptance.client import Client, judged, until
from tests.acceptance.moments import SLOTS, sell, sold_out, whole
from tests.acceptance.stacks import RunningStack


@pytest.fixture
async def client(hurt: RunningStack) -> AsyncIterator[Client]:
    await until(lambda: whole(hurt), within_s=30)
    async with judged(hurt.stack) as client:
        yield client


async def lease(running: RunningStack, campaign: dict[str, Any]) -> tuple[str, int]:
    """Who owns the campaign's partition, and in which epoch; while it is handed over, nobody does."""
    found: list[tuple[str, int]] = []

    async def owned() -> bool:
        with psycopg.connect(running.stack.postgres_dsn) as connection:
            found[:] = connection.execute(
                "SELECT owner, epoch FROM partitions JOIN campaign_slices USING (partition_no) "
                "WHERE campaign_id = %s AND owner IS NOT NULL",
                (campaign["campaign_id"],),
            ).fetchall()
        return bool(found)

    await until(owned)
    return found[0]


async def test_a_killed_owner_costs_nothing_but_time(hurt: RunningStack, client: Client) -> None:
    campaign = await client.campaign(total_limit=SLOTS)
    owner, epoch = await lease(hurt, campaign)
    await sell(client, campaign, {80: hurt.owner(owner).kill})
    assert (await lease(hurt, campaign))[1] > epoch, "somebody took the partition over"


async def test_workers_killed_one_after_the_other_cost_nothing_but_time(hurt: RunningStack, client: Client) -> None:
    one, other = hurt.processes("worker")
    await sold_out(client, {40: one.kill, 160: other.kill})


async def test_workers_that_are_told_to_stop_hand_over_what_they_have(hurt: RunningStack, client: Client) -> None:
    one, other = hurt.processes("worker")
    await sold_out(client, {40: one.terminate, 160: other.terminate})


async def test_an_owner_that_wakes_up_after_its_lease_changes_nothing(hurt: RunningStack, client: Client) -> None:
    campaign = await client.campaign(total_limit=SLOTS)
    owner, epoch = await lease(hurt, campaign)
    frozen = hurt.owner(owner)
    try:
        await sell(client, campaign, {80: frozen.suspend})
    finally:
        frozen.resume()
    assert (await lease(hurt, campaign))[1] > epoch
    await until(lambda: whole(hurt), within_s=30)
    await sold_out(client, {})


async def test_front_doors_that_are_restarted_one_after_the_other_lose_nothing(hurt: RunningStack, client: Client) -> None:
    one, other = hurt.processes("frontdoor")
    await sold_out(client, {40: one.terminate, 160: other.terminate})


async def test_front_doors_that_are_killed_lose_nothing(hurt: RunningStack, client: Client) -> None:
    one, other = hurt.processes("frontdoor")
    await sold_out(client, {40: one.kill, 160: other.kill})


async def test_winners_of_before_are_known_to_front_doors_that_are_new(hurt: RunningStack, client: Client) -> None:
    winners = await sold_out(client, {})
    before = hurt.processes("frontdoor")
    for door in before:
        door.send_signal(signal.SIGTERM)

    async def replaced() -> bool:
        now = hurt.processes("frontdoor")
        return len(now) == len(before) and not set(now) & set(before)

    await until(replaced, within_s=30)
    again = await client.burst(winners)
    assert {reply.status for reply in again} == {200}


@pytest.mark.parametrize("moments", [(1,), (150,), (299,), (20, 60, 100, 140, 180, 220, 260)], ids=str)
async def test_a_redis_that_is_emptied_never_oversells_and_sells_all(
    hurt: RunningStack, client: Client, moments: tuple[int, ...]
) -> None:
    with redis.Redis.from_url(hurt.stack.redis_url) as store:
        await sold_out(client, dict.fromkeys(moments, store.flushall))


async def test_a_redis_that_loses_its_scripts_too_is_told_them_again(hurt: RunningStack, client: Client) -> None:
    with redis.Redis.from_url(hurt.stack.redis_url) as store:

        def forget() -> None:
            store.flushall()
            store.script_flush()

        await sold_out(client, {50: forget, 200: forget})


async def test_a_redis_that_is_killed_costs_nothing_but_time(hurt: RunningStack, client: Client) -> None:
    await sold_out(client, {100: lambda: hurt.server("redis-server").kill()})


async def test_a_postgres_that_is_cut_off_costs_nothing_but_time(hurt: RunningStack, client: Client) -> None:
    # SIGQUIT is its immediate shutdown: no checkpoint, no farewell, recovery from the log at the next start.
    await sold_out(client, {100: lambda: hurt.server("postgres").send_signal(signal.SIGQUIT)})

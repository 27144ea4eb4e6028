"""Postgres is frozen, or killed, while people claim: nobody is told yes, nobody waits long, and it goes on by itself."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import psycopg
import pytest
import redis

from shared import clock, keys
from shared.domain.ids import CampaignId, ClaimId, Incarnation, UserId, claim_id, home_partition
from tests.acceptance.client import Client, judged, until
from tests.acceptance.history import Ask, Reply
from tests.acceptance.stacks import RunningStack

#: Longer than a lease lasts.
WAIT_S = 4
#: Two look-ups that wait for a silent server, and what the caller named.
ANSWERED_WITHIN_S = WAIT_S + 5.0
RECOVERED_WITHIN_S = 10.0


@pytest.fixture
async def client(hurt: RunningStack) -> AsyncIterator[Client]:
    async with judged(hurt.stack) as client:
        yield client


async def test_while_postgres_is_frozen_nobody_is_told_yes_and_sold_out_is_still_said(
    hurt: RunningStack, client: Client
) -> None:
    campaign, full = await client.campaign(total_limit=1_000), await client.campaign(total_limit=1)
    await all_doors_know(client, campaign, full)
    asks = [client.ask(campaign, f"user-{number}") for number in range(40)]
    with frozen(hurt):
        asking = asyncio.gather(*(client.redeem(ask, prefer=f"wait={WAIT_S}") for ask in asks))
        said = await told_meanwhile(asking, client.redeem, client, full)
        replies = await asking
        waiting = {ask for ask, reply in zip(asks, replies, strict=True) if reply.status == 202}
        assert {reply.status for reply in replies} <= {202, 503}, replies
        assert waiting, "the gate is there, and so is the mailbox of those whom it admits"
        assert waiting <= in_a_mailbox(hurt, campaign, asks), "202 was said of what nobody will decide"
    assert {reply.code for reply in said} == {"exhausted"}
    assert max(reply.ended - reply.began for reply in [*replies, *said]) < ANSWERED_WITHIN_S
    print(f"after a frozen Postgres somebody wins within {await recovered(client, campaign):.1f} s")
    assert {reply.status for reply in await client.burst(asks)} <= {200, 201}


async def test_a_postgres_that_was_killed_is_gone_on_with_as_soon_as_it_is_back(hurt: RunningStack, client: Client) -> None:
    campaign, full = await client.campaign(total_limit=1_000), await client.campaign(total_limit=1)
    await all_doors_know(client, campaign, full)
    asks = [client.ask(campaign, f"user-{number}") for number in range(40)]
    hurt.server("postgres").kill()
    claiming = asyncio.create_task(client.burst(asks))
    back = asyncio.create_task(until(lambda: answers(hurt), within_s=30))
    assert {reply.code for reply in await told_meanwhile(back, client.insist, client, full)} == {"exhausted"}
    print(f"after a killed Postgres somebody wins within {await recovered(client, campaign):.1f} s")
    assert {reply.status for reply in await claiming} <= {200, 201}


@contextmanager
def frozen(hurt: RunningStack) -> Iterator[None]:
    """Postgres neither answers nor hangs up."""
    server = hurt.server("postgres")
    processes = [server, *server.children(recursive=True)]
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()


async def all_doors_know(client: Client, campaign: dict[str, Any], full: dict[str, Any]) -> None:
    """The one is sold from, the other is sold out, and no door has yet to look for their codes."""
    for each in (campaign, full):
        assert (await client.insist(client.ask(each, "first"))).status in (200, 201)
        await asyncio.gather(*(client.validate(each["code"]) for _ in range(60)))


async def told_meanwhile(
    meanwhile: asyncio.Future[Any], ask: Callable[[Ask], Awaitable[Reply]], client: Client, full: dict[str, Any]
) -> list[Reply]:
    """What those hear who ask for what is sold out, one after the other."""
    replies = [await ask(client.ask(full, "late"))]
    while not meanwhile.done():
        replies.append(await ask(client.ask(full, f"late-{len(replies)}")))
    return replies


def in_a_mailbox(hurt: RunningStack, campaign: dict[str, Any], asks: list[Ask]) -> set[Ask]:
    """Those whose claims are in the mailbox of the campaign's partition."""
    partition = home_partition(CampaignId(UUID(campaign["campaign_id"])))
    with redis.Redis.from_url(hurt.stack.redis_url) as store:
        life = Incarnation(store.get(keys.incarnation_pointer(partition)).decode())
        return {ask for ask in asks if store.hexists(keys.reservations(partition, life), _claim(ask).hex)}


def _claim(ask: Ask) -> ClaimId:
    return claim_id(UserId(ask.user), ask.key)


async def answers(hurt: RunningStack) -> bool:
    try:
        with psycopg.connect(hurt.stack.postgres_dsn, connect_timeout=2) as connection:
            connection.execute("SELECT")
    except psycopg.OperationalError:
        return False
    return True


async def recovered(client: Client, campaign: dict[str, Any]) -> float:
    """Seconds until somebody who was not there before wins."""
    began = clock.monotonic()
    reply = await client.insist(client.ask(campaign, "newcomer"))
    took = clock.monotonic() - began
    assert reply.status == 201
    assert took < RECOVERED_WITHIN_S
    return took

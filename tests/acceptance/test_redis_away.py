"""Redis goes away, for all or for one front door alone, or was never there: what is decided is right, and the rest is 503."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import msgspec
import psycopg
import pytest

from lastslot.ports import free_port
from lastslot.running import Stack
from shared.domain.ids import UserId, claim_id
from shared.migrations.run import migrate
from tests.acceptance.client import Client, judged, until
from tests.acceptance.moments import sold_out, whole
from tests.acceptance.stacks import DOWN_WITHIN_S, RunningStack, extra_door
from tests.servers import named


@pytest.fixture
async def client(hurt: RunningStack) -> AsyncIterator[Client]:
    await until(lambda: whole(hurt), within_s=30)
    async with judged(hurt.stack) as client:
        yield client


def nowhere() -> str:
    """The URL of a Redis that is away."""
    return f"redis://127.0.0.1:{free_port()}"


async def ready(client: Client, base_url: str) -> tuple[int, dict[str, bool]]:
    reply = await client.send("GET", f"{base_url}/readyz", {}, b"")
    return reply.status, reply.body["checks"]


async def test_a_burst_is_sold_on_while_redis_is_frozen_and_after_it_woke_up(hurt: RunningStack, client: Client) -> None:
    """The second moment comes only because claims are decided without it."""
    server = hurt.server("redis-server")
    try:
        await sold_out(client, {60: server.suspend, 200: server.resume})
    finally:
        server.resume()


async def test_a_door_that_alone_is_cut_off_decides_nothing_and_says_so(hurt: RunningStack, client: Client) -> None:
    campaign = await client.campaign()
    secret = {"LASTSLOT_JWT_SECRET": hurt.stack.jwt_secret, "LASTSLOT_REDIS_URL": nowhere()}
    with extra_door(hurt.stack, **secret) as cut_off:
        asks = [client.ask(campaign, f"user-{number}") for number in range(12)]
        for ask in asks[:3]:
            reply = await client.redeem(ask, base_url=cut_off)
            assert (reply.status, reply.headers["Retry-After"]) == (503, "1")
        status, checks = await ready(client, cut_off)
        assert (status, checks["redis"], checks["direct"]) == (503, False, False)
        replies = [await client.redeem(ask) for ask in asks]
        assert Counter(reply.status for reply in replies) == {201: 10, 410: 2}
        for ask in asks:
            assert (await client.redeem(ask, base_url=cut_off)).status in (200, 503)


@contextmanager
def without_redis(stack: Stack) -> Iterator[tuple[Stack, list[str]]]:
    """Two doors and a worker that never saw a Redis, on a database of their own: what a client needs, and the doors' URLs."""
    dsn, redis_url = named(stack.postgres_dsn, "without_redis"), nowhere()
    with psycopg.connect(stack.postgres_dsn, autocommit=True) as connection:
        connection.execute("CREATE DATABASE without_redis")
    migrate(dsn)
    settings = {"LASTSLOT_POSTGRES_DSN": dsn, "LASTSLOT_REDIS_URL": redis_url, "LASTSLOT_JWT_SECRET": stack.jwt_secret}
    worker = subprocess.Popen(
        [sys.executable, "-m", "lastslot", "worker"],
        env={**os.environ, **settings},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    admin_port = str(free_port())
    try:
        with (
            extra_door(stack, **settings, LASTSLOT_ADMIN_PORT=admin_port) as one,
            extra_door(stack, **settings) as other,
        ):
            admin_url = f"http://127.0.0.1:{admin_port}"
            yield (
                msgspec.structs.replace(stack, base_url=one, admin_url=admin_url, postgres_dsn=dsn, redis_url=redis_url),
                [one, other],
            )
        worker.terminate()
        assert worker.wait(DOWN_WITHIN_S) == 0
    finally:
        worker.kill()
        worker.wait()


async def test_an_engine_that_never_saw_redis_serves(hurt: RunningStack) -> None:
    with without_redis(hurt.stack) as (stack, doors):
        async with judged(stack) as client:
            for door in doors:
                assert await ready(client, door) == (
                    200,
                    {"postgres": True, "redis": False, "codes": True, "accepting": True, "direct": True},
                )
            campaign = await client.campaign(total_limit=20)
            assert (await client.validate(campaign["code"])).status == 200
            asks = [client.ask(campaign, f"user-{number}") for number in range(60)]
            replies = [await client.insist(ask, base_url=doors[n % 2]) for n, ask in enumerate(asks)]
            assert Counter(reply.status for reply in replies) == {201: 20, 410: 40}
            # Whoever does not want to wait is told at once what there is to tell.
            again = [await client.redeem(ask, base_url=doors[0], prefer="respond-async") for ask in asks[18:22]]
            assert [reply.status for reply in again] == [200, 200, 410, 410]
            polled = [await poll(client, ask.user, ask.key, doors[1]) for ask in asks[18:22]]
            assert polled == [200, 200, 410, 410]
            assert await poll(client, client.user("stranger"), "never sent", doors[1]) == 404


async def poll(client: Client, user: str, key: str, base_url: str) -> int:
    claim = claim_id(UserId(user), key)
    headers = {"Authorization": client.bearer(user)}
    return (await client.send("GET", f"{base_url}/api/v1/claims/{claim}", headers, b"")).status

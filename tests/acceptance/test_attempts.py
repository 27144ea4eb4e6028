"""A front door that is killed takes a tenth of a second of attempts along; while any worker lives, the stack is guarded."""

import asyncio
from itertools import count
from uuid import UUID

import aiohttp
import asyncpg

from shared.clock import monotonic
from tests.acceptance.client import Client, judged, until
from tests.acceptance.stacks import RunningStack

LOST_AT_MOST_S = 0.1


async def written(client: Client) -> set[str]:
    connection = await asyncpg.connect(client.stack.postgres_dsn)
    try:
        return {code for (code,) in await connection.fetch("SELECT code FROM redemption_attempts")}
    finally:
        await connection.close()


async def serves(client: Client) -> bool:
    try:
        return (await client.send("GET", f"{client.stack.base_url}/readyz", {})).status == 200
    except aiohttp.ClientError:
        return False


async def test_a_killed_front_door_takes_a_tenth_of_a_second_of_attempts_along(hurt: RunningStack) -> None:
    answered: dict[str, float] = {}
    async with judged(hurt.stack) as client:

        async def try_codes(guesser: int) -> None:
            for number in count():
                code = f"GUESS-{guesser}-{number}"
                try:
                    assert (await client.validate(code)).status in (404, 429)
                except (aiohttp.ClientError, TimeoutError):
                    return
                answered[code] = monotonic()

        guessing = [asyncio.create_task(try_codes(guesser)) for guesser in range(16)]
        await asyncio.sleep(1.0)
        for door in hurt.processes("frontdoor"):
            door.kill()
        killed = monotonic()
        await asyncio.gather(*guessing)
        kept = await written(client)
        await until(lambda: serves(client), within_s=30)
    lost = {code: killed - at for code, at in answered.items() if code not in kept}
    assert len(kept) > 100
    assert max(lost.values(), default=0.0) <= LOST_AT_MOST_S, (len(lost), len(kept), max(lost.values()))


async def test_a_stack_is_guarded_while_any_of_its_workers_lives(hurt: RunningStack) -> None:
    async with judged(hurt.stack) as client:
        campaign = await client.campaign()
        connection = await asyncpg.connect(client.stack.postgres_dsn)
        try:
            await connection.execute(
                "INSERT INTO campaign_traffic SELECT $1, date_trunc('minute', now()) - n * interval '1 minute', 1 "
                "FROM generate_series(2, 100) AS n",
                UUID(campaign["campaign_id"]),
            )
            hurt.processes("worker")[0].kill()
            # All but a few of a thousand, as if other front doors had counted them; in the next minute too, which may be near.
            await connection.execute(
                "INSERT INTO campaign_traffic SELECT $1, date_trunc('minute', now()) + n * interval '1 minute', 995 "
                "FROM generate_series(0, 1) AS n",
                UUID(campaign["campaign_id"]),
            )
            for _ in range(5):
                assert (await client.validate(campaign["code"])).status == 200
        finally:
            await connection.close()

        async def paused() -> bool:
            reply = await client.validate(campaign["code"])
            return reply.status == 409 and reply.body["code"] == "campaign_paused"

        await until(paused)
        told = (await client.administer("GET", f"/api/v1/campaigns/{campaign['campaign_id']}", {})).body
        assert told["status"] == "paused"
        assert told["paused_by_guard"]["attempts"] >= 1_000
        await client.put(campaign, "resume")
        assert (await client.validate(campaign["code"])).status == 200

"""A code is good at every front door from the moment it is reported as made, while guesses are answered from memory."""

import asyncio
import subprocess
import sys
from itertools import cycle

import aiohttp

from tests.acceptance.client import Client, until
from tests.acceptance.office import mint, rows
from tests.acceptance.stacks import RunningStack, extra_door

MINTS, AT_ONCE = 1_000, 25


async def ready(url: str) -> None:
    async with aiohttp.ClientSession(url) as session:
        while True:
            async with session.get("/readyz") as answer:
                if (await answer.json())["checks"]["codes"]:
                    return
            await asyncio.sleep(0.02)


async def test_a_thousand_codes_are_valid_at_all_front_doors_as_soon_as_each_is_minted(
    client: Client, two_doors: list[str]
) -> None:
    await asyncio.gather(*map(ready, two_doors))
    campaign = await client.campaign(type="pool", total_limit=None)
    path, numbers, seen = f"/api/v1/campaigns/{campaign['campaign_id']}/codes", iter(range(MINTS)), []

    async def mint_and_try() -> None:
        for number, there in zip(numbers, cycle(two_doors), strict=False):
            minted = await client.administer("POST", path, {"user": client.user(f"user-{number}")})
            [code] = minted.body["codes"]
            answers = [await client.validate(code, client.user(f"user-{number}"), base_url=url) for url in (there, None)]
            seen.append([answer.status for answer in answers])

    await asyncio.gather(*(mint_and_try() for _ in range(AT_ONCE)))
    assert seen == [[200, 200]] * MINTS


async def test_a_new_campaigns_code_is_known_at_all_front_doors(client: Client, two_doors: list[str]) -> None:
    await asyncio.gather(*map(ready, two_doors))
    for _ in range(20):
        campaign = await client.campaign()
        answers = [await client.validate(campaign["code"], base_url=url) for url in two_doors]
        assert [answer.status for answer in answers] == [200, 200]


async def test_doors_are_waited_for_while_they_live_and_no_longer(client: Client, shared_stack: RunningStack) -> None:
    living = {row["door_id"] for row in await rows(client, "SELECT door_id FROM doors WHERE seen_until > clock_timestamp()")}
    with extra_door(shared_stack.stack) as url:
        await ready(url)
        now = {row["door_id"] for row in await rows(client, "SELECT door_id FROM doors WHERE seen_until > clock_timestamp()")}
        assert len(now - living) == 1
    assert not await rows(client, "SELECT FROM doors WHERE door_id = $1", *(now - living))


async def test_the_doors_of_a_machine_go_on_from_a_snapshot_that_a_command_builds(
    client: Client, shared_stack: RunningStack
) -> None:
    campaign = await client.campaign(type="pool", total_limit=None)
    codes = await mint(client, campaign, count=50)
    command = (sys.executable, "-m", "lastslot", "filter", "build", "--data-dir", str(shared_stack.directory / "data"))
    building = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    said, _ = await building.communicate()
    assert building.returncode == 0
    built = int(said.split()[0].replace(b",", b""))
    assert built >= 51

    async def mapped() -> bool:
        async with aiohttp.ClientSession(client.stack.admin_url) as session, session.get("/metrics") as answer:
            return f"lastslot_filter_snapshot_codes {built:.1f}" in await answer.text()

    await until(mapped)
    for code in [*codes, *await mint(client, campaign, users=[client.user("ann")])]:
        assert (await client.validate(code, client.user("ann"))).status == 200
    assert (await client.validate("NO-SUCH-CODE")).status == 404

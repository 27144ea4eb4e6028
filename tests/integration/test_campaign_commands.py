import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from frontdoor.campaign_shapes import CampaignPage, CampaignShown
from lastslot.campaign_commands import campaign
from lastslot.campaign_office import Refused
from lastslot.datadir import tell_stack
from lastslot.running import Stack
from shared import attempts, velocity
from shared.domain.velocity import Policy
from shared.postgres import Pool
from shared.redis_client import Redis
from tests.integration.campaign_door import SECRET, door_of, served, token


class Terminal:
    """Someone who types `lastslot campaign …` next to a data directory."""

    def __init__(self, data_dir: Path, url: str) -> None:
        self.data_dir = data_dir
        self.url = url

    async def types(self, command: str, *words: str) -> Result:
        arguments = [command, "--data-dir", str(self.data_dir), *words]
        return await asyncio.to_thread(CliRunner().invoke, campaign, arguments)

    async def reads(self, command: str, *words: str) -> Any:
        result = await self.types(command, "--json", *words)
        assert result.exit_code == 0, result.output
        return msgspec.json.decode(result.stdout)


@pytest.fixture
async def terminal(dsn: str, pool: Pool, redis: Redis, tmp_path: Path) -> AsyncIterator[Terminal]:
    async with served(door_of(dsn, pool, redis)) as client:
        url = str(client.make_url("/"))
        tell_stack(tmp_path, Stack(url, url, dsn, "redis://unused", SECRET, token("admin")))
        yield Terminal(tmp_path, url)


async def create(terminal: Terminal, code: str = "BLACKFRI100", *words: str) -> CampaignShown:
    terms = ["--amount", "1000", "--currency", "USD", "--limit", "1000"]
    return msgspec.convert(await terminal.reads("create", code, *terms, *words), CampaignShown)


async def test_a_campaign_is_created_from_local_wall_times(terminal: Terminal) -> None:
    made = await create(
        terminal,
        "blackfri100",
        *("--name", "Black Friday", "--timezone", "Asia/Tokyo", "--per-user", "2"),
        *("--starts-at", "2026-11-27T00:00", "--release-on-refund"),
    )
    assert (made.code, made.name, made.total_limit, made.per_user_limit) == ("BLACKFRI100", "Black Friday", 1000, 2)
    assert made.starts_at is not None
    assert made.starts_at.isoformat() == "2026-11-26T15:00:00+00:00"
    assert (made.release_on_failure, made.release_on_refund) == (False, True)


async def test_a_table_shows_the_wall_of_the_campaigns_zone_and_names_as_they_are(terminal: Terminal) -> None:
    name = "[red]50 % [/red] off"
    await create(terminal, "TOKYO", "--name", name, "--timezone", "Asia/Tokyo", "--starts-at", "2026-11-27T00:00")
    shown = (await terminal.types("show", "tokyo")).output
    assert "2026-11-27 00:00:00 Asia/Tokyo" in shown
    assert name in shown
    listed = (await terminal.types("list")).output
    assert "TOKYO" in listed
    assert "0 of 1,000" in listed


async def test_a_campaign_is_named_by_its_id_or_by_its_code(terminal: Terminal) -> None:
    made = await create(terminal)
    for named in (str(made.campaign_id), "blackfri100"):
        assert msgspec.convert(await terminal.reads("show", named), CampaignShown) == made


async def test_a_campaign_is_changed_paused_resumed_counted_and_ended(terminal: Terminal) -> None:
    await create(terminal)
    changed = await terminal.reads("change", "BLACKFRI100", "--unlimited", "--percent", "20", "--keep-on-failure", "--no-end")
    assert (changed["total_limit"], changed["discount"]["value"], changed["ends_at"]) == (None, 20, None)
    for command, status in (("pause", "paused"), ("resume", "active"), ("end", "ended")):
        assert (await terminal.reads(command, "BLACKFRI100"))["status"] == status
    assert (await terminal.reads("stats", "BLACKFRI100"))["remaining"] is None
    assert "unlimited" in (await terminal.types("stats", "BLACKFRI100")).output


async def test_a_launch_is_announced_by_the_walls_of_the_campaigns_zone(terminal: Terminal) -> None:
    await create(terminal, "TOKYO", "--timezone", "Asia/Tokyo")
    times = ("--starts-at", "2999-11-27T09:00", "--ends-at", "2999-11-27T10:00")
    said = await terminal.reads("launch", "tokyo", *times)
    assert said["launches"] == [{"starts_at": "2999-11-27T00:00:00Z", "ends_at": "2999-11-27T01:00:00Z"}]
    shown = (await terminal.types("show", "tokyo")).output
    assert "2999-11-27 09:00:00 Asia/Tokyo to 2999-11-27 10:00:00 Asia/Tokyo" in shown
    refused = (await terminal.types("launch", "tokyo", "--starts-at", "2999-11-27T09:00", "--ends-at", "soon")).exception
    assert isinstance(refused, Refused)
    assert "ends_at" in str(refused)


async def test_a_pause_by_the_guard_is_shown_with_its_numbers(terminal: Terminal, pool: Pool) -> None:
    made = await create(terminal, "SAVE10", "--timezone", "Asia/Tokyo")
    await pool.execute(
        "INSERT INTO campaign_traffic SELECT $1, date_trunc('minute', now()) - n * interval '1 minute', 2 "
        "FROM generate_series(2, 100) AS n",
        made.campaign_id,
    )
    async with pool.acquire() as connection:
        await attempts.write(connection, [], {made.campaign_id: 12_345})
    assert await velocity.pause(pool, made.campaign_id, Policy(factor=100, floor=1_000)) is not None
    shown = " ".join((await terminal.types("show", "save10")).output.split())
    assert "status paused" in shown
    assert "Asia/Tokyo: 12,345 attempts in a minute, where 2.0 were usual" in shown


async def test_a_list_goes_on_behind_a_campaign(terminal: Terminal) -> None:
    made = [await create(terminal, f"CODE{number}") for number in range(3)]
    page = msgspec.convert(await terminal.reads("list", "--limit", "2"), CampaignPage)
    assert page.campaigns == [made[2], made[1]]
    page = msgspec.convert(await terminal.reads("list", "--after", str(page.next_after)), CampaignPage)
    assert page.campaigns == [made[0]]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("create", "X", "--limit", "5"), "--percent"),
        (("create", "X", "--percent", "5"), "--unlimited"),
        (("create", "X", "--percent", "5", "--amount", "5", "--limit", "5"), "one discount"),
        (("create", "X", "--percent", "5", "--limit", "5", "--unlimited"), "one limit"),
        (("create", "X", "--limit", "5", "--currency", "EUR"), "--currency"),
        (("change", "X"), "different"),
        (("change", "X", "--no-end", "--ends-at", "2026-11-27T00:00"), "taken away"),
    ],
)
async def test_options_that_say_too_little_or_too_much_are_refused(
    terminal: Terminal, words: tuple[str, ...], says: str
) -> None:
    result = await terminal.types(*words)
    assert result.exit_code == 2
    assert says in result.output


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("show", "NOWHERE"), "NOWHERE"),
        (("pause", "00000000-0000-0000-0000-000000000000"), "No campaign has this id"),
        (("create", "X", "--percent", "101", "--limit", "5"), "between 1 and 100 percent"),
        (("list", "--url", "http://127.0.0.1:1"), "does not answer"),
        (("list", "--url", "nonsense"), "does not answer"),
        (("list", "--token", "nonsense"), "token"),
        (("list", "--token", token("service")), "scope"),
    ],
)
async def test_a_refusal_is_told_in_its_own_words(terminal: Terminal, words: tuple[str, ...], says: str) -> None:
    error = (await terminal.types(*words)).exception
    assert isinstance(error, Refused)
    assert says in str(error)
    assert "\n" not in str(error)


async def test_the_command_prints_one_line_and_exits_with_1(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "lastslot", "campaign", "list", "--data-dir", str(tmp_path / "nothing")),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    printed, complained = await process.communicate()
    assert (process.returncode, printed) == (1, b"")
    assert complained.count(b"\n") == 1
    assert b"nothing" in complained

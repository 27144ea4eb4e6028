"""`lastslot codes …` and `lastslot segments …`, next to a data directory."""

import asyncio
import csv
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from lastslot import campaign_office, code_commands
from lastslot.campaign_office import Office, Refused, Unanswered
from lastslot.cli import cli
from lastslot.datadir import tell_stack
from lastslot.running import Stack
from shared.postgres import Pool
from shared.redis_client import Redis
from tests.integration.campaign_door import BODY, SECRET, Client, door_of, served, token


class Terminal:
    """Someone who types `lastslot …` next to a data directory."""

    def __init__(self, data_dir: Path, client: Client) -> None:
        self.data_dir = data_dir
        self.client = client

    async def types(self, room: str, command: str, *words: str, says: str | None = None) -> Result:
        arguments = [room, command, "--data-dir", str(self.data_dir), *words]
        return await asyncio.to_thread(CliRunner().invoke, cli, arguments, input=says)

    async def reads(self, *words: str, says: str | None = None) -> str:
        result = await self.types(*words, says=says)
        assert result.exit_code == 0, result.output
        return result.stdout

    async def campaign(self, kind: str, code: str | None = None) -> str:
        answer = await self.client.post("/api/v1/campaigns", json={**BODY, "type": kind, "code": code, "total_limit": None})
        body = await answer.json()
        assert answer.status == 201, body
        return str(body["campaign_id"])

    async def codes(self, campaign: str) -> list[dict[str, str]]:
        return list(csv.DictReader((await self.reads("codes", "export", campaign)).splitlines()))


@pytest.fixture
async def terminal(dsn: str, pool: Pool, redis: Redis, tmp_path: Path) -> AsyncIterator[Terminal]:
    async with served(door_of(dsn, pool, redis)) as client:
        url = str(client.make_url("/"))
        tell_stack(tmp_path, Stack(url, url, dsn, "redis://unused", SECRET, token("admin")))
        yield Terminal(tmp_path, client)


async def test_more_codes_than_a_call_makes_are_minted_by_several(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_commands, "MAX_CODES", 400)
    await terminal.campaign("pool", "EVERYBODY")
    told = await terminal.reads(
        "codes", "generate", "everybody", "--count", "1000", "--prefix", "x-", "--charset", "0123456789"
    )
    assert told == "1,000 codes minted\n"
    rows = await terminal.codes("everybody")
    assert len({row["code"] for row in rows}) == 1_000
    assert all(row["code"][:2] == "X-" and row["code"][2:].isdigit() for row in rows)


async def test_a_courtesy_code_is_printed_alone(terminal: Terminal) -> None:
    campaign = await terminal.campaign("unique")
    code = (await terminal.reads("codes", "generate", campaign, "--user", "ann", "--pattern", "VIP-######")).removesuffix("\n")
    assert [(row["code"], row["intended_user"]) for row in await terminal.codes(campaign)] == [(code, "ann")]


async def test_each_user_of_a_file_gets_a_code_however_long_the_names_are(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code_commands, "MAX_BODY_BYTES", 10_000)
    campaign = await terminal.campaign("unique")
    users = [f"{'ö' * (number % 200)} user {number}" for number in range(500)]
    (tmp_path / "users").write_text("\r\n".join([*users, ""]))
    told = await terminal.reads("codes", "generate", campaign, "--users-file", str(tmp_path / "users"))
    assert told == "500 codes minted\n"
    assert [row["intended_user"] for row in await terminal.codes(campaign)] == users


async def test_an_export_goes_into_a_file(terminal: Terminal, tmp_path: Path) -> None:
    campaign = await terminal.campaign("pool")
    await terminal.reads("codes", "generate", campaign, "--count", "5000")
    assert await terminal.reads("codes", "export", campaign, "--output", str(tmp_path / "codes.csv")) == ""
    assert len((tmp_path / "codes.csv").read_bytes().splitlines()) == 5_001


@pytest.mark.parametrize("words", [(), ("--count", "5", "--user", "ann"), ("--count", "0")])
async def test_options_that_say_too_little_or_too_much_are_refused(terminal: Terminal, words: tuple[str, ...]) -> None:
    assert (await terminal.types("codes", "generate", "X", *words)).exit_code == 2


async def test_a_refusal_half_way_says_what_is_minted(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_commands, "MAX_CODES", 6)
    campaign = await terminal.campaign("pool")
    error = (await terminal.types("codes", "generate", campaign, "--count", "20", "--pattern", "##")).exception
    assert isinstance(error, Refused)
    assert str(error).startswith("6 of 20 codes were minted, then: Codes would be guessed")


async def test_codes_whose_answer_was_lost_are_not_minted_twice(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_commands, "MAX_CODES", 6)
    monkeypatch.setattr(campaign_office, "_PAUSES_S", (0.0,))
    answered, heard = Office.ask, set()

    async def losing(office: Office, shape: Any, method: str, path: str = "", **request: Any) -> Any:
        answer = await answered(office, shape, method, path, **request)
        key = request.get("headers", {}).get("Idempotency-Key")
        if key is not None and key not in heard:
            heard.add(key)
            raise Unanswered("the line was cut")
        return answer

    monkeypatch.setattr(Office, "ask", losing)
    campaign = await terminal.campaign("pool")
    assert await terminal.reads("codes", "generate", campaign, "--count", "20") == "20 codes minted\n"
    assert len(await terminal.codes(campaign)) == 20
    assert len(heard) == 4


async def test_a_minting_that_was_broken_off_goes_on_by_its_key(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_commands, "MAX_CODES", 6)
    campaign, words = await terminal.campaign("pool"), ("--count", "20", "--pattern", "##")
    error = (await terminal.types("codes", "generate", campaign, *words, "--key", "spring")).exception
    assert str(error).endswith("To go on, say the same with --key spring")
    words = ("--count", "10", "--pattern", "##")
    assert await terminal.reads("codes", "generate", campaign, *words, "--key", "spring") == "10 codes minted\n"
    assert len(await terminal.codes(campaign)) == 10


async def test_segments_are_loaded_listed_and_deleted(terminal: Terminal) -> None:
    assert await terminal.reads("segments", "load", "vip", "-", says="user_id,since\nann,2026-10-01\nbob,\n") == (
        "2 users belong to vip\n"
    )
    listed = await terminal.reads("segments", "list")
    assert "vip" in listed
    assert " 2 " in listed
    assert await terminal.reads("segments", "delete", "vip") == "2 users belonged to vip\n"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("segments", "load", "vip", "-"), "Line 2"),
        (("segments", "load", "a.b", "-"), "letters"),
        (("segments", "load", "a/b", "-"), "letters"),
        (("segments", "delete", "nobody"), "No segment"),
        (("codes", "export", "NOWHERE"), "NOWHERE"),
        (("codes", "export", "00000000-0000-0000-0000-000000000000"), "No campaign has this id"),
        (("codes", "generate", "NOWHERE", "--users-file", "-"), "NOWHERE"),
    ],
)
async def test_a_refusal_is_told_in_its_own_words(terminal: Terminal, words: tuple[str, ...], says: str) -> None:
    error = (await terminal.types(*words, says="user_id\n\0\n")).exception
    assert isinstance(error, Refused)
    assert says in str(error)

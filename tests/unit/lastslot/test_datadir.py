import asyncio
import os
import stat
from pathlib import Path

import msgspec
import pytest

from lastslot.datadir import DirectoryHeld, NoStack, find_stack, held, known_secrets, secrets_of, stack_of, tell_stack
from lastslot.running import Stack
from shared.errors import LastslotError

_STACK = Stack("http://127.0.0.1:1", "http://127.0.0.1:1", "postgresql://", "redis://", "secret", "token")


def test_who_comes_second_hears_who_was_first(tmp_path: Path) -> None:
    with held(tmp_path), pytest.raises(DirectoryHeld, match=rf"pid {os.getpid()}\)"), held(tmp_path):
        pass


def test_a_directory_is_free_again_once_it_was_let_go(tmp_path: Path) -> None:
    for _ in range(2):
        with held(tmp_path):
            pass


def test_a_number_of_a_dead_holder_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "up.lock").write_text("1\n")
    with held(tmp_path):
        assert (tmp_path / "up.lock").read_text() == f"{os.getpid()}\n"


def test_secrets_are_made_once_and_kept_from_others(tmp_path: Path) -> None:
    made = secrets_of(tmp_path)
    assert secrets_of(tmp_path) == made == known_secrets(tmp_path)
    assert len(made.jwt_secret) >= 32
    assert len({made.jwt_secret, made.postgres_password, made.redis_password}) == 3
    assert stat.S_IMODE((tmp_path / "secrets.json").stat().st_mode) == 0o600


def test_a_stack_is_told_to_who_owns_the_directory_also_after_an_earlier_one(tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text("{}")
    (tmp_path / "stack.json").chmod(0o644)
    tell_stack(tmp_path, _STACK)
    assert stack_of(tmp_path) == _STACK
    assert stat.S_IMODE((tmp_path / "stack.json").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["stack.json"]


def test_a_directory_where_nothing_was_started_says_how_to_start(tmp_path: Path) -> None:
    for ask in (known_secrets, stack_of):
        with pytest.raises(NoStack, match="start one with `lastslot up --data-dir"):
            ask(tmp_path)


@pytest.mark.parametrize("content", [b"{", b"{}", b"[]", b'"\xff"'])
async def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "stack.json").write_bytes(content)
    with pytest.raises(LastslotError, match=r"stack\.json cannot be read"):
        await find_stack(tmp_path)


async def test_the_stack_that_serves_a_directory_is_found_and_one_that_is_gone_is_not(tmp_path: Path) -> None:
    listener = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with listener:
        url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        told = msgspec.structs.replace(_STACK, base_url=url)
        tell_stack(tmp_path, told)
        assert await find_stack(tmp_path) == told
    assert await find_stack(tmp_path) is None


async def test_a_directory_that_never_had_a_stack_has_none(tmp_path: Path) -> None:
    assert await find_stack(tmp_path / "nowhere") is None

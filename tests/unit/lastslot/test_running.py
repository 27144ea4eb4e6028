"""Finding the stack that runs, and owning one for a while."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from lastslot.running import Stack, StackFailed, address, find_stack, own_stack


async def tell(directory: Path, port: int) -> Stack:
    url = f"http://127.0.0.1:{port}"
    stack = Stack(url, url, "postgresql://", "redis://", "secret", "token")
    await asyncio.to_thread((directory / "stack.json").write_bytes, msgspec.json.encode(stack))
    return stack


async def test_the_stack_that_serves_a_directory_is_found_and_one_that_is_gone_is_not(tmp_path: Path) -> None:
    listener = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with listener:
        told = await tell(tmp_path, listener.sockets[0].getsockname()[1])
        assert await find_stack(tmp_path) == told
    assert await find_stack(tmp_path) is None


async def test_a_directory_that_never_had_a_stack_has_none(tmp_path: Path) -> None:
    assert await find_stack(tmp_path / "nowhere") is None


async def test_a_stack_that_does_not_come_up_says_why() -> None:
    with pytest.raises(StackFailed, match="no-such-option"):
        async with own_stack("--no-such-option"):
            pytest.fail("it came up")


def test_an_address_is_a_host_and_a_port() -> None:
    assert address("http://127.0.0.1:8080") == ("127.0.0.1", 8080)
    assert address("http://example.org") == ("example.org", 80)

"""Owning a stack for a while."""

import pytest

from lastslot.running import StackFailed, address, own_stack


async def test_a_stack_that_does_not_come_up_says_why() -> None:
    with pytest.raises(StackFailed, match="no-such-option"):
        async with own_stack("--no-such-option"):
            pytest.fail("it came up")


def test_an_address_is_a_host_and_a_port() -> None:
    assert address("http://127.0.0.1:8080") == ("127.0.0.1", 8080)
    assert address("http://example.org") == ("example.org", 80)

"""A stack for all of these tests, a client for each, and the verdict after each."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from lastslot.running import Stack
from tests.acceptance.client import Client, audited, remembered
from tests.acceptance.raw_door import Door
from tests.acceptance.stacks import RunningStack, extra_door, started_stack


@pytest.fixture(scope="package")
def shared_stack() -> Iterator[RunningStack]:
    """One stack for all tests that break nothing."""
    with started_stack() as running:
        yield running


@pytest.fixture(scope="package")
def stack(shared_stack: RunningStack) -> Stack:
    """What stack.json says of the shared stack."""
    return shared_stack.stack


@pytest.fixture(scope="package")
def two_doors(stack: Stack) -> Iterator[list[str]]:
    """Two more front doors of the shared stack, each on a port of its own, so that a test can choose."""
    with extra_door(stack) as one, extra_door(stack) as other:
        yield [one, other]


@pytest.fixture(scope="module")
def hurt() -> Iterator[RunningStack]:
    """A stack of this module's own, to be hurt."""
    with started_stack() as running:
        yield running


@pytest.fixture(scope="module")
def sound(stack: Stack) -> Iterator[Stack]:
    """The shared stack, whose database is audited when all tests of a file are over.

    Its ledger only grows and nothing leaves its tables, so what one of them broke is still there; to read all of it after each
    took longer than many of them.
    """
    yield stack
    asyncio.run(audited(stack))


@pytest.fixture
async def client(sound: Stack) -> AsyncIterator[Client]:
    """A client of the shared stack, judged when the test is over."""
    async with remembered(sound) as client:
        yield client


@pytest.fixture
async def door(client: Client) -> Door:
    """The shared stack for those who speak badly, and a campaign at which everybody else wins."""
    return Door(client, await client.campaign(total_limit=None, per_user_limit=1_000))

"""A stack for the whole session, a client for each test, and the verdict after each test."""

from collections.abc import AsyncIterator, Iterator

import pytest

from lastslot.running import Stack
from tests.acceptance.client import Client, judged
from tests.acceptance.raw_door import Door
from tests.acceptance.stacks import RunningStack, extra_door, started_stack


@pytest.fixture(scope="session")
def shared_stack() -> Iterator[RunningStack]:
    """One stack for all tests that break nothing."""
    with started_stack() as running:
        yield running


@pytest.fixture(scope="session")
def stack(shared_stack: RunningStack) -> Stack:
    """What stack.json says of the session's stack."""
    return shared_stack.stack


@pytest.fixture(scope="session")
def two_doors(stack: Stack) -> Iterator[list[str]]:
    """Two more front doors of the session's stack, each on a port of its own, so that a test can choose."""
    with extra_door(stack) as one, extra_door(stack) as other:
        yield [one, other]


@pytest.fixture(scope="module")
def hurt() -> Iterator[RunningStack]:
    """A stack of this module's own, to be hurt."""
    with started_stack() as running:
        yield running


@pytest.fixture
async def client(stack: Stack) -> AsyncIterator[Client]:
    """A client of the session's stack, judged when the test is over."""
    async with judged(stack) as client:
        yield client


@pytest.fixture
async def door(client: Client) -> Door:
    """The session's stack for those who speak badly, and a campaign at which everybody else wins."""
    return Door(client, await client.campaign(total_limit=None, per_user_limit=1_000))

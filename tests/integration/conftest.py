"""Clients of the test's own database and of an empty Redis (the servers are `tests/conftest.py`'s)."""

from collections.abc import AsyncIterator

import pytest

from claim_workers.consumer import Stores
from shared.postgres import Pool, close_pool, open_pool
from shared.redis_client import Redis, open_redis
from tests.integration.engine import opened_stores


@pytest.fixture
def dsn(postgres_dsn: str) -> str:
    """DSN of a database of the test's own, at this version's schema."""
    return postgres_dsn


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[Pool]:
    """A pool on the test's own database."""
    pool = await open_pool(dsn, 8)
    yield pool
    await close_pool(pool)


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """A client of an empty Redis."""
    async with open_redis(redis_url) as client:
        yield client


@pytest.fixture
async def stores(postgres_dsn: str, redis_url: str) -> AsyncIterator[Stores]:
    """What one worker process connects to."""
    async with opened_stores(postgres_dsn, redis_url) as stores:
        yield stores

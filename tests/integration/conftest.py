"""Real servers for the tests of this room: one Postgres and one Redis for the session, a database of its own for each test."""

from collections.abc import AsyncIterator, Iterator
from itertools import count
from urllib.parse import urlsplit

import psycopg
import pytest

from lastslot.embedded import postgres_server, redis_server
from shared.migrations.run import migrate
from shared.postgres import Pool, close_pool, open_pool
from shared.redis_client import Redis, open_redis

_numbers = count(1)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """DSN of a database at this version's schema that stays empty: the others are copied from it."""
    directory = tmp_path_factory.mktemp("postgres")
    server = postgres_server(directory / "data", "integration", directory / "log")
    server.start()
    try:
        migrate(server.url)
        yield server.url
    finally:
        server.stop()


@pytest.fixture
def dsn(postgres: str) -> Iterator[str]:
    """DSN of a database of the test's own."""
    name = f"test_{next(_numbers)}"
    administration = urlsplit(postgres)._replace(path="/postgres").geturl()
    with psycopg.connect(administration, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE lastslot")
        yield urlsplit(postgres)._replace(path=f"/{name}").geturl()
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[Pool]:
    """A pool on the test's own database."""
    pool = await open_pool(dsn, 8)
    yield pool
    await close_pool(pool)


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a Redis for all tests; each finds it empty through `redis`."""
    directory = tmp_path_factory.mktemp("redis")
    server = redis_server(directory / "data", "integration", directory / "log")
    server.start()
    try:
        yield server.url
    finally:
        server.stop()


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """A client of an empty Redis."""
    async with open_redis(redis_url) as client:
        await client.flushall()
        yield client

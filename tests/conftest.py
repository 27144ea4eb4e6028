"""Servers and databases for every test: one Postgres and one Redis a session, a fresh database and an empty Redis a test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from lastslot.embedded import EmbeddedServer
from tests.places import directory_for_servers
from tests.servers import embedded_postgres, embedded_redis, fresh_database, make_template, running

#: The order in which files are taken by those who run side by side: first what takes longest, lest it be waited for at the end;
#: last what shares a stack, lest its processes idle through all the rest.
_ORDER = (
    "tests/simulation",
    "tests/soak",
    "tests/acceptance/test_stack.py",
    "tests/acceptance/test_crash.py",
    "tests/acceptance/test_redis_away.py",
    "tests/integration",
    "tests/unit",
    "tests/acceptance",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: next(place for place, prefix in enumerate(_ORDER) if item.nodeid.startswith(prefix)))


@pytest.fixture(scope="session")
def server_directory() -> Iterator[Path]:
    """Where the session's servers keep what they have."""
    with directory_for_servers() as directory:
        yield directory


@pytest.fixture(scope="session")
def session_postgres(server_directory: Path) -> Iterator[EmbeddedServer]:
    """The session's Postgres. Tests that harm a server start one of their own (`tests.servers.embedded_postgres`)."""
    with running(embedded_postgres(server_directory)) as server:
        make_template(server.url)
        yield server


@pytest.fixture(scope="session")
def session_redis(server_directory: Path) -> Iterator[EmbeddedServer]:
    """The session's Redis. Tests that harm a server start one of their own (`tests.servers.embedded_redis`)."""
    with running(embedded_redis(server_directory)) as server:
        yield server


@pytest.fixture
def postgres_dsn(session_postgres: EmbeddedServer) -> Iterator[str]:
    """A fresh database at this version's schema."""
    with fresh_database(session_postgres.url) as dsn:
        yield dsn


@pytest.fixture
def blank_dsn(session_postgres: EmbeddedServer) -> Iterator[str]:
    """A fresh database without any table."""
    with fresh_database(session_postgres.url, migrated=False) as dsn:
        yield dsn


@pytest.fixture
def redis_url(session_redis: EmbeddedServer) -> str:
    """An empty Redis (scripts included)."""
    with redis.Redis.from_url(session_redis.url) as client:
        client.flushall()
        client.script_flush()
    return session_redis.url

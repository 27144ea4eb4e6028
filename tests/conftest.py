"""Servers and databases for every test: one Postgres and one Redis a session, a fresh database and an empty Redis a test."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from xdist.scheduler import LoadFileScheduling

from lastslot.embedded import EmbeddedServer
from tests.places import directory_for_servers
from tests.servers import embedded_postgres, embedded_redis, fresh_database, make_template, running

#: Acceptance tests with stacks of their own; all others share one.
_OWN_STACK = tuple(f"tests/acceptance/test_{what}.py" for what in ("stack", "crash", "redis_away", "postgres_away", "attempts"))

_SHARED_STACK = "tests/acceptance"

#: The order in which files are taken by those who run side by side: first what takes longest, lest it be waited for at the end.
_ORDER = (_SHARED_STACK, "tests/simulation", "tests/soak", *_OWN_STACK, "tests/integration", "tests/unit")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    astray = [item.nodeid for item in items if item.get_closest_marker("alone") and not item.nodeid.startswith(_SHARED_STACK)]
    if astray:
        raise pytest.UsageError(f"`make test` looks for tests that run alone in {_SHARED_STACK}, and not for {astray}")
    items.sort(key=lambda item: _ORDER.index(_place(item.nodeid)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    return _OneStack(config, log)


class _OneStack(LoadFileScheduling):  # type: ignore[misc]
    """File by file; but what shares a stack is done by one process, one file after the other.

    To start a stack takes as much as many tests do, and one that idles a tenth of a core.
    """

    def _split_scope(self, nodeid: str) -> str:
        return _SHARED_STACK if _place(nodeid) == _SHARED_STACK else str(super()._split_scope(nodeid))


def _place(nodeid: str) -> str:
    return max((prefix for prefix in _ORDER if nodeid.startswith(prefix)), key=len)


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


@pytest.fixture(scope="session")
def administrator(session_postgres: EmbeddedServer) -> Iterator[psycopg.Connection]:
    """The connection by which the session's databases are made and dropped."""
    with psycopg.connect(session_postgres.url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def postgres_dsn(session_postgres: EmbeddedServer, administrator: psycopg.Connection) -> Iterator[str]:
    """A fresh database at this version's schema."""
    with fresh_database(session_postgres.url, over=administrator) as dsn:
        yield dsn


@pytest.fixture
def blank_dsn(session_postgres: EmbeddedServer, administrator: psycopg.Connection) -> Iterator[str]:
    """A fresh database without any table."""
    with fresh_database(session_postgres.url, migrated=False, over=administrator) as dsn:
        yield dsn


@pytest.fixture
def redis_url(session_redis: EmbeddedServer) -> str:
    """An empty Redis (scripts included)."""
    with redis.Redis.from_url(session_redis.url) as client:
        client.flushall()
        client.script_flush()
    return session_redis.url

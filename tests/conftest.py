"""Servers and databases for every test: one Postgres and one Redis a session, a fresh database and an empty Redis a test."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from lastslot.embedded import EmbeddedServer
from tests.servers import embedded_postgres, embedded_redis, fresh_database, make_template, running

#: How much memory must be left for the session's servers to be kept in it; they take a tenth of that.
ROOMY_BYTES = 4 * 2**30


@pytest.fixture(scope="session")
def server_directory() -> Iterator[Path]:
    """Not below pytest's own, which it closes to others: as root, Postgres runs as another account and must pass through.

    In memory where there is plenty: a database is made for almost every test, and a slow disk would take most of their time.
    """
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > ROOMY_BYTES
    directory = Path(tempfile.mkdtemp(prefix="lastslot-tests-", dir=memory if roomy else None))
    yield directory
    shutil.rmtree(directory)


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

"""Real Postgres and Redis for tests: started once a session, on a directory that goes with it."""

import itertools
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from lastslot.embedded import EmbeddedServer, postgres_server, redis_server
from shared.migrations.run import migrate

PASSWORD = "only-for-tests"
_TEMPLATE = "migrated"
_numbers = itertools.count(1)


@contextmanager
def running(server: EmbeddedServer) -> Iterator[EmbeddedServer]:
    """The server, answering, and stopped afterwards whatever state the test left it in."""
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def frozen(server: EmbeddedServer) -> Iterator[None]:
    """The server does nothing, and hears what was said meanwhile afterwards."""
    pid = server.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def embedded_postgres(directory: Path) -> EmbeddedServer:
    """A Postgres of its own, not started yet: for tests that stop, freeze or kill it."""
    return postgres_server(directory / "postgres", PASSWORD, directory / "postgres.log")


def embedded_redis(directory: Path) -> EmbeddedServer:
    """A Redis of its own, not started yet: for tests that stop, freeze or kill it."""
    return redis_server(directory / "redis", PASSWORD, directory / "redis.log")


def make_template(server_dsn: str) -> None:
    """Migrate once; each test's database is then a copy, which costs some ten milliseconds."""
    _administer(server_dsn, sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_TEMPLATE)))
    migrate(named(server_dsn, _TEMPLATE))


@contextmanager
def fresh_database(server_dsn: str, *, migrated: bool = True, over: psycopg.Connection | None = None) -> Iterator[str]:
    """The DSN of a database that nobody has used; it is dropped afterwards, whoever is still connected.

    `over`: a connection of whoever makes many, for to connect takes as long as to make one.
    """
    name = f"test_{next(_numbers)}"
    template = _TEMPLATE if migrated else "template1"
    _administer(
        server_dsn,
        sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(sql.Identifier(name), sql.Identifier(template)),
        over,
    )
    try:
        yield named(server_dsn, name)
    finally:
        _administer(server_dsn, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)), over)


def named(dsn: str, database: str) -> str:
    """The same server's DSN for another database."""
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{database}"))


def _administer(dsn: str, statement: sql.Composed, over: psycopg.Connection | None = None) -> None:
    with nullcontext(over) if over is not None else psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statement)

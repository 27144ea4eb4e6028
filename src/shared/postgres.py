"""Connections to Postgres: how they are made, and what a server must promise before we trust it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import asyncpg
import msgspec
from asyncpg.pool import PoolConnectionProxy

from shared.errors import DurabilityOff, SchemaMissing, StoreAway

SCHEMA_VERSION = "0009"

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

#: What a call raises when there was no answer, or none to what was asked: a transaction under way may have been committed.
NO_ANSWER = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    # A disk or a page that is bad, a quota that is used up, a standby that takes no writes: no claim is to blame for these.
    asyncpg.PostgresSystemError,
    asyncpg.InternalServerError,
    asyncpg.ReadOnlySQLTransactionError,
    # asyncpg's word for a server that said goodbye between two messages.
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
    # A connection that was made anew is to a server that may lose what it says is committed: no answer counts.
    DurabilityOff,
)

#: How long a statement, or a transaction that went quiet (a frozen owner would block a takeover for ever), may take.
SERVER_SETTINGS = {
    "application_name": "lastslot",
    "statement_timeout": "30s",
    "idle_in_transaction_session_timeout": "5s",
    "jit": "off",
    "plan_cache_mode": "force_generic_plan",
    # Every statement of the engine looks rows up by key. A plan made while a table was small must not read all of it later.
    "enable_seqscan": "off",
    # Nor is there a bitmap between an index and what it holds already: few rows are looked up at a time.
    "enable_bitmapscan": "off",
}

_LOOK_WITHIN_S = 2.0
_CLOSE_WITHIN_S = 5.0


async def open_pool(dsn: str, size: int, *, lock_wait_s: float | None = None, quiet_s: float | None = None) -> Pool:
    """A pool of at most `size` connections to a durable server at this version's schema.

    Its statements wait for a lock for at most `lock_wait_s` seconds (None: for as long as a statement may take), and its
    transactions are ended when they were quiet for `quiet_s` (None: as SERVER_SETTINGS says).
    Raises StoreAway when there is none, DurabilityOff or SchemaMissing when it does not qualify.
    """
    try:
        return await _open_pool(dsn, size, SERVER_SETTINGS | _bounds(lock_wait_s, quiet_s))
    except (OSError, TimeoutError, asyncpg.PostgresConnectionError, asyncpg.ClientConfigurationError) as error:
        raise StoreAway(f"Postgres cannot be reached (LASTSLOT_POSTGRES_DSN): {error or type(error).__name__}") from error


def _bounds(lock_wait_s: float | None, quiet_s: float | None) -> dict[str, str]:
    bounds = {"lock_timeout": lock_wait_s, "idle_in_transaction_session_timeout": quiet_s}
    return {name: f"{round(seconds * 1000)}ms" for name, seconds in bounds.items() if seconds is not None}


async def _open_pool(dsn: str, size: int, settings: dict[str, str]) -> Pool:
    pool = await asyncpg.create_pool(
        dsn,
        min_size=1,
        max_size=size,
        timeout=10,
        command_timeout=30,
        server_settings=settings,
        init=_prepare,
        reset=_nothing_to_reset,
    )
    try:
        async with pool.acquire(timeout=10) as connection:
            await _check_schema(connection)
    except BaseException:
        pool.terminate()
        raise
    return pool


@asynccontextmanager
async def for_a_look(pool: Pool) -> AsyncIterator[Connection]:
    """A connection for a look-up that somebody waits for: to get it and to use it takes two seconds at most.

    Raises TimeoutError after that, and what else NO_ANSWER names.
    """
    # The pool's own limit is also for taking the connection back, which is not cut short by the first.
    async with asyncio.timeout(_LOOK_WITHIN_S), pool.acquire(timeout=_LOOK_WITHIN_S) as connection:
        yield connection


async def close_pool(pool: Pool) -> None:
    """Close politely within some seconds, then hang up: `close` alone can wait for ever on a frozen server."""
    try:
        await asyncio.wait_for(pool.close(), _CLOSE_WITHIN_S)
    except TimeoutError:
        pool.terminate()


async def _prepare(connection: Connection) -> None:
    """Every connection is checked: what a server, or an administrator, changes holds for those made later."""
    await _check_durable(connection)
    await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=_encode, decoder=msgspec.json.decode, format="text")


async def _nothing_to_reset(connection: Connection) -> None:
    """No statement here leaves anything in its session behind, so giving a connection back costs no round trip."""


def _encode(value: Any) -> str:
    return msgspec.json.encode(value).decode()


async def _check_durable(connection: Connection) -> None:
    row = await connection.fetchrow("SELECT current_setting('fsync'), current_setting('synchronous_commit')")
    if row is None or row[0] != "on" or row[1] == "off":
        raise DurabilityOff


async def _check_schema(connection: Connection) -> None:
    if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
        raise SchemaMissing
    if await connection.fetchval("SELECT version_num FROM alembic_version") != SCHEMA_VERSION:
        raise SchemaMissing

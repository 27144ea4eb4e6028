import asyncio
import os
import sys
from pathlib import Path

import psycopg

from shared.migrations.run import migrate
from shared.postgres import SCHEMA_VERSION, close_pool, open_pool

_MIGRATE = "import sys; from shared.migrations.run import migrate; sys.stdin.read(); migrate(sys.argv[1])"
_SOURCES = Path(__file__).parents[2] / "src"


async def test_a_migrated_database_is_one_that_a_process_accepts(blank_dsn: str) -> None:
    migrate(blank_dsn)
    pool = await open_pool(blank_dsn, 2)
    assert await pool.fetchval("SELECT count(*) FROM partitions") == 16
    await close_pool(pool)


def test_migrating_again_changes_nothing(blank_dsn: str) -> None:
    migrate(blank_dsn)
    before = _schema(blank_dsn)
    migrate(blank_dsn)
    assert _schema(blank_dsn) == before
    assert before[0] == [(SCHEMA_VERSION,)]


async def test_processes_that_migrate_at_once_do_it_once(blank_dsn: str) -> None:
    migrators = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            _MIGRATE,
            blank_dsn,
            stdin=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(_SOURCES)},
        )
        for _ in range(4)
    ]
    # All are loaded and wait for the end of their input; it comes to all in the same moment.
    said = await asyncio.gather(*(migrator.communicate(b"") for migrator in migrators))
    assert [migrator.returncode for migrator in migrators] == [0] * 4, said
    versions, tables = _schema(blank_dsn)
    assert versions == [(SCHEMA_VERSION,)]
    assert ("redemptions",) in tables


def _schema(dsn: str) -> tuple[list[tuple[str]], list[tuple[str]]]:
    with psycopg.connect(dsn) as connection:
        versions = connection.execute("SELECT version_num FROM alembic_version").fetchall()
        tables = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1"
        ).fetchall()
    return versions, tables

"""Alembic's entry: one connection, one transaction, one migrator at a time."""

import psycopg
from alembic import context
from sqlalchemy import create_engine, pool, text

from shared.attempts import MONTHS_AHEAD

# Any number will do, so long as nothing else in the database locks it.
_MIGRATING = 4_105_202_611


def _upgrade() -> None:
    # psycopg is told the DSN itself: SQLAlchemy's URLs do not know all that libpq's do.
    dsn = context.config.attributes["dsn"]
    engine = create_engine("postgresql+psycopg://", creator=lambda: _connect(dsn), poolclass=pool.NullPool)
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATING})
        context.configure(connection=connection)
        with context.begin_transaction():
            context.run_migrations()
        connection.execute(text("SELECT make_attempt_months(:ahead)"), {"ahead": MONTHS_AHEAD})


def _connect(dsn: str) -> object:
    return psycopg.connect(dsn)


_upgrade()

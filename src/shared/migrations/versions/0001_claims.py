"""The tables of the claim engine."""

from shared.migrations.sql import run_sql_of

revision = "0001"
down_revision = None


def upgrade() -> None:
    run_sql_of(__file__)

"""Campaigns that are cut into slices, and move, while they run."""

from shared.migrations.sql import run_sql_of

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    run_sql_of(__file__)

"""Where partitions are wanted, and how shards fare."""

from shared.migrations.sql import run_sql_of

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    run_sql_of(__file__)

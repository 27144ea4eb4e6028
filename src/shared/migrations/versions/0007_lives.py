"""Until when a life of a partition may be vouched for."""

from shared.migrations.sql import run_sql_of

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    run_sql_of(__file__)

"""What still stands: rules that may bind a claim, what orders hold, and codes as they were made."""

from shared.migrations.sql import run_sql_of

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    run_sql_of(__file__)

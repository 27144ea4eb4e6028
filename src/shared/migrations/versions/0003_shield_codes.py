"""What front doors need to know by themselves which codes there are."""

from shared.migrations.sql import run_sql_of

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    run_sql_of(__file__)

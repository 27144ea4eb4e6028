"""Campaigns that are cut into slices, and move, while they run."""

from pathlib import Path

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    # Without parameters psycopg sends the text as it is: one file may hold many statements, and a % is just a %.
    text = Path(__file__).with_suffix(".sql").read_text()
    op.get_bind().exec_driver_sql(text, execution_options={"no_parameters": True})

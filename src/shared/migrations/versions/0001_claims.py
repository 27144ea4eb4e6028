"""The tables of the claim engine."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    # psycopg sends a statement without parameters as it is, so one file may hold many.
    op.get_bind().exec_driver_sql(Path(__file__).with_suffix(".sql").read_text())

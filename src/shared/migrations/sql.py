"""A migration is a file of SQL; the revision beside it, of the same name, only says where in the line it stands."""

from pathlib import Path

from alembic import op


def run_sql_of(revision: str) -> None:
    """Run the SQL beside the revision whose file this is."""
    # Without parameters psycopg sends the text as it is: one file may hold many statements, and a % is just a %.
    text = Path(revision).with_suffix(".sql").read_text()
    op.get_bind().exec_driver_sql(text, execution_options={"no_parameters": True})

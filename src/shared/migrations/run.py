"""Bring a database to this version's schema. Safe to call from any number of processes at once."""

from pathlib import Path

from alembic import command
from alembic.config import Config

_HERE = Path(__file__).parent


def migrate(dsn: str) -> None:
    """Run the migrations that `dsn` has not had, in order, each once, all in one transaction under an advisory lock."""
    config = Config()
    config.set_main_option("script_location", str(_HERE))
    config.attributes["dsn"] = dsn
    command.upgrade(config, "head")

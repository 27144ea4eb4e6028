"""`lastslot attempts …`: who tries codes, read from the database."""

import asyncio
import re
from datetime import timedelta
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from lastslot.cli import database, database_options
from lastslot.printing import empty_table, print_table
from shared.attempts import By, Offender
from shared.attempts import top as top_of
from shared.history import shown

_AGO = re.compile(r"([1-9][0-9]{0,5})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class _Ago(click.ParamType[timedelta]):
    """How long ago: a number and a unit."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        written = _AGO.fullmatch(str(value))
        if written is None:
            self.fail("must look like 30s, 15m, 1h or 7d", param, ctx)
        return timedelta(**{_UNITS[written[2]]: int(written[1])})


@click.group()
def attempts() -> None:
    """Look at who tries codes."""


@attempts.command()
@database_options
@click.option("--by", type=click.Choice(["user", "ip", "campaign"]), default="user", show_default=True, help="Whose they are.")
@click.option("--since", type=_Ago(), default="1h", show_default=True, help="For how long back: 30s, 15m, 1h, 7d.")
@click.option("--result", help="Only those with this result: a problem's code (unknown_code), or a status (201).")
@click.option("--limit", type=click.IntRange(1, 1_000), default=20, show_default=True, help="How many are told of.")
def top(postgres_dsn: str | None, data_dir: Path | None, by: By, since: timedelta, result: str | None, limit: int) -> None:
    """Print whose attempts were most, and what they came to."""
    found = asyncio.run(top_of(database(postgres_dsn, data_dir), by, since, result, limit))
    if not found:
        click.echo("no attempts")
        return
    print_table(_table(by, found))


def _table(by: By, found: list[Offender]) -> Table:
    table = empty_table(by, "attempts", "results", numbers=("attempts",))
    for each in found:
        results = ", ".join(f"{result} {number:,}" for result, number in each.results.items())
        table.add_row(Text(shown(each.subject)), Text(f"{each.attempts:,}"), Text(results))
    return table

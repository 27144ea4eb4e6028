"""`lastslot filter …`: the snapshot of all codes that the front doors of a machine share."""

import asyncio
from pathlib import Path

import click

from lastslot.cli import HERE, database, database_options
from shared.errors import LastslotError


@click.group()
def filter() -> None:
    """The snapshot of all codes that the front doors of this machine share."""


@filter.command()
@database_options
@click.option(
    "--filter-dir",
    envvar="LASTSLOT_FILTER_DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the front doors look for it.  [default: that of the stack]",
)
def build(postgres_dsn: str | None, data_dir: Path | None, filter_dir: Path | None) -> None:
    """Build it now; front doors take it up within a second."""
    from claim_workers.filter_building import build as build_now

    directory = filter_dir or (data_dir or HERE) / "filter"
    built = asyncio.run(build_now(database(postgres_dsn, data_dir), directory))
    if built is None:
        raise LastslotError("another process builds it at this moment")
    rate = built.codes / built.seconds
    click.echo(f"{built.codes:,} codes up to position {built.position} in {built.seconds:.1f} s ({rate:,.0f} codes/s)")

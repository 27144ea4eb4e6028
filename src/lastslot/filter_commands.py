"""`lastslot filter …`: the snapshot of all codes that the front doors of a machine share."""

import asyncio
from pathlib import Path

import click

from lastslot.datadir import stack_of
from shared.errors import LastslotError


@click.group()
def filter() -> None:
    """The snapshot of all codes that the front doors of this machine share."""


@filter.command()
@click.option("--postgres-dsn", envvar="LASTSLOT_POSTGRES_DSN", help="The database.")
@click.option(
    "--filter-dir",
    envvar="LASTSLOT_FILTER_DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the front doors look for it.",
)
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default="data",
    show_default=True,
    help="Of the stack whose database and directory it is, where these are not given.",
)
def build(postgres_dsn: str | None, filter_dir: Path | None, data_dir: Path) -> None:
    """Build it now; front doors take it up within a second."""
    from claim_workers.filter_building import build as build_now

    dsn = postgres_dsn or stack_of(data_dir).postgres_dsn
    built = asyncio.run(build_now(dsn, filter_dir or data_dir / "filter"))
    if built is None:
        raise LastslotError("another process builds it at this moment")
    rate = built.codes / built.seconds
    click.echo(f"{built.codes:,} codes up to position {built.position} in {built.seconds:.1f} s ({rate:,.0f} codes/s)")

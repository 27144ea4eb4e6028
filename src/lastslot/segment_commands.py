"""`lastslot segments …`: lists of users that campaigns' audiences are told by."""

import asyncio
from typing import BinaryIO
from urllib.parse import quote

import click
from rich.text import Text

from frontdoor.segments import SegmentList
from lastslot.campaign_office import Office, with_office
from lastslot.printing import empty_table, print_table
from shared.segments import Segment


@click.group()
def segments() -> None:
    """Load, list and delete segments."""


@segments.command()
@with_office("segments")
@click.argument("name")
@click.argument("file", type=click.File("rb"))
def load(office: Office, name: str, file: BinaryIO) -> None:
    """Put the list in FILE (CSV: user_id or user_id,since; - is stdin) in the place of segment NAME."""
    segment = asyncio.run(office.send(Segment, "PUT", f"/{quote(name, safe='')}", file))
    click.echo(f"{segment.members:,} users belong to {segment.name}")


@segments.command("list")
@with_office("segments")
def index(office: Office) -> None:
    """List segments, with how many users belong to each."""
    table = empty_table("segment", "users", "loaded", numbers=("users",))
    for segment in asyncio.run(office.ask(SegmentList, "GET")).segments:
        table.add_row(Text(segment.name), f"{segment.members:,}", f"{segment.loaded_at:%Y-%m-%d %H:%M:%S %Z}")
    print_table(table)


@segments.command()
@with_office("segments")
@click.argument("name")
def delete(office: Office, name: str) -> None:
    """Forget segment NAME."""
    segment = asyncio.run(office.ask(Segment, "DELETE", f"/{quote(name, safe='')}"))
    click.echo(f"{segment.members:,} users belonged to {segment.name}")

"""`lastslot codes …`: mint single-use codes and carry them away. A campaign is named by its id or by its code."""

import asyncio
import sys
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, TextIO
from uuid import uuid4

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from frontdoor.codes import MAX_BODY_BYTES, MAX_CODES
from lastslot.campaign_office import Office, Refused, with_office
from shared.codes import CodesMinted

#: What a call's body may hold beside the users.
_BESIDE_BYTES = 4_096
_JSON = {"Content-Type": "application/json"}


@click.group()
def codes() -> None:
    """Mint single-use codes, and carry them away."""


@codes.command()
@with_office("campaigns")
@click.argument("named", metavar="CAMPAIGN")
@click.option("--count", type=click.IntRange(min=1), help="How many, for whoever comes first.")
@click.option("--user", help="One, for this user alone; it is printed.")
@click.option("--users-file", type=click.File(encoding="utf-8"), help="One for each user in a file, a line each (- is stdin).")
@click.option("--pattern", help="How they look: each # becomes a random character.  [default: ############]")
@click.option("--charset", help="The characters to draw from.  [default: Crockford's base32]")
@click.option("--prefix", help="What goes before the pattern.")
@click.option("--key", default=lambda: str(uuid4()), help="A name for this: the same command with the same key goes on.")
def generate(
    office: Office, named: str, count: int | None, user: str | None, users_file: TextIO | None, key: str, **spelled: str | None
) -> None:
    """Mint codes for CAMPAIGN."""
    if [count, user, users_file].count(None) != 2:
        raise click.UsageError("say how many or for whom: one of --count, --user and --users-file")
    path = f"{asyncio.run(office.path_of(named))}/codes"
    spelling = {name: value for name, value in spelled.items() if value is not None}
    if user is not None:
        one = asyncio.run(office.insist(CodesMinted, path, key, json={"user": user, **spelling}))
        click.echo("".join(one.codes or ()))
        return
    users = [] if users_file is None else _users(users_file)
    bodies = (body | spelling for body in _bodies(count, users))
    minted = _mint(office, path, count or len(users), bodies, key)
    click.echo(f"{minted:,} codes minted")


@codes.command()
@with_office("campaigns")
@click.argument("named", metavar="CAMPAIGN")
@click.option("--output", type=click.File("wb"), default="-", help="Where to; by default, to stdout.")
def export(office: Office, named: str, output: BinaryIO) -> None:
    """Write CAMPAIGN's single-use codes as CSV: code, state, intended_user, claimed_by, claimed_at."""
    path = asyncio.run(office.path_of(named))
    asyncio.run(office.fetch(f"{path}/codes", output))


def _users(file: TextIO) -> list[str]:
    try:
        return [user for line in file.read().split("\n") if (user := line.removesuffix("\r"))]
    except UnicodeDecodeError as error:
        raise Refused(f"{file.name} is not UTF-8: {error}") from None


def _mint(office: Office, path: str, total: int, bodies: Iterable[dict[str, Any]], key: str) -> int:
    minted = 0
    columns = TextColumn("minting"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        bar = progress.add_task("", total=total)
        for number, body in enumerate(bodies):
            try:
                call = office.insist(CodesMinted, path, f"{key}/{number}", data=msgspec.json.encode(body), headers=_JSON)
                minted += asyncio.run(call).minted
            except Refused as refusal:
                told = f"{minted:,} of {total:,} codes were minted, then: {refusal}"
                raise Refused(f"{told} To go on, say the same with --key {key}") from None
            progress.update(bar, completed=minted)
    return minted


def _bodies(count: int | None, users: list[str]) -> Iterator[dict[str, Any]]:
    """Bodies of calls, each as large as a call may be."""
    for start in range(0, count or 0, MAX_CODES):
        yield {"count": min(MAX_CODES, (count or 0) - start)}
    together: list[str] = []
    size = 0
    for user in users:
        size += len(msgspec.json.encode(user)) + 1
        if together and (size > MAX_BODY_BYTES - _BESIDE_BYTES or len(together) == MAX_CODES):
            yield {"users": together}
            together, size = [], len(msgspec.json.encode(user)) + 1
        together.append(user)
    if together:
        yield {"users": together}

"""`lastslot attic …`: entries that could not be decided, and were set aside."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
from rich.table import Table
from rich.text import Text

from lastslot.cli import database, database_options
from lastslot.printing import empty_table, print_table
from lastslot.stores import redis_named, redis_option
from lastslot.whoami import account
from shared import attic as room
from shared.attic import Dealt, Letter, Replay, StillPoison, Unreadable
from shared.audit import snapshot
from shared.book import DECIDE_AGAIN
from shared.errors import LastslotError, RedisUnavailable
from shared.gate import Gate
from shared.history import shown
from shared.postgres import NO_ANSWER, close_pool, open_pool
from shared.redis_client import open_redis

#: How much of an entry that cannot be read is shown.
_SHOWN_BYTES = 2_000

_letters = click.argument("numbers", metavar="LETTER…", nargs=-1, required=True, type=click.IntRange(1, 2**63 - 1))


@click.group()
def attic() -> None:
    """Look at entries that could not be decided, and deal with them."""


@attic.command("list")
@database_options
@click.option("--all", "all_of_them", is_flag=True, help="Also those that were dealt with.")
@click.option("--limit", type=click.IntRange(1, 1_000), default=50, show_default=True, help="How many.")
@click.option("--after", type=click.IntRange(0, 2**63 - 1), default=0, help="Go on behind the letter of this number.")
def index(postgres_dsn: str | None, data_dir: Path | None, *, all_of_them: bool, limit: int, after: int) -> None:
    """List letters, the oldest first."""
    letters, waiting = asyncio.run(_listed(database(postgres_dsn, data_dir), after, limit, all_of_them=all_of_them))
    if letters:
        print_table(_table(letters))
    click.echo(f"waiting: {waiting:,}")


@attic.command()
@database_options
@_letters
def show(postgres_dsn: str | None, data_dir: Path | None, numbers: tuple[int, ...]) -> None:
    """Show letters with all that they say."""
    found = asyncio.run(_found(database(postgres_dsn, data_dir), numbers))
    for letter in found.values():
        click.echo("\n".join(_lines(letter)))
    _all_known(numbers, found)


@attic.command()
@database_options
@redis_option
@_letters
def replay(postgres_dsn: str | None, data_dir: Path | None, redis_url: str | None, numbers: tuple[int, ...]) -> None:
    """Have letters decided again, as if their claims came now.

    Exit code 1 when any was not; 2 when Redis, which has to hear of it, does not answer.
    """
    dsn, url = database(postgres_dsn, data_dir), redis_named(redis_url, data_dir)
    try:
        decided = asyncio.run(_replayed(dsn, url, numbers))
    except RedisUnavailable as error:
        click.echo(f"lastslot: the gates cannot be told of what is decided; does Redis run? {error}", err=True)
        sys.exit(2)
    except (*DECIDE_AGAIN, *NO_ANSWER) as error:
        raise LastslotError(f"the database would not have it now; try again: {error!r}") from None
    sys.exit(0 if decided else 1)


@attic.command()
@database_options
@_letters
@click.option("--reason", required=True, help="Why they are not to be decided; kept with them.")
def discard(postgres_dsn: str | None, data_dir: Path | None, numbers: tuple[int, ...], reason: str) -> None:
    """Discard letters: they are kept, and wait no more."""
    found = asyncio.run(_discarded(database(postgres_dsn, data_dir), numbers, reason))
    for letter in found.values():
        click.echo(f"{letter.letter_no}: {_standing(letter)}")
    _all_known(numbers, found)
    sys.exit(0 if all(letter.state == "discarded" for letter in found.values()) else 1)


async def _listed(dsn: str, after: int, most: int, *, all_of_them: bool) -> tuple[list[Letter], int]:
    async with snapshot(dsn) as connection:
        return await room.page(connection, after, most, all_of_them=all_of_them), await room.waiting(connection)


async def _found(dsn: str, numbers: tuple[int, ...]) -> dict[int, Letter]:
    async with snapshot(dsn) as connection:
        letters = [await room.find(connection, number) for number in numbers]
    return {letter.letter_no: letter for letter in letters if letter is not None}


async def _discarded(dsn: str, numbers: tuple[int, ...], reason: str) -> dict[int, Letter]:
    pool = await open_pool(dsn, 1)
    try:
        letters = [await room.discard(pool, number, account(), reason) for number in numbers]
    finally:
        await close_pool(pool)
    return {letter.letter_no: letter for letter in letters if letter is not None}


async def _replayed(dsn: str, url: str, numbers: tuple[int, ...]) -> bool:
    """Decide one after the other, telling what each came to; whether all were decided, now or before."""
    pool, decided = await open_pool(dsn, 1), True
    try:
        async with open_redis(url) as redis:
            for number in numbers:
                dealt = await room.replay(pool, Gate(redis, mailbox_max=0), number, account())
                click.echo(f"{number}: {_came_to(dealt)}")
                decided &= isinstance(dealt, Replay) or (isinstance(dealt, Letter) and dealt.state == "replayed")
    finally:
        await close_pool(pool)
    return decided


def _came_to(dealt: Dealt) -> str:
    match dealt:
        case Replay(outcome, settled):
            unheard = "" if settled else "; its gate has not heard of it: run `lastslot reconcile --fix` when Redis answers"
            return f"{room.told(outcome)}{unheard}"
        case StillPoison(error):
            return f"still cannot be decided, and waits: {shown(error)}"
        case Unreadable():
            return "cannot be read, so it can only be discarded"
        case Letter():
            return _standing(dealt)
        case None:
            return "there is no such letter"


def _standing(letter: Letter) -> str:
    match letter.state:
        case "waiting":
            return "waits"
        case state:
            moment = letter.replayed_at or letter.discarded_at
            return (
                f"was {state} by {shown(letter.dealt_by or '')} at {moment:%Y-%m-%d %H:%M:%S}Z: {shown(letter.outcome or '')}"
            )


def _all_known(numbers: tuple[int, ...], found: dict[int, Letter]) -> None:
    unknown = [str(number) for number in numbers if number not in found]
    if unknown:
        raise LastslotError(f"there is no letter {', '.join(unknown)}")


def _table(letters: list[Letter]) -> Table:
    table = empty_table("letter", "since", "user", "code", "order", "error", "now")
    for letter in letters:
        claim = letter.claim
        said = ("(cannot be read)", "", "") if claim is None else (claim.user_id, claim.code, claim.order_id)
        words = [shown(word)[:60] for word in (*said, letter.error)]
        table.add_row(*map(Text, (str(letter.letter_no), f"{letter.at:%Y-%m-%d %H:%M:%S}Z", *words, letter.state)))
    return table


def _lines(letter: Letter) -> Iterator[str]:
    yield f"letter {letter.letter_no}: {_standing(letter)}"
    yield f"  set aside  {letter.at:%Y-%m-%d %H:%M:%S}Z, partition {letter.partition_no}, entry {letter.entry_id}"
    if letter.tried_at is not None:
        yield f"  tried      {letter.tried_at:%Y-%m-%d %H:%M:%S}Z"
    yield f"  error      {shown(letter.error)}"
    if letter.claim is None:
        yield f"  entry      {letter.raw[:_SHOWN_BYTES]!r} ({len(letter.raw):,} bytes)"
        return
    for name, value in msgspec.structs.asdict(letter.claim).items():
        yield f"  {name:<16} {value.hex() if isinstance(value, bytes) else shown(str(value))}"

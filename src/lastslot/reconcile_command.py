"""`lastslot reconcile`: where the stores differ, and setting it right."""

import asyncio
import sys
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from lastslot.cli import database, database_options
from lastslot.printing import empty_table, print_table
from lastslot.stores import redis_named, redis_option
from lastslot.whoami import account
from shared import reconciling
from shared.domain.drift import Drift
from shared.errors import RedisUnavailable
from shared.history import shown
from shared.reconciling import Reconciled, opened_stores


@click.command()
@database_options
@redis_option
@click.option(
    "--fix", is_flag=True, help="Set right what follows from the redemptions; the ledger tells of what was counted anew."
)
def reconcile(postgres_dsn: str | None, data_dir: Path | None, redis_url: str | None, *, fix: bool) -> None:
    """Compare Redis with Postgres, and its counters and codes with its redemptions.

    Exit code 1 when something differs (with --fix: still), 2 when Redis does not answer.
    """
    dsn, url = database(postgres_dsn, data_dir), redis_named(redis_url, data_dir)
    try:
        reconciled = asyncio.run(_reconciled(dsn, url, fix=fix))
    except RedisUnavailable as error:
        click.echo(f"lastslot: nothing can be compared with Redis; does it run? {error}", err=True)
        sys.exit(2)
    _show(reconciled)
    sys.exit(1 if reconciled.left else 0)


async def _reconciled(dsn: str, url: str, *, fix: bool) -> Reconciled:
    async with opened_stores(dsn, url) as stores:
        return await (reconciling.set_right(stores, account()) if fix else reconciling.reconcile(stores))


def _show(reconciled: Reconciled) -> None:
    found = reconciled.found + [drift for drift in reconciled.left if drift not in reconciled.found]
    if found:
        print_table(_table(found, set(reconciled.left)))
    put_right = len(found) - len(reconciled.left)
    click.echo(f"{reconciled.gates:,} gates compared; {len(found):,} differences, {put_right:,} of them set right")


def _table(found: list[Drift], left: set[Drift]) -> Table:
    table = empty_table("drift", "partition", "campaign", "of", "should be", "was found", "")
    for drift in found:
        where = ["" if name is None else str(name) for name in (drift.partition_no, drift.campaign_id)]
        what = [shown(text) for text in (drift.subject, drift.expected, drift.found)]
        table.add_row(*map(Text, (drift.kind, *where, *what, "" if drift in left else "set right")))
    return table

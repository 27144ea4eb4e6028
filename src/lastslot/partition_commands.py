"""`lastslot partitions …`: who owns what and how busy it is, read from the database; and moving one by hand."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import click
from rich.table import Table
from rich.text import Text

from lastslot.cli import database, database_options
from lastslot.printing import empty_table, print_table
from lastslot.stores import redis_named, redis_option
from shared.domain.ids import PartitionNo, ShardId
from shared.errors import LastslotError
from shared.history import shown
from shared.partitions import Move, PartitionNow, Work, lag_of, living_shards, partitions_now, work_of
from shared.partitions import move as move_partition
from shared.postgres import SERVER_SETTINGS, Connection
from shared.redis_client import open_redis

#: What to write instead of a shard when it does not matter which.
_ANY = "any"

Lags = Mapping[PartitionNo, int | None]


@click.group(invoke_without_command=True)
@database_options
@redis_option
@click.pass_context
def partitions(ctx: click.Context, postgres_dsn: str | None, data_dir: Path | None, redis_url: str | None) -> None:
    """Print who owns which partition, how busy each is and how far behind."""
    if ctx.invoked_subcommand is not None:
        return
    dsn, url = database(postgres_dsn, data_dir), redis_named(redis_url, data_dir)
    found, work, lags = asyncio.run(_looked(dsn, url))
    print_table(_table(found, work, lags))


@partitions.command()
@database_options
@click.argument("partition", type=int, metavar="N")
@click.argument("shard", metavar="SHARD")
def move(postgres_dsn: str | None, data_dir: Path | None, partition: int, shard: str) -> None:
    """Move partition N to SHARD, where it stays until that shard is gone; `any` lets it go where there is room."""
    wanted = None if shard == _ANY else ShardId(shard)
    done = asyncio.run(_moved(database(postgres_dsn, data_dir), PartitionNo(partition), wanted))
    if wanted is None:
        click.echo(f"partition {partition} may be anywhere; it is at {done.now or 'no shard'} now")
    elif done.before == wanted:
        click.echo(f"partition {partition} is at {wanted} already, and stays")
    elif done.now == wanted:
        click.echo(
            f"partition {partition} moved from {done.before or 'no shard'} to {wanted} in {done.seconds:.2f} s, and stays"
        )
    else:
        raise LastslotError(
            f"partition {partition} is still at {done.now or 'no shard'} after {done.seconds:.0f} s; "
            f"it moves to {wanted} as soon as it can"
        )


async def _looked(dsn: str, redis_url: str) -> tuple[list[PartitionNow], Mapping[PartitionNo, Work], Lags]:
    async with _connected(dsn) as connection, open_redis(redis_url) as redis:
        before = await partitions_now(connection)
        work = await work_of(connection, before)
        found = await partitions_now(connection)
        lags = await asyncio.gather(*(lag_of(redis, each) for each in found))
    return found, work, {each.partition_no: lag for each, lag in zip(found, lags, strict=True)}


async def _moved(dsn: str, partition: PartitionNo, shard: ShardId | None) -> Move:
    async with _connected(dsn) as connection:
        known = [each.partition_no for each in await partitions_now(connection)]
        if partition not in known:
            raise click.UsageError(f"there is no partition {partition}: they are {known[0]} to {known[-1]}")
        living = await living_shards(connection)
        if shard is not None and shard not in living:
            raise click.UsageError(f"no shard lives by the name {shown(shard)}: {', '.join(living) or 'none does at all'}")
        return await move_partition(connection, partition, shard)


@asynccontextmanager
async def _connected(dsn: str) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(dsn, timeout=10, command_timeout=30, server_settings=SERVER_SETTINGS)
    try:
        yield connection
    finally:
        connection.terminate()


def _table(found: list[PartitionNow], work: Mapping[PartitionNo, Work], lags: Lags) -> Table:
    columns = ("partition", "owner", "epoch", "lease left", "lag", "claims/s", "hottest", "wanted by", "incarnation")
    table = empty_table(*columns, numbers=("partition", "epoch", "lease left", "lag", "claims/s"))
    for each in found:
        did, lag = work.get(each.partition_no), lags[each.partition_no]
        cells = (
            str(each.partition_no),
            each.owner or "nobody",
            str(each.epoch),
            "-" if each.lease_left_s is None else f"{each.lease_left_s:.1f} s",
            "unknown" if lag is None else f"{lag:,}",
            f"{did.claims_per_s if did else 0:,.0f}",
            shown(did.hottest or "") if did else "",
            each.wanted_by or "",
            each.incarnation or "",
        )
        table.add_row(*map(Text, cells))
    return table

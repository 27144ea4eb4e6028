"""Does looking codes up stay flat, from a thousand codes to ten million?

    python -m loadtest.codes --most 10000000

Mints into a pool on an embedded Postgres, as an administrator does, and at every power of ten looks codes up as a front door
does: in batches of codes most of which exist. Prints the plan, which must name the index and nothing else. What is measured is
a database whose pages are in memory, on the machine that also asks.
"""

import asyncio
import os
import platform
import random
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import click
import msgspec

from lastslot.embedded import postgres_server
from shared import campaigns, codes
from shared.campaigns import Committed
from shared.catalogue import codes_by_code
from shared.codes import Minted, Wish
from shared.domain.campaign import Campaign
from shared.domain.code import Code
from shared.domain.discount import Discount
from shared.domain.draft import CampaignDraft, planned
from shared.domain.ids import CampaignId, UserId
from shared.migrations.run import migrate
from shared.postgres import Pool, close_pool, open_pool
from shared.statements import statement

ADMIN = UserId("loadtest")
AT_A_TIME = 50_000
BATCH = 64
BATCHES = 2_000
SAMPLE = 50_000


class Stock:
    """A campaign whose codes are minted bit by bit, and a sample of them to ask for."""

    def __init__(self, pool: Pool, campaign: Campaign, dice: random.Random) -> None:
        self._pool = pool
        self._campaign = campaign
        self._dice = dice
        self.minted = 0
        self.sample: list[Code] = []

    async def grow(self, to: int, deadline: float) -> bool:
        """Mint until there are `to` codes; False when the time is over before."""
        while self.minted < to:
            if time.monotonic() > deadline:
                return False
            wanted = min(AT_A_TIME, to - self.minted)
            made = await codes.mint(self._pool, self._campaign.campaign_id, Wish([None] * wanted), ADMIN)
            if not isinstance(made, Minted):
                raise SystemExit(f"not minted: {made}")
            self.minted += wanted
            self.sample = self._dice.sample([*self.sample, *map(Code, made.codes)], min(SAMPLE, len(self.sample) + wanted))
        return True

    def batch(self) -> list[Code]:
        """Codes as people type them: one in eight does not exist."""
        known = self._dice.choices(self.sample, k=BATCH * 7 // 8)
        return known + [Code(f"NO{self._dice.getrandbits(50):X}") for _ in range(BATCH - len(known))]


@click.command()
@click.option("--most", type=click.IntRange(min=1_000), default=10_000_000, show_default=True, help="Codes in the end.")
@click.option("--within-s", type=click.IntRange(min=1), default=480, show_default=True, help="Stop minting after this.")
@click.option("--seed", type=int, default=1, show_default=True)
def main(most: int, within_s: int, seed: int) -> None:
    """Measure look-ups of codes while there are more and more of them."""
    click.echo(
        f"{len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}, load average {os.getloadavg()[0]:.1f}"
    )
    with _database() as dsn:
        asyncio.run(_measure(dsn, most, time.monotonic() + within_s, random.Random(seed)))


async def _measure(dsn: str, most: int, deadline: float, dice: random.Random) -> None:
    pool = await open_pool(dsn, 2)
    try:
        stock = Stock(pool, await _campaign(pool), dice)
        click.echo(f"{'codes':>12} {'minted in s':>12} {'p50 ms':>8} {'p99 ms':>8} {'µs a code':>10}   (batches of {BATCH})")
        size = 1_000
        while True:
            began = time.monotonic()
            whole = await stock.grow(size, deadline)
            took = time.monotonic() - began
            click.echo(f"{stock.minted:>12,} {took:>12.1f} {await _look_up(pool, stock)}")
            if not whole:
                click.echo("the time for minting is over")
            if not whole or size == most:
                break
            size = min(size * 10, most)
        click.echo(await _plan(pool, stock))
    finally:
        await close_pool(pool)


async def _look_up(pool: Pool, stock: Stock) -> str:
    spent: list[float] = []
    async with pool.acquire() as connection:
        for _ in range(BATCHES):
            asked = stock.batch()
            began = time.perf_counter()
            found = await codes_by_code(connection, asked)
            spent.append(time.perf_counter() - began)
            if len(found) != len(set(asked) & set(stock.sample)):
                raise SystemExit("a code that exists was not found, or one that does not was")
    spent.sort()
    median, slow = spent[len(spent) // 2] * 1_000, spent[len(spent) * 99 // 100] * 1_000
    return f"{median:>8.2f} {slow:>8.2f} {median * 1_000 / BATCH:>10.1f}"


async def _plan(pool: Pool, stock: Stock) -> str:
    async with pool.acquire() as connection:
        rows = await connection.fetch(f"EXPLAIN (ANALYZE, BUFFERS) {statement('codes_by_code')}", stock.batch())
    return "\n".join(re.sub(r"'{.*}'", "'{…}'", line) for (line,) in rows)


async def _campaign(pool: Pool) -> Campaign:
    plan = planned(
        CampaignDraft(name="Look-ups", type="pool", discount=Discount("percent", 10), total_limit=None), CampaignId(uuid4())
    )
    made = await campaigns.create(pool, plan, ADMIN) if isinstance(plan, Campaign) else plan
    if not isinstance(made, Committed):
        raise SystemExit(f"no campaign: {msgspec.to_builtins(made)}")
    return made.campaign


@contextmanager
def _database() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="lastslot-codes-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        server = postgres_server(directory / "postgres", "only-for-load-tests", directory / "postgres.log")
        server.start()
        try:
            migrate(server.url)
            yield server.url
        finally:
            server.stop()


if __name__ == "__main__":
    main()

"""Does looking codes up stay flat, from a thousand codes to ten million?

    python -m loadtest.codes --most 10000000

Mints into a pool of a stack of its own, as an administrator does, and at every power of ten looks codes up as a front door
does, in batches of codes most of which exist; then, from ten thousand on, it validates and redeems, through the front door,
codes that nobody has asked for before. Before that the table is vacuumed, as Postgres does by itself within minutes. Prints the
plan, which must name the index and nothing else. TMPDIR says where the stack lives.
"""

import asyncio
import os
import platform
import random
import re
import time
from uuid import UUID, uuid4

import click

from frontdoor.campaign_shapes import CampaignShown
from frontdoor.tokens import issue
from lastslot.burst import fire
from lastslot.campaign_office import Office, office_of
from lastslot.crowd import redeem
from lastslot.running import Stack, address, own_stack
from lastslot.wire import render
from shared.catalogue import codes_by_code
from shared.codes import CodesMinted
from shared.domain.code import Code
from shared.postgres import Pool, close_pool, open_pool
from shared.statements import statement

AT_A_TIME = 50_000
BATCH = 64
BATCHES = 2_000
SAMPLE = 50_000
ASKED = 4_000
CONNECTIONS = 64


class Stock:
    """A campaign whose codes are minted bit by bit, and a sample of those that nobody has taken, to ask for."""

    def __init__(self, pool: Pool, office: Office, campaign: UUID, dice: random.Random) -> None:
        self._pool = pool
        self._office = office
        self._path = f"/{campaign}/codes"
        self._dice = dice
        self.minted = 0
        self.sample: list[Code] = []

    async def grow(self, to: int, deadline: float) -> bool:
        """Mint until there are `to` codes; False when the time is over before."""
        while self.minted < to and time.monotonic() < deadline:
            wanted = min(AT_A_TIME, to - self.minted)
            await self._office.insist(CodesMinted, self._path, str(uuid4()), json={"count": wanted})
            self.minted += wanted
        await self._pool.execute("VACUUM (ANALYZE) codes")
        share = min(100.0, 300.0 * SAMPLE / self.minted)
        rows = await self._pool.fetch(
            f"SELECT code FROM codes TABLESAMPLE BERNOULLI ({share}) WHERE state = 'unused' ORDER BY random() LIMIT {SAMPLE}"
        )
        self.sample = [Code(code) for (code,) in rows]
        return self.minted == to

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
    asyncio.run(_measure(most, time.monotonic() + within_s, random.Random(seed)))


async def _measure(most: int, deadline: float, dice: random.Random) -> None:
    async with own_stack("--frontdoors", "1", "--workers", "1") as stack:
        pool = await open_pool(stack.postgres_dsn, 2)
        try:
            await _sizes(stack, pool, most, deadline, dice)
        finally:
            await close_pool(pool)


async def _sizes(stack: Stack, pool: Pool, most: int, deadline: float, dice: random.Random) -> None:
    office = office_of(stack)
    terms = {"name": "Look-ups", "type": "pool", "discount": {"type": "percent", "value": 10}, "total_limit": None}
    campaign = await office.insist(CampaignShown, "", str(uuid4()), json=terms)
    stock = Stock(pool, office, campaign.campaign_id, dice)
    click.echo(
        f"{'codes':>12} {'minted in s':>12} {'p50 ms':>8} {'p99 ms':>8} {'µs a code':>10} {'validate/s':>11} {'redeem/s':>9}"
        f"   (batches of {BATCH}, {CONNECTIONS} connections)"
    )
    size = 1_000
    while True:
        began = time.monotonic()
        whole = await stock.grow(size, deadline)
        told = f"{stock.minted:>12,} {time.monotonic() - began:>12.1f} {await _look_up(pool, stock)}"
        click.echo(f"{told} {await _through_the_door(stack, stock.sample[: 2 * ASKED])}")
        if not whole:
            click.echo("the time for minting is over")
        if not whole or size == most:
            break
        size = min(size * 10, most)
    click.echo(await _plan(pool, stock))


async def _through_the_door(stack: Stack, codes: list[Code]) -> str:
    """How many codes a second are validated, and others redeemed, each by a user of its own and for the first time."""
    if len(codes) < 2 * ASKED:
        return f"{'':>11} {'':>9}"
    host, port = address(stack.base_url)
    validates, redeems = [], []
    for code in codes[:ASKED]:
        validates.append(render("POST", "/api/v1/coupons/validate", host, {}, f'{{"code":"{code}"}}'.encode()))
    for code in codes[ASKED:]:
        redeems.append(redeem(host, code, f"usr_{code}", issue(stack.jwt_secret, f"usr_{code}")))
    validated = await _rate(host, port, validates, 200)
    return f"{validated:>11,.0f} {await _rate(host, port, redeems, 201):>9,.0f}"


async def _rate(host: str, port: int, requests: list[bytes], expected: int) -> float:
    answers = await fire(host, port, requests, CONNECTIONS)
    heard = {answer.status for answer in answers}
    if heard != {expected}:
        raise SystemExit(f"answered {heard}, not {expected}")
    return len(answers) / (max(a.started + a.seconds for a in answers) - min(a.started for a in answers))


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


if __name__ == "__main__":
    main()

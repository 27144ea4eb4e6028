"""A pool of a thousand single-use codes, and one of ten million: each person redeems a code that nobody has asked for before.

Before each round as many codes are free as the size says. One size follows the other, so each has bare aiohttp beside it.
"""

import time
from collections.abc import Sequence
from functools import partial
from random import Random
from secrets import token_hex
from uuid import UUID, uuid4

from frontdoor.campaign_shapes import CampaignShown
from frontdoor.tokens import issue
from lastslot.campaign_office import office_of
from lastslot.crowd import redeem
from loadtest.codes import Stock
from loadtest.growths.rounds import Ground, Rounds, Size, ground
from loadtest.records import Growth, Point
from loadtest.trial import HOST, Trial, Wrong
from shared.audit import audit_campaign
from shared.domain.code import Code
from shared.postgres import Pool, close_pool, open_pool

#: As many as the smallest pool has codes.
PEOPLE = 1_000

_TERMS = {"name": "Growth", "type": "pool", "discount": {"type": "percent", "value": 10}, "total_limit": None}


async def grow(size: Size) -> Growth:
    """From a thousand codes on, ten times as many at each step, until there are enough or the time is over. Raises Wrong."""
    deadline = time.monotonic() + size.within_s
    async with ground() as on:
        pool = await open_pool(on.stack.postgres_dsn, 2)
        try:
            points = await _points(on, pool, size, deadline)
        finally:
            await close_pool(pool)
        return Growth(
            on.taken, "codes", "Single-use codes, each person redeems another", "codes", "claims", PEOPLE, False, points
        )


async def _points(on: Ground, pool: Pool, size: Size, deadline: float) -> list[Point]:
    office = office_of(on.stack)
    campaign = (await office.insist(CampaignShown, "", str(uuid4()), json=_TERMS)).campaign_id
    stock, redeemed = Stock(pool, office, campaign, Random(1)), 0
    points: list[Point] = []
    for free in (10**power for power in range(3, 19) if 10**power <= size.codes):
        rounds = Rounds(on, free)
        for _ in range(size.rounds + 1):
            if not await stock.grow(free + redeemed, deadline):
                return points
            redeemed += PEOPLE
            await rounds.take(_trial(on, stock.sample[:PEOPLE]), partial(_verify, on, campaign, redeemed))
        points.append(rounds.point())
    return points


def _trial(on: Ground, codes: Sequence[Code]) -> Trial:
    if len(codes) < PEOPLE:
        raise Wrong(f"{len(codes)} codes are free, not {PEOPLE:,}")
    users = [f"usr_{token_hex(6)}" for _ in codes]
    tokens = [issue(on.stack.jwt_secret, user) for user in users]
    requests = [redeem(HOST, code, user, token) for code, user, token in zip(codes, users, tokens, strict=True)]
    return Trial(requests, {201: PEOPLE}, "", 0)


async def _verify(on: Ground, campaign: UUID, redeemed: int) -> None:
    proof = await audit_campaign(on.stack.postgres_dsn, campaign)
    if proof is None or {proof.active, proof.users, proof.claimed} != {redeemed} or not proof.chain_intact:
        raise Wrong(f"the pool has {proof}, not {redeemed:,} of each")

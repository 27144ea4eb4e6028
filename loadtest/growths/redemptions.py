"""A campaign that a thousand people hold something of, and one that a million do.

The redemptions are inserted in SQL, under the engine's constraints, as claims leave them; they have no story in the ledger, so
`lastslot verify` would object. Redis then loses everything, and the engine makes its gates from what Postgres says.
"""

from secrets import token_hex

import asyncpg
from redis.asyncio import Redis

from lastslot.crowd import gather, press_redeem
from lastslot.running import Stack
from loadtest.growths.rounds import Ground, Rounds, Size, ground
from loadtest.growths.winners import Campaigns
from loadtest.records import Growth
from loadtest.trial import Wrong

_AT_A_TIME = 100_000

_INSERT = """
INSERT INTO redemptions (redemption_id, campaign_id, slice_no, code_id, code, user_id, use_no, user_limit, order_id,
                         discount_applied, idempotency_key, body_hash, state, claimed_at)
SELECT gen_random_uuid(), c.campaign_id, 0, k.code_id, k.code, 'usr_before_' || n, 1, 1, 'order_before_' || n,
       c.discount, 'key_before_' || n, decode(md5(n::text), 'hex'), 'claimed', clock_timestamp()
FROM campaigns c
JOIN codes k USING (code)
CROSS JOIN generate_series($2::bigint, $3::bigint) AS n
WHERE c.code = $1
"""
_COUNT = (
    "UPDATE campaign_slices SET claimed = claimed + $2 WHERE campaign_id = (SELECT campaign_id FROM campaigns WHERE code = $1)"
)


async def grow(size: Size) -> Growth:
    """A campaign of each size, in turn, on one stack. Raises Wrong."""
    sizes = [10**power for power in range(3, 19) if 10**power <= size.redemptions]
    async with ground() as on:
        opened = []
        for held in sizes:
            campaigns = await Campaigns.open(on.stack, token_hex(3), 1, size.people * (size.rounds + 1), held + 1)
            await insert(on.stack, campaigns.codes[0], held)
            opened.append(campaigns)
        async with Redis.from_url(on.stack.redis_url) as redis:
            await redis.flushall()
        for campaigns in opened:
            await _first_comer(on, campaigns.codes[0])
        rounds_of = [Rounds(on, held) for held in sizes]
        for _ in range(size.rounds + 1):
            for campaigns, rounds in zip(opened, rounds_of, strict=True):
                await rounds.take(campaigns.trial(size.people, token_hex(4)), campaigns.verify)
        points = [rounds.point() for rounds in rounds_of]
        return Growth(
            on.taken, "redemptions", "Redemptions in one campaign", "redemptions", "claims", size.people, True, points
        )


async def insert(stack: Stack, code: str, count: int) -> None:
    """Have so many different users hold a slot of the code's campaign, and its slice count them."""
    connection = await asyncpg.connect(stack.postgres_dsn)
    try:
        for first in range(1, count + 1, _AT_A_TIME):
            await connection.execute(_INSERT, code, first, min(first + _AT_A_TIME - 1, count))
        await connection.execute(_COUNT, code, count)
        await connection.execute("VACUUM (ANALYZE) redemptions")
    finally:
        await connection.close()


async def _first_comer(on: Ground, code: str) -> None:
    """Somebody who waits until the gate is warm, and wins."""
    heard = await press_redeem(gather(on.stack, code, 1, f"first_{token_hex(3)}"), 1)
    if heard.answers[0].status not in (200, 201):
        raise Wrong(f"the first comer to {code} heard {heard.answers[0].status}")

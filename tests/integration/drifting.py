"""A place where stores can be made to differ."""

from collections.abc import Awaitable, Callable
from typing import Any

from shared import codes, keys
from shared.codes import Minted, Wish
from shared.domain.campaign import Campaign
from shared.domain.discount import Discount
from shared.domain.drift import DriftKind
from shared.domain.ids import PartitionNo, UserId
from shared.gate import Verdict
from shared.postgres import Pool
from shared.reconciling import Stores, reconcile
from shared.redis_client import Redis
from tests.integration.engine import Owner, claim_of, launch

PARTITION = PartitionNo(3)


async def damage(pool: Pool, *statements: str) -> None:
    """Do what no constraint and no trigger would allow."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        for statement in statements:
            await connection.execute(statement)


class Bench:
    """A pool of codes, of which three were claimed, and its owner, at rest."""

    campaign: Campaign

    def __init__(self, stores: Stores, owner: Owner) -> None:
        self.stores, self.owner = stores, owner
        self.redis: Any = stores.redis

    async def found(self) -> list[DriftKind]:
        return sorted({drift.kind for drift in (await reconcile(self.stores)).found})

    async def damage(self, *statements: str) -> None:
        await damage(self.stores.pool, *statements)

    def key(self, named: Any) -> str:
        name: str = named(PARTITION, self.owner.life.incarnation, self.campaign.campaign_id)
        return name


async def prepared(dsn: str, pool: Pool, redis: Redis) -> Bench:
    """Five slots of nine codes and some money; ann, bob and cat have one each."""
    owner = await Owner.of(pool, redis, PARTITION)
    bench = Bench(Stores(dsn, pool, redis, owner.gate, pause_s=0.05), owner)
    terms: dict[str, Any] = {"type": "pool", "code": "POOL", "discount": Discount("amount", 400, "EUR"), "amount_limit": 9_000}
    bench.campaign = await launch(pool, 5, partition=PARTITION, **terms)
    wish = Wish([None] * 9, pattern="C#######")
    assert isinstance(await codes.mint(pool, bench.campaign.campaign_id, wish, UserId("admin")), Minted)
    claims = [(bench.campaign, claim_of(bench.campaign, user, subtotal=1_000)) for user in ("ann", "bob", "cat")]
    assert set((await owner.ask(*claims))[0]) == {Verdict.COLD}
    await owner.turn()
    assert set((await owner.ask(*claims))[0]) == {Verdict.ADMITTED}
    await owner.turn()
    return bench


def field(name: str, value: str) -> Callable[[Bench], Awaitable[Any]]:
    return lambda bench: bench.redis.hset(bench.key(keys.gate), name, value)

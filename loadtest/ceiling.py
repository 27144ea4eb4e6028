"""The bare group commit: how fast claims reach the disk when they have no way to go.

The workers' own committer decides and writes claims that lie ready in memory, batch after batch, as a shard does for the one
partition of a hot campaign; there is no HTTP, no Redis and nobody to tell. What all_win reaches of it is what the way costs.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from claim_workers.committer import Committer
from claim_workers.incarnation import Life
from claim_workers.keeper import acquired
from lastslot.running import Stack
from loadtest.peers.books import empty_database
from loadtest.records import Measured
from loadtest.trial import Wrong, figures
from shared import campaigns
from shared.audit import audit_campaign
from shared.clock import monotonic
from shared.domain.campaign import Campaign
from shared.domain.code import Code
from shared.domain.discount import Discount
from shared.domain.draft import CampaignDraft, planned
from shared.domain.ids import CampaignId, DoorId, Incarnation, PartitionNo, ShardId, UserId, claim_id, home_partition
from shared.domain.operations import SubmitClaim, body_hash
from shared.mailbox import Entry
from shared.migrations.run import migrate
from shared.postgres import Pool, close_pool, open_pool
from shared.statements import statement

#: As many as a worker reads at once, as it is shipped.
BATCH = 512

_PARTITION = PartitionNo(0)


class Ceiling:
    """An owner of one partition, with claims at hand."""

    def __init__(self, dsn: str, pool: Pool, life: Life) -> None:
        self._dsn = dsn
        self._pool = pool
        self._committer = Committer(pool, life)
        self._entries = 0

    async def measure(self, people: int, named: str) -> Measured:
        """Commit the claims of `people` different users, and time it. Raises Wrong when they are not all in the database."""
        campaign = await _campaign(self._pool, f"CEILING-{named}".upper(), people)
        entries = [self._entry(campaign, UserId(f"usr_{named}_{number}")) for number in range(people)]
        spent: list[float] = []
        cpu = time.process_time()
        for first in range(0, people, BATCH):
            batch = entries[first : first + BATCH]
            began = monotonic()
            await self._committer.commit(batch)
            spent += [monotonic() - began] * len(batch)
        cpu = time.process_time() - cpu
        proof = await audit_campaign(self._dsn, campaign.campaign_id)
        if proof is None or {proof.active, proof.users, proof.claimed} != {people} or not proof.chain_intact:
            raise Wrong(f"the bare group commit has {proof}, not {people:,} of each")
        return figures(sum(spent[::BATCH]), spent, cpu, {})

    def _entry(self, campaign: Campaign, user: UserId) -> Entry:
        self._entries += 1
        code, order, key = Code(campaign.code or ""), f"order-{user}", f"key-{user}"
        claim = SubmitClaim(
            claim_id=claim_id(user, key),
            campaign_id=campaign.campaign_id,
            slice_no=0,
            user_id=user,
            code=code,
            order_id=order,
            subtotal=None,
            idempotency_key=key,
            body_hash=body_hash(code, order, None),
            door=DoorId("nobody"),
            ip="127.0.0.1",
            typed=code,
        )
        return Entry(f"{self._entries}-0", claim, b"")


@asynccontextmanager
async def ceiling(stack: Stack) -> AsyncIterator[Ceiling]:
    """One on the stack's own Postgres server, in a database beside the stack's."""
    dsn = await empty_database(stack.postgres_dsn, "ceiling")
    await asyncio.to_thread(migrate, dsn)
    pool = await open_pool(dsn, 1)
    try:
        incarnation = Incarnation("in-memory")
        async with pool.acquire() as connection:
            epoch = (await acquired(connection, [_PARTITION], ShardId("ceiling"), 3_600.0))[_PARTITION]
            await connection.execute(statement("begin_incarnation"), _PARTITION, epoch, incarnation)
        yield Ceiling(dsn, pool, Life(_PARTITION, epoch, incarnation, "0-0"))
    finally:
        await close_pool(pool)


async def _campaign(pool: Pool, code: str, slots: int) -> Campaign:
    """A new one that lives in our partition."""
    campaign_id = CampaignId(uuid4())
    while home_partition(campaign_id) != _PARTITION:
        campaign_id = CampaignId(uuid4())
    draft = CampaignDraft(name=code, type="shared", code=code, discount=Discount("amount", 1000, "EUR"), total_limit=slots)
    plan = planned(draft, campaign_id)
    made = await campaigns.create(pool, plan, UserId("loadtest")) if isinstance(plan, Campaign) else plan
    if not isinstance(made, campaigns.Committed):
        raise RuntimeError(f"no campaign: {made}")
    return made.campaign

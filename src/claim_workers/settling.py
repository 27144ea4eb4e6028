"""Keeping a partition's gates true.

What was committed is set at once, what is awaited is seeded, and what is in use is set again every second, so that a lost
or spoilt value lives no longer than that.
"""

from collections.abc import Collection, Sequence

import msgspec
import structlog

from claim_workers.incarnation import Life
from shared import metrics
from shared.domain.ids import CampaignId, UserId
from shared.domain.settlement import Settlement
from shared.errors import IncarnationOver
from shared.gate import Gate, Mode, Moved
from shared.gate_facts import GateFacts, gate_facts, settlements_of
from shared.mailbox import Entry
from shared.postgres import Pool
from shared.statements import statement

#: For how many ticks a campaign is set again after it was last asked for.
_TICKS_REMEMBERED = 60

#: Users per script call when a gate is seeded.
_SEED_CHUNK = 2_000

log = structlog.get_logger()


class Settler:
    """Sets the gates of one life of a partition. Raises IncarnationOver when that life is over."""

    def __init__(self, pool: Pool, gate: Gate, life: Life) -> None:
        self._pool = pool
        self._gate = gate
        self._life = life
        self._in_use: dict[CampaignId, int] = {}

    async def settle(self, settlements: Sequence[Settlement], cursor: str) -> None:
        """Set gates to what was just committed, and drop the mailbox up to `cursor`."""
        await self._apply("move", settlements, cursor)

    async def make_good(self, unsettled: Sequence[Entry], cursor: str) -> None:
        """Settle what was committed up to `cursor` by somebody who was then gone.

        Later settlements tell the gate how much is free, but not who won here: once nothing is left, these winners would be
        told so.
        """
        claims = [entry.claim.claim_id for entry in unsettled if entry.claim is not None]
        async with self._pool.acquire(timeout=5) as connection, connection.transaction(isolation="repeatable_read"):
            won = await settlements_of(connection, self._life.partition_no, claims)
        await self.settle(won, cursor)

    async def tick(self, cursor: str) -> None:
        """Set the gates of all campaigns in use to what Postgres says now; make those cold that cannot be believed."""
        active = await self._gate.drain_active(self._life.partition_no, self._life.incarnation)
        self._in_use = {campaign: left - 1 for campaign, left in self._in_use.items() if left > 1}
        self._in_use.update(dict.fromkeys(active, _TICKS_REMEMBERED))
        settlements = [facts.settlement for facts in await self._facts(self._in_use)]
        reached = await self._apply("move", settlements, cursor)
        unbelievable = await self._unbelievable(settlements, reached)
        await self._apply("wipe", [each for each in settlements if each.campaign_id in unbelievable], cursor)

    async def seed(self, campaigns: Collection[CampaignId], cursor: str) -> None:
        """Make gates that are cold warm, out of Postgres alone.

        While a slot was freed so lately that some front door may still refuse it, the gate stays cold: who waits for it rings
        again.
        """
        due = [facts for facts in await self._facts(campaigns) if facts.hold_ms == 0]
        for facts in await self._cold(due, cursor):
            await self._seed_one(facts.settlement.campaign_id, cursor)
            self._in_use[facts.settlement.campaign_id] = _TICKS_REMEMBERED
            log.info("gate_seeded", partition=self._life.partition_no, campaign=str(facts.settlement.campaign_id))

    async def _cold(self, facts: list[GateFacts], cursor: str) -> list[GateFacts]:
        """Those whose gates are cold indeed: a bell may have been rung many times."""
        reached = await self._apply("move", [each.settlement for each in facts], cursor) if facts else []
        return [each for each, at in zip(facts, reached, strict=True) if at is None]

    async def _seed_one(self, campaign: CampaignId, cursor: str) -> None:
        partition = self._life.partition_no
        async with self._pool.acquire(timeout=5) as connection, connection.transaction(isolation="repeatable_read"):
            [facts] = await gate_facts(connection, partition, [campaign])
            await self._apply("wipe", [facts.settlement], cursor)
            users = await connection.cursor(statement("gate_users"), campaign, partition)
            while chunk := await users.fetch(_SEED_CHUNK):
                holders = {UserId(user): active for user, active in chunk}
                await self._apply("more", [msgspec.structs.replace(facts.settlement, users=holders)], cursor)
        await self._apply("seed", [facts.settlement], cursor)

    async def _unbelievable(self, settlements: Sequence[Settlement], reached: Sequence[int | None]) -> set[CampaignId]:
        """Gates that claim to know of ledger rows that have not been written."""
        ahead = {
            settlement.campaign_id: at
            for settlement, at in zip(settlements, reached, strict=True)
            if at is not None and at > settlement.seq
        }
        # A direct writer may have committed and settled since we looked: look again before disbelieving it.
        later = [facts.settlement for facts in await self._facts(ahead)]
        return {settlement.campaign_id for settlement in later if settlement.seq < ahead[settlement.campaign_id]}

    async def _facts(self, campaigns: Collection[CampaignId]) -> list[GateFacts]:
        if not campaigns:
            return []
        async with self._pool.acquire(timeout=5) as connection:
            return await gate_facts(connection, self._life.partition_no, campaigns)

    async def _apply(self, mode: Mode, settlements: Sequence[Settlement], cursor: str) -> list[int | None]:
        partition, incarnation = self._life.partition_no, self._life.incarnation
        answer = await self._gate.settle(partition, incarnation, [(mode, each) for each in settlements], cursor)
        metrics.SETTLE_CALLS.inc()
        if isinstance(answer, Moved):
            raise IncarnationOver(f"partition {partition} lives as {answer.incarnation} in Redis, not as {incarnation}")
        return answer.sequences

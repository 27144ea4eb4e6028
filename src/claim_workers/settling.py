"""Keeping a partition's gates true.

What was committed is set at once, what is awaited is seeded, and what is in use is set again within a second, so that a
lost or spoilt value lives no longer than that.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from secrets import token_hex

import msgspec
import structlog

from claim_workers.incarnation import Life
from shared import metrics
from shared.book import lock_partition
from shared.crash_points import crash_point
from shared.domain.ids import CampaignId, UserId
from shared.domain.settlement import Settlement
from shared.errors import IncarnationOver
from shared.gate import Gate, Mode, Moved, Term
from shared.gate_facts import gate_facts, settlements_of
from shared.mailbox import Entry
from shared.moving import HOLD_MAX_S
from shared.postgres import Pool
from shared.statements import statement

#: For how many ticks a campaign is set again after it was last asked for.
_TICKS_REMEMBERED = 60

#: Users per script call when a gate is seeded.
_SEED_PAGE = 2_000

#: How far back slots are looked for that were given back: more than a tick, and by a new owner more than any change of owners.
_FREED_LATELY_S = 3.0
_FREED_WHILE_AWAY_S = 120.0

log = structlog.get_logger()


class Settler:
    """Sets the gates of one life of a partition. Raises IncarnationOver when that life is over.

    `progressed` hears of every call that set something: seeding one gate may take longer than a lease lasts.
    """

    def __init__(self, pool: Pool, gate: Gate, life: Life, progressed: Callable[[], None] = lambda: None) -> None:
        self._progressed = progressed
        self._pool = pool
        self._gate = gate
        self._life = life
        self._in_use: dict[CampaignId, int] = {}
        self._freed_within_s = _FREED_WHILE_AWAY_S

    async def settle(self, settlements: Sequence[Settlement], cursor: str) -> None:
        """Set gates to what was just committed, and drop the mailbox up to `cursor`."""
        await self._apply(settlements, cursor)

    async def make_good(self, unsettled: Sequence[Entry], cursor: str) -> None:
        """Settle what was committed up to `cursor` by somebody who was then gone.

        Later settlements tell the gate how much is free, but not who won here: once nothing is left, these winners would be
        told so.
        """
        claims = [entry.claim.claim_id for entry in unsettled if entry.claim is not None]
        async with self._pool.acquire(timeout=5) as connection, connection.transaction(isolation="repeatable_read"):
            won = await settlements_of(connection, self._life.partition_no, claims)
        await self._apply(won, cursor)

    async def tick(self, cursor: str) -> None:
        """Set the gates of all campaigns in use to what Postgres says now; make those cold that cannot be believed."""
        active = await self._gate.drain_active(self._life.partition_no, self._life.incarnation)
        self._in_use = {campaign: left - 1 for campaign, left in self._in_use.items() if left > 1}
        self._in_use.update(dict.fromkeys(active, _TICKS_REMEMBERED))
        self._in_use.update(dict.fromkeys(await self._freed(), _TICKS_REMEMBERED))
        settlements = await self._facts(self._in_use)
        await self._forget(self._in_use.keys() - {each.campaign_id for each in settlements}, cursor)
        # What is sold by one slice another does not hear of, however seldom it is asked.
        self._in_use.update({each.campaign_id: _TICKS_REMEMBERED for each in settlements if each.layout})
        if any(each.held for each in settlements):
            await self._lift_old_holds()
        reached = await self._apply(settlements, cursor)
        unbelievable = await self._unbelievable(settlements, reached)
        await self._apply([each for each in settlements if each.campaign_id in unbelievable], cursor, "wipe")

    async def _forget(self, moved: Collection[CampaignId], cursor: str) -> None:
        """Make the gates cold of campaigns that live here no more."""
        gone = [Settlement.blank(campaign) for campaign in moved]
        if gone:
            await self._apply(gone, cursor, "wipe")
        for campaign in moved:
            del self._in_use[campaign]

    async def _lift_old_holds(self) -> None:
        """Let people into campaigns again whose slices somebody wanted to move who is gone. Raises Fenced."""
        async with self._pool.acquire(timeout=5) as connection, connection.transaction():
            await lock_partition(connection, self._life.partition_no, self._life.epoch)
            await connection.execute(statement("lift_old_holds"), self._life.partition_no, HOLD_MAX_S)

    async def seed(self, campaigns: Collection[CampaignId], cursor: str) -> None:
        """Make gates that are cold warm, out of Postgres alone."""
        for cold in await self._cold(campaigns, cursor):
            await self._seed_one(cold, cursor)
            log.info("gate_seeded", partition=self._life.partition_no, campaign=str(cold.campaign_id))

    async def _cold(self, campaigns: Collection[CampaignId], cursor: str) -> list[Settlement]:
        """Those whose gates are cold indeed: a bell may have been rung many times."""
        facts = await self._facts(campaigns)
        # The next tick looks at them as well: a gate may be cold, and say besides that it knows more than there is to know.
        self._in_use.update({each.campaign_id: _TICKS_REMEMBERED for each in facts})
        reached = await self._apply(facts, cursor) if facts else []
        return [each for each, at in zip(facts, reached, strict=True) if at is None]

    async def _seed_one(self, cold: Settlement, cursor: str) -> None:
        """Wiped before it is read, so that nothing is lost that others commit meanwhile: what the snapshot lacks is settled
        after the wipe."""
        partition, campaign, seeding = self._life.partition_no, cold.campaign_id, token_hex(8)
        await self._apply([cold], cursor, "wipe", seeding)
        async with self._pool.acquire(timeout=5) as connection, connection.transaction(isolation="repeatable_read"):
            facts = await gate_facts(connection, partition, [campaign])
            users = await connection.cursor(statement("gate_users"), campaign, partition)
            page = await users.fetch(_SEED_PAGE)
            while page:
                holders = {UserId(user): active for user, active in page}
                more = [msgspec.structs.replace(each, users=holders) for each in facts]
                # Postgres reads the next page while Redis takes this one; and is not left in the middle of it.
                reading = asyncio.create_task(users.fetch(_SEED_PAGE))
                try:
                    await self._apply(more, cursor, "more", seeding)
                    crash_point("W9")
                finally:
                    page = await reading
        await self._apply(facts, cursor, "seed", seeding)

    async def _freed(self) -> list[CampaignId]:
        """Campaigns of which somebody gave something back lately, and may have been gone before he could tell the gate."""
        async with self._pool.acquire(timeout=5) as connection:
            rows = await connection.fetch(statement("freed_lately"), self._life.partition_no, self._freed_within_s)
        self._freed_within_s = _FREED_LATELY_S
        return [CampaignId(campaign) for (campaign,) in rows]

    async def _unbelievable(self, settlements: Sequence[Settlement], reached: Sequence[int | None]) -> set[CampaignId]:
        """Gates that claim to know of ledger rows that have not been written."""
        ahead = {
            settlement.campaign_id: at
            for settlement, at in zip(settlements, reached, strict=True)
            if at is not None and at > settlement.seq
        }
        # A direct writer may have committed and settled since we looked: look again before disbelieving it.
        later = await self._facts(ahead)
        return {settlement.campaign_id for settlement in later if settlement.seq < ahead[settlement.campaign_id]}

    async def _facts(self, campaigns: Collection[CampaignId]) -> list[Settlement]:
        if not campaigns:
            return []
        async with self._pool.acquire(timeout=5) as connection:
            return await gate_facts(connection, self._life.partition_no, campaigns)

    async def _apply(
        self, settlements: Sequence[Settlement], cursor: str, mode: Mode = "move", seeding: str = ""
    ) -> list[int | None]:
        partition, incarnation, term = self._life.partition_no, self._life.incarnation, Term(self._life.epoch, cursor)
        answer = await self._gate.settle(partition, incarnation, settlements, term, mode=mode, seeding=seeding)
        metrics.SETTLE_CALLS.inc()
        self._progressed()
        if isinstance(answer, Moved):
            raise IncarnationOver(f"incarnation {incarnation} of partition {partition} is over, or has another owner")
        return answer.sequences

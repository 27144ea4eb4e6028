"""Every attempt with its result, for who looks for guessers: kept in memory for an instant, written down in batches.

Nobody waits for it: while Postgres is away attempts gather, up to a bound, and beyond it they are counted and dropped. With
the batches go the counts that the velocity guard judges by. Whoever kills a front door destroys what its last turns kept.
"""

import asyncio
from collections import deque
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import asyncpg
import structlog

from frontdoor.problems import Problem
from frontdoor.replies import Reply
from frontdoor.visit import Attempt, Visit
from shared import attempts, clock, metrics
from shared.domain.attempt import storable
from shared.domain.ids import CampaignId, DoorId
from shared.postgres import NO_ANSWER, Pool, for_a_look

#: How often what has gathered is written: half of the tenth of a second that a crash may cost.
SHIP_EVERY_S = 0.05
#: How often the campaigns' counts go with a batch: all doors wait for each other at the row of a campaign that is rushed for.
COUNT_EVERY_S = 1.0
#: For how long counts that Postgres does not take are kept. They would all be of the minute in which it does: what gathers
#: while it is away for long would look like a rush, and have the guard pause a campaign that is none the worse.
COUNTED_WITHIN_S = 60.0
#: How long to leave Postgres alone after it did not take a batch.
REST_S = 0.5
#: How long a door that closes tries to write the rest.
FLUSH_WITHIN_S = 3.0
#: How many are made rows of in one turn of the loop, for a millisecond.
BATCH_MAX = 500

log = structlog.get_logger()


class Attempts:
    """The attempts of one front door, `most` of them at a time."""

    def __init__(self, pool: Pool, door: DoorId, most: int) -> None:
        self._pool = pool
        self._door = door
        self._most = most
        self._kept: deque[Attempt] = deque()
        self._traffic: dict[CampaignId, int] = {}
        self._count_due = 0.0
        self._counting_since = 0.0
        self._shipping = asyncio.Lock()

    def note(self, call: str, visit: Visit, reply: Reply) -> None:
        """Keep what a visit came to, if its code could be read."""
        attempt = visit.attempt
        if attempt.code is None:
            return
        # Of what the limits refused no campaign is known: one bot alone is not to have a campaign paused.
        if (campaign := attempt.campaign_id) is not None:
            if not self._traffic:
                self._counting_since = clock.monotonic()
            self._traffic[campaign] = self._traffic.get(campaign, 0) + 1
        if reply.status == 201:
            return  # written with the claim, by whoever committed it
        if len(self._kept) >= self._most:
            metrics.ATTEMPTS_SPILLED.add()
            return
        attempt.call, attempt.arrived_at, attempt.ip = call, visit.arrived_at, visit.ip
        attempt.result = reply.code if isinstance(reply, Problem) else str(reply.status)
        self._kept.append(attempt)

    async def keep_shipping(self) -> None:
        """Write down what gathers until cancelled, through any failure of Postgres."""
        while True:
            await asyncio.sleep(SHIP_EVERY_S)
            try:
                await self.ship()
            except (asyncpg.PostgresError, *NO_ANSWER) as error:
                log.warning("attempts_not_shipped", waiting=len(self._kept), error=repr(error))
                await asyncio.sleep(REST_S)

    async def flush(self) -> None:
        """Write down what is left, before the door closes; given up when Postgres does not take it soon."""
        try:
            async with asyncio.timeout(FLUSH_WITHIN_S), self._shipping:
                self._count_due = 0.0
                await self._ship()
        except (asyncpg.PostgresError, *NO_ANSWER) as error:
            metrics.ATTEMPTS_SPILLED.add(n=len(self._kept))
            log.error("attempts_lost", number=len(self._kept), error=repr(error))

    async def ship(self) -> None:
        """Write down what has gathered. What Postgres did not take stays. Raises what asyncpg raises, and TimeoutError."""
        async with self._shipping:
            await self._ship()

    async def _ship(self) -> None:
        while self._kept or self._counts_are_due():
            await self._ship_batch()

    async def _ship_batch(self) -> None:
        # They stay in the queue until they are written: so it never holds more than it may, and none is lost on the way.
        batch = list(islice(self._kept, BATCH_MAX))
        since, rows, counts = self._counting_since, self._rows(batch), self._take_counts()
        try:
            async with for_a_look(self._pool) as connection:
                await attempts.write(connection, rows, counts)
        except BaseException:
            self._take_back(counts, since)
            raise
        if counts:
            self._count_due = clock.monotonic() + COUNT_EVERY_S
        for _ in batch:
            self._kept.popleft()
        metrics.ATTEMPTS_SHIPPED.add(n=len(batch))

    def _counts_are_due(self) -> bool:
        return bool(self._traffic) and clock.monotonic() >= self._count_due

    def _take_counts(self) -> dict[CampaignId, int]:
        counts: dict[CampaignId, int] = {}
        if self._counts_are_due():
            counts, self._traffic = self._traffic, counts
        return counts

    def _take_back(self, counts: dict[CampaignId, int], since: float) -> None:
        """Keep counts that were not written, the oldest of `since`, unless they are too old for it."""
        if not counts or clock.monotonic() - since > COUNTED_WITHIN_S:
            return
        self._counting_since = since
        for campaign, number in counts.items():
            self._traffic[campaign] = self._traffic.get(campaign, 0) + number

    def _rows(self, batch: list[Attempt]) -> list[tuple[Any, ...]]:
        began = clock.unix_now() - asyncio.get_running_loop().time()
        return [
            (
                datetime.fromtimestamp(began + each.arrived_at, UTC),
                each.call,
                each.result,
                each.user_id,
                each.ip,
                storable(each.code or ""),
                each.campaign_id,
                each.claim_id,
                self._door,
            )
            for each in batch
        ]

"""Which partitions have a life, as one front door last saw: without one, no gate counts, and claims are decided directly.

What is remembered is only a reason to take one way or the other: the direct path looks again under the partition's lock.
"""

import asyncio

import structlog

from frontdoor.microbatch import MicroBatch
from shared import clock
from shared.book import lifeless
from shared.domain.ids import PartitionNo
from shared.postgres import NO_ANSWER, Pool, for_a_look

#: For how long a partition is not looked at again for those who only want to know where to go.
SEEN_S = 0.25

log = structlog.get_logger()


class Lives:
    """Looks at partitions in Postgres, and remembers for a moment what it saw."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._looks = MicroBatch(self._load)
        self._seen: dict[PartitionNo, tuple[float, bool]] = {}

    async def lifeless(self, partition: PartitionNo) -> bool:
        """Whether it has no life now, in a look shared with others. Raises what NO_ANSWER of Postgres names."""
        return bool(await self._looks.get(partition))

    async def all_lifeless(self, partitions: set[PartitionNo]) -> set[PartitionNo]:
        """Those that have no life now. Raises the same."""
        found = await asyncio.gather(*map(self.lifeless, partitions))
        return {partition for partition, is_lifeless in zip(partitions, found, strict=True) if is_lifeless}

    async def lately_lifeless(self, partition: PartitionNo) -> bool:
        """Whether it had none a moment ago; not, if Postgres did not say."""
        known = self.known(partition)
        if known is not None:
            return known
        try:
            return await self.lifeless(partition)
        except NO_ANSWER as error:
            log.warning("life_not_looked_up", partition=partition, error=repr(error))
            self.note(partition, lifeless=False)
            return False

    def known(self, partition: PartitionNo) -> bool | None:
        """Whether it had no life when it was last seen; None, if that is too long ago."""
        until, is_lifeless = self._seen.get(partition, (0.0, False))
        return is_lifeless if clock.monotonic() < until else None

    def note(self, partition: PartitionNo, *, lifeless: bool) -> None:
        """This is how it was seen just now."""
        self._seen[partition] = clock.monotonic() + SEEN_S, lifeless

    async def _load(self, partitions: list[PartitionNo]) -> dict[PartitionNo, bool]:
        async with for_a_look(self._pool) as connection:
            found = await lifeless(connection, partitions)
        for partition in partitions:
            self.note(partition, lifeless=partition in found)
        return dict.fromkeys(found, True)

"""Campaigns in the memory of a front door, and why they are never more than a second behind.

The process that changes a campaign says so at once, but a broadcast can be lost. So once a second the versions of all
campaigns in use are compared with Postgres, and those that were not used since the last time are forgotten: what is in memory
was found or compared within the second before, however rarely a code is asked for. A code that does not exist is not
remembered, for it may be created at any moment.
"""

import asyncio

import asyncpg
import structlog

from frontdoor.campaign_copies import CampaignCopies
from frontdoor.microbatch import MicroBatch
from shared.catalogue import campaigns_by_code, versions
from shared.domain.campaign import Campaign
from shared.domain.code import Code
from shared.postgres import NO_ANSWER, Pool
from shared.redis_client import Redis

#: A little less than the second within which a change is to be seen: the comparison takes its time too.
COMPARE_EVERY_S = 0.8

log = structlog.get_logger()


class CampaignCache:
    """At most `most` campaigns by code. `keep_comparing` keeps them true, and has to be running while they are used."""

    def __init__(self, pool: Pool, redis: Redis, most: int) -> None:
        self._pool = pool
        self._copies = CampaignCopies(redis)
        self._most = most
        self._known: dict[Code, Campaign] = {}
        self._used: set[Code] = set()
        self._found = MicroBatch(self._find)

    def peek(self, code: Code) -> Campaign | None:
        """The campaign of `code`, if it is in memory."""
        campaign = self._known.get(code)
        if campaign is not None:
            self._used.add(code)
        return campaign

    async def find(self, code: Code) -> Campaign | None:
        """The campaign of `code`; None when there is no such code.

        Whoever asks in the same turn shares a look-up: in memory, then in Redis, then in Postgres. Raises what
        `shared.postgres.NO_ANSWER` names when Postgres would know and does not answer.
        """
        return self.peek(code) or await self._found.get(code)

    async def changed(self, campaign: Campaign) -> None:
        """Forget what a campaign was before this process changed it, here and everywhere. Never fails."""
        if campaign.code is not None:
            self._forget(campaign.code)
        await self._copies.announce(campaign)

    def hear(self, message: bytes) -> None:
        """Forget the campaign whose code is broadcast: it has changed."""
        self._forget(Code(message.decode(errors="replace")))

    async def keep_comparing(self) -> None:
        """Compare again and again until cancelled, through any failure of either store."""
        while True:
            await asyncio.sleep(COMPARE_EVERY_S)
            try:
                await self.compare()
            except (asyncpg.PostgresError, *NO_ANSWER) as error:
                log.warning("campaigns_not_compared", error=repr(error))

    async def compare(self) -> None:
        """Read again what is in use and has another version in Postgres; forget what is not in use."""
        used, self._used = self._used, set()
        checked = {code: self._known[code] for code in used if code in self._known}
        try:
            current = await self._current(checked) if checked else {}
        except BaseException:
            self._used |= used
            raise
        for code in [code for code in self._known if code not in used and code not in self._used]:
            self._forget(code)
        for code in checked.keys() - current.keys():
            self._forget(code)
        changed = {code: campaign for code, campaign in current.items() if campaign is not checked[code]}
        self._keep(changed)
        await self._copies.write(changed)

    async def _find(self, codes: list[Code]) -> dict[Code, Campaign]:
        found = await self._copies.read(codes)
        self._keep(found)
        missing = [code for code in codes if code not in found]
        if not missing:
            return found
        async with self._pool.acquire(timeout=1) as connection:
            read = await campaigns_by_code(connection, missing)
        self._keep(read)
        await self._copies.write(read)
        return found | read

    async def _current(self, checked: dict[Code, Campaign]) -> dict[Code, Campaign]:
        """The same campaigns where their version is the same, read again where it is not, left out where they are gone."""
        async with self._pool.acquire(timeout=1) as connection:
            now = await versions(connection, {campaign.campaign_id for campaign in checked.values()})
            same = {code: known for code, known in checked.items() if now.get(known.campaign_id) == known.version}
            others = checked.keys() - same.keys()
            return same | (await campaigns_by_code(connection, others) if others else {})

    def _keep(self, campaigns: dict[Code, Campaign]) -> None:
        for code, campaign in campaigns.items():
            self._forget(code)
            self._known[code] = campaign
            self._used.add(code)
        while len(self._known) > self._most:
            self._forget(next(iter(self._known)))

    def _forget(self, code: Code) -> None:
        self._known.pop(code, None)

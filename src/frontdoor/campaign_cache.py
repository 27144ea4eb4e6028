"""Campaigns in the memory of a front door, and why they are never more than a second behind.

The process that changes a campaign says so at once, but a broadcast can be lost, and with it the end of a copy in Redis. So a
copy is believed when Postgres has the same version. Once a second the versions of all campaigns in use are compared, and those
that were not used for a while are forgotten: what is in memory was found or compared within the second before, however
rarely it is asked for. To compare a version among many costs less than to find its campaign again. A campaign is here once,
however many codes lead to it (see `directory`): to change what ten million codes give is to change one row.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Mapping
from uuid import UUID

import asyncpg
import structlog

from frontdoor.campaign_copies import CampaignCopies
from frontdoor.microbatch import MicroBatch
from shared.catalogue import campaigns_by_id, versions
from shared.domain.campaign import Campaign
from shared.domain.ids import CampaignId
from shared.postgres import NO_ANSWER, Pool, for_a_look
from shared.redis_client import Redis

#: A little less than the second within which a change is to be seen: the comparison takes its time too.
COMPARE_EVERY_S = 0.8

#: How often a campaign is compared that nobody asks for.
_COMPARED_UNUSED = 10

log = structlog.get_logger()


class _Kept:
    """A campaign in memory. `unused`: how often it was compared since it was last asked for."""

    __slots__ = ("campaign", "unused")

    def __init__(self, campaign: Campaign) -> None:
        self.campaign = campaign
        self.unused = 0


class CampaignCache:
    """At most `most` campaigns by their ids. `keep_comparing` keeps them true, and has to be running while they are used."""

    def __init__(self, pool: Pool, redis: Redis, most: int) -> None:
        self._pool = pool
        self._copies = CampaignCopies(redis)
        self._most = most
        self._known: OrderedDict[CampaignId, _Kept] = OrderedDict()
        self._found = MicroBatch(self._find)

    def peek(self, campaign_id: CampaignId) -> Campaign | None:
        """The campaign, if it is in memory."""
        kept = self._known.get(campaign_id)
        if kept is None:
            return None
        kept.unused = 0
        return kept.campaign

    async def find(self, campaign_id: CampaignId) -> Campaign | None:
        """The campaign; None when there is none of that id.

        Whoever asks in the same turn shares a look-up: in memory, then in Redis, of which Postgres must say that it is
        current, then in Postgres. Raises what `shared.postgres.NO_ANSWER` names when only Postgres would know and does not
        answer.
        """
        return self.peek(campaign_id) or await self._found.get(campaign_id)

    async def changed(self, campaign: Campaign) -> None:
        """Forget what a campaign was before this process changed it, here and everywhere. Never fails."""
        self._forget(campaign.campaign_id)
        await self._copies.announce(campaign)

    def hear(self, message: bytes) -> None:
        """Forget the campaign whose id is broadcast: it has changed."""
        try:
            self._forget(CampaignId(UUID(message.decode())))
        except ValueError as error:
            log.error("campaign_change_unreadable", error=str(error))

    async def keep_comparing(self) -> None:
        """Compare again and again until cancelled, through any failure of either store."""
        while True:
            await asyncio.sleep(COMPARE_EVERY_S)
            try:
                await self.compare()
            except (asyncpg.PostgresError, *NO_ANSWER) as error:
                log.warning("campaigns_not_compared", error=repr(error))

    async def compare(self) -> None:
        """Forget what is not in use; of the rest, read again what has another version in Postgres."""
        # First: who asks for one meanwhile must not have it kept as it was.
        for unused in [each for each, kept in self._known.items() if kept.unused >= _COMPARED_UNUSED]:
            self._forget(unused)
        checked = {each: kept.campaign for each, kept in self._known.items()}
        current = await self._current(checked, checked) if checked else {}
        for kept in self._known.values():
            kept.unused += 1
        for gone in checked.keys() - current.keys():
            self._forget(gone)
        changed = [campaign for each, campaign in current.items() if campaign is not checked[each]]
        self._keep(changed)
        await self._copies.write(changed)

    async def _find(self, campaigns: list[CampaignId]) -> dict[CampaignId, Campaign]:
        copies = await self._copies.read(campaigns)
        try:
            current = await self._current(campaigns, copies)
        except NO_ANSWER:
            # The copies are the best there is, as what is in memory is while it cannot be compared.
            self._keep(copies.values())
            if len(copies) < len(campaigns):
                raise
            return copies
        self._keep(current.values())
        await self._copies.write([campaign for each, campaign in current.items() if campaign is not copies.get(each)])
        return current

    async def _current(
        self, campaigns: Collection[CampaignId], known: Mapping[CampaignId, Campaign]
    ) -> dict[CampaignId, Campaign]:
        """The campaigns as last committed: as they are known where that is the same version, else read; without those gone."""
        async with for_a_look(self._pool) as connection:
            now = await versions(connection, known) if known else {}
            same = {each: campaign for each, campaign in known.items() if now.get(each) == campaign.version}
            others = [each for each in campaigns if each not in same]
            return same | (await campaigns_by_id(connection, others) if others else {})

    def _keep(self, campaigns: Collection[Campaign]) -> None:
        for campaign in campaigns:
            self._forget(campaign.campaign_id)
            self._known[campaign.campaign_id] = _Kept(campaign)
        while len(self._known) > self._most:
            self._known.popitem(last=False)

    def _forget(self, campaign_id: CampaignId) -> None:
        self._known.pop(campaign_id, None)

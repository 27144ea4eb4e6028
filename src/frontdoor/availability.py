"""Whether campaigns have anything to give, for callers who only want to know: asked of the gate at most twice a second each."""

import asyncio

from frontdoor.admission import Lack
from frontdoor.desk import Desk
from frontdoor.microbatch import MicroBatch
from shared import clock
from shared.domain.campaign import Campaign
from shared.domain.ids import CampaignId, PartitionNo
from shared.domain.outcomes import Refusal
from shared.errors import RedisUnavailable

#: For how long what the gate said is good enough for an answer that promises nothing.
GOOD_FOR_S = 0.5


class Availability:
    """What the gates said lately, for at most `most` campaigns."""

    def __init__(self, desk: Desk, most: int) -> None:
        self._desk = desk
        self._most = most
        self._said: dict[CampaignId, tuple[float, Lack | None]] = {}
        self._surveys = MicroBatch(self._survey)
        self._renewals: set[asyncio.Task[Lack | None]] = set()

    def knows(self, campaign: Campaign) -> bool:
        """Whether the gate was asked lately."""
        said = self._said.get(campaign.campaign_id)
        return said is not None and clock.monotonic() < said[0]

    async def learn(self, campaign: Campaign) -> None:
        """Ask the gate, unless it was asked lately."""
        if not self.knows(campaign):
            await self._surveys.get(campaign)

    def renew(self, campaign: Campaign) -> None:
        """Have the gate asked again, while nobody waits for it."""
        renewal = asyncio.create_task(self._surveys.get(campaign))
        self._renewals.add(renewal)
        renewal.add_done_callback(self._renewals.discard)

    def refusal(self, campaign: Campaign, *, own_code: bool) -> Refusal | None:
        """Why `campaign` gave nothing when the gate was last asked; None when it may, or when the gate did not say.

        `own_code`: whether it is asked for by its own code, not by a single-use one.
        """
        _, lack = self._said.get(campaign.campaign_id, (0.0, None))
        return None if lack is None or (lack.of_own_code and not own_code) else lack.refusal

    async def _survey(self, campaigns: list[Campaign]) -> dict[Campaign, Lack | None]:
        until = clock.monotonic() + GOOD_FOR_S
        if len(self._said) + len(campaigns) > self._most:
            self._said.clear()
        homes: dict[PartitionNo, list[Campaign]] = {}
        for campaign in campaigns:
            for part in campaign.slices:
                homes.setdefault(part.partition_no, []).append(campaign)
        found: dict[Campaign, Lack | None] = {}
        said = await asyncio.gather(*(self._ask(partition, there) for partition, there in homes.items()))
        for there, lacks in zip(homes.values(), said, strict=True):
            for campaign, lack in zip(there, lacks, strict=True):
                # It may give something as long as one of its slices may.
                found[campaign] = lack and found.get(campaign, lack)
        self._said.update({campaign.campaign_id: (until, lack) for campaign, lack in found.items()})
        return found

    async def _ask(self, partition: PartitionNo, campaigns: list[Campaign]) -> list[Lack | None]:
        try:
            return await self._desk.survey(partition, campaigns)
        except RedisUnavailable:
            return [None] * len(campaigns)

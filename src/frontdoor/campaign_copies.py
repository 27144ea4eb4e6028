"""Copies of campaigns in Redis, for a minute, shared by all front doors: of what there is a copy, Postgres tells the version
alone, and while Postgres is away it is known all the same.

Redis is advice here as everywhere: a copy that cannot be read is no copy, one that is out of date is found out by its version
(see `campaign_cache`), and while Redis does not answer nobody waits for it.
"""

import asyncio
from collections.abc import Awaitable, Collection, Sequence
from typing import TypeVar

import msgspec
import structlog

from shared import clock, keys
from shared.announcements import announce
from shared.domain.campaign import Campaign
from shared.domain.ids import CampaignId
from shared.errors import RedisUnavailable
from shared.redis_client import Redis, answer_of

T = TypeVar("T")

GOOD_FOR_S = 60

#: How long an answer is waited for, and for how long nothing is asked after none came.
_PATIENCE_S = 0.1
_REST_S = 1.0

log = structlog.get_logger()

_decode = msgspec.json.Decoder(Campaign).decode


class CampaignCopies:
    """The copies in one Redis. No method fails when Redis does."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._rests_until = 0.0

    async def read(self, campaigns: Sequence[CampaignId]) -> dict[CampaignId, Campaign]:
        """Those of the campaigns that there are copies of."""
        if clock.monotonic() < self._rests_until:
            return {}
        try:
            values = await answer_of(_soon(self._redis.mget([keys.campaign_copy(each) for each in campaigns])))
        except RedisUnavailable as error:
            self._rest("read", error)
            return {}
        found = (_readable(each, value) for each, value in zip(campaigns, values, strict=True) if value)
        return {campaign.campaign_id: campaign for campaign in found if campaign is not None}

    async def write(self, campaigns: Collection[Campaign]) -> None:
        """Leave copies for others."""
        if not campaigns or clock.monotonic() < self._rests_until:
            return
        pipeline = self._redis.pipeline(transaction=False)
        for campaign in campaigns:
            pipeline.set(keys.campaign_copy(campaign.campaign_id), msgspec.json.encode(campaign), ex=GOOD_FOR_S)
        try:
            await answer_of(_soon(pipeline.execute()))
        except RedisUnavailable as error:
            self._rest("write", error)

    async def announce(self, campaign: Campaign) -> None:
        """Take the copy away, then tell all front doors, so that whoever drops its own finds no copy of before."""
        await announce(self._redis, campaign.campaign_id)

    def _rest(self, doing: str, error: RedisUnavailable) -> None:
        self._rests_until = clock.monotonic() + _REST_S
        log.warning("campaign_copies_away", doing=doing, error=str(error))


async def _soon(call: Awaitable[T]) -> T:
    async with asyncio.timeout(_PATIENCE_S):
        return await call


def _readable(campaign_id: CampaignId, value: bytes) -> Campaign | None:
    """The copy, unless it was written by another version of us or put there by mistake."""
    try:
        campaign = _decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return campaign if campaign.campaign_id == campaign_id else None

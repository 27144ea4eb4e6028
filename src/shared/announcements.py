"""Telling the front doors that a campaign has changed. They find out by themselves within a second: this is quicker."""

import structlog

from shared import keys
from shared.domain.ids import CampaignId
from shared.errors import RedisUnavailable
from shared.redis_client import Redis, answer_of

log = structlog.get_logger()


async def announce(redis: Redis, campaign: CampaignId) -> None:
    """Take the copy away, then tell all front doors, so that whoever drops its own finds no copy of before. Never fails."""
    try:
        await answer_of(redis.delete(keys.campaign_copy(campaign)))
        await answer_of(redis.publish(keys.CAMPAIGN_CHANGED_CHANNEL, campaign.hex))
    except RedisUnavailable as error:
        log.warning("campaign_change_not_announced", campaign=str(campaign), error=str(error))

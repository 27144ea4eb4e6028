"""The velocity guard at work: a campaign that is suddenly asked for far too often is paused, and somebody is told.

Every worker process looks once a second, and none of them is in charge: whoever comes first pauses, the others find it done,
and so it is with telling. So the guard lives as long as any worker does.
"""

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import msgspec
import structlog

from shared import metrics, velocity
from shared.announcements import announce
from shared.book import DECIDE_AGAIN
from shared.domain.ids import CampaignId
from shared.domain.velocity import Policy
from shared.postgres import NO_ANSWER, Pool, for_a_look
from shared.process import stopped_within
from shared.redis_client import Redis
from shared.velocity import Untold

LOOK_EVERY_S = 1.0

#: How long a webhook may take, so that one that hangs does not keep the next alert for ever.
_TELL_WITHIN_S = 5.0

log = structlog.get_logger()


class Guard:
    """Looks after all campaigns; tells `webhook`, if there is one."""

    def __init__(self, pool: Pool, redis: Redis, policy: Policy, webhook: str | None) -> None:
        self._pool = pool
        self._redis = redis
        self._policy = policy
        self._webhook = webhook

    async def keep(self, stopping: asyncio.Event) -> None:
        """Look and tell until told to stop, through any failure of Postgres."""
        await asyncio.gather(_again_and_again(self.look, stopping), _again_and_again(self.tell, stopping))

    async def look(self) -> None:
        """Pause the campaigns that are asked for too much."""
        async with for_a_look(self._pool) as connection:
            suspected = await velocity.in_excess(connection, self._policy)
        for campaign in suspected:
            await self._pause(campaign)

    async def _pause(self, campaign: CampaignId) -> None:
        paused = await velocity.pause(self._pool, campaign, self._policy)
        if paused is None:
            return
        metrics.GUARD_PAUSES.inc()
        log.error("campaign_paused_by_guard", campaign=str(campaign), **msgspec.to_builtins(paused.why))
        await announce(self._redis, campaign)

    async def tell(self) -> None:
        """Tell the webhook of the pauses of which it has not heard."""
        if self._webhook is None:
            return
        while (pause := await self._untold()) is not None:
            if not await self._taken(self._webhook, pause):
                return
            async with for_a_look(self._pool) as connection:
                await velocity.told(connection, pause)

    async def _untold(self) -> Untold | None:
        async with for_a_look(self._pool) as connection:
            return await velocity.untold(connection)

    async def _taken(self, webhook: str, pause: Untold) -> bool:
        # Loading it takes a worker as long as a quarter of all else, for what hardly any of them ever does.
        import aiohttp

        fields = {"Content-Type": "application/json"}
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TELL_WITHIN_S)) as session,
                session.post(webhook, data=alert(pause), headers=fields, allow_redirects=False) as answer,
            ):
                fault = None if answer.status < 300 else f"status {answer.status}"
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            fault = repr(error)
        if fault is not None:
            metrics.ALERTS_NOT_TAKEN.inc()
            log.warning("alert_not_taken", campaign=str(pause.campaign_id), fault=fault)
        return fault is None


def alert(untold: Untold) -> bytes:
    """What the webhook is sent. `text` is what chat services show of it."""
    pause = untold.pause
    text = (
        f"Campaign {untold.name} was paused: {pause.attempts:,} attempts in the minute from {pause.minute:%H:%M} UTC, "
        f"where {pause.baseline:,.1f} a minute were usual."
    )
    return msgspec.json.encode(
        {
            "event": "campaign_paused_by_guard",
            "text": text,
            "campaign_id": untold.campaign_id,
            "name": untold.name,
            "code": untold.code,
            **msgspec.structs.asdict(pause),
        }
    )


async def _again_and_again(act: Callable[[], Awaitable[None]], stopping: asyncio.Event) -> None:
    while not await stopped_within(stopping, LOOK_EVERY_S):
        try:
            await act()
        except (asyncpg.PostgresError, *DECIDE_AGAIN, *NO_ANSWER) as error:
            log.warning("guard_waits", error=repr(error))
        except Exception as error:
            # Whatever it was, the next look may see more; a shard must not go on unguarded for it.
            log.error("guard_failed", exc_info=error)

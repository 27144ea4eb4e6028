"""What a front door's handlers share, under one key of the application."""

import structlog
from aiohttp import web
from multidict import CIMultiDictProxy

from frontdoor.availability import Availability
from frontdoor.campaign_cache import CampaignCache
from frontdoor.certificates import Certificates
from frontdoor.desk import Desk
from frontdoor.microbatch import MicroBatch
from frontdoor.problems import REFUSALS, Problem, accepted
from frontdoor.tokens import Identity, TokenVerifier, with_scope
from shared.domain.campaign import Campaign
from shared.domain.code import normal_form
from shared.domain.ids import ClaimId, DoorId, PartitionNo
from shared.domain.outcomes import Refusal
from shared.domain.settlement import Settlement
from shared.errors import RedisUnavailable
from shared.gate import Gate, Mode
from shared.postgres import Pool
from shared.redemptions import Told, outcomes
from shared.redis_client import Redis
from shared.settings import Settings

log = structlog.get_logger()


class Door:
    """One front door process."""

    def __init__(
        self, door_id: DoorId, settings: Settings, pool: Pool, redis: Redis, campaigns: CampaignCache, verifier: TokenVerifier
    ) -> None:
        self.door_id = door_id
        self.postgres_dsn = settings.postgres_dsn
        self.pool = pool
        self.redis = redis
        self.campaigns = campaigns
        self.verifier = verifier
        self.gate = Gate(redis, settings.mailbox_max)
        self.certificates = Certificates(settings.campaign_cache_max)
        self.desk = Desk(self.gate, pool, self.certificates, settings.waiters_max)
        self.availability = Availability(self.desk, settings.campaign_cache_max)
        self.outcomes = MicroBatch(self._load_outcomes)
        self.draining = False

    def identify(self, headers: CIMultiDictProxy[str]) -> Identity:
        """Who asks. Raises ProblemRaised (401)."""
        return accepted(self.verifier.identify(headers.get("Authorization")))

    def identify_with_scope(self, request: web.BaseRequest, scope: str) -> Identity:
        """Who asks, if the token has `scope`. Raises ProblemRaised (401, 403)."""
        return accepted(with_scope(self.identify(request.headers), scope))

    def known_campaign_of(self, typed: str) -> Campaign | None:
        """The campaign of a code as it was typed, if it is in memory."""
        code = normal_form(typed)
        return None if code is None else self.campaigns.peek(code)

    async def campaign_of(self, typed: str) -> Campaign | Problem:
        """The campaign of a code as it was typed."""
        code = normal_form(typed)
        found = None if code is None else await self.campaigns.find(code)
        return found or REFUSALS[Refusal.UNKNOWN_CODE]

    async def settle(self, partition: PartitionNo, settlements: list[Settlement], mode: Mode = "move") -> None:
        """Set gates to what was committed. A gate that cannot be told is put right by the partition's owner within a second."""
        try:
            living = await self.gate.living(partition)
            if living is not None:
                await self.gate.settle(partition, living, [(mode, settlement) for settlement in settlements])
        except RedisUnavailable as error:
            log.warning("gate_not_settled", partition=partition, error=str(error))

    async def _load_outcomes(self, claims: list[ClaimId]) -> dict[ClaimId, Told]:
        async with self.pool.acquire(timeout=1) as connection:
            return await outcomes(connection, claims)


DOOR: web.AppKey[Door] = web.AppKey("door", Door)

"""What a front door's handlers share, under one key of the application."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TypeVar

import asyncpg
import structlog
from aiohttp import web
from multidict import CIMultiDictProxy

from frontdoor.attempts import Attempts
from frontdoor.availability import Availability
from frontdoor.campaign_cache import CampaignCache
from frontdoor.certificates import Certificates
from frontdoor.code_cache import CodeCache
from frontdoor.code_filter import CodeFilter
from frontdoor.desk import Desk
from frontdoor.directory import Directory
from frontdoor.key_keeping import KeyKeeper
from frontdoor.limiter import limiter
from frontdoor.microbatch import MicroBatch
from frontdoor.problems import accepted
from frontdoor.ticks import Ticks
from frontdoor.tokens import Identity, TokenVerifier, with_scope
from frontdoor.windows import shut
from shared import code_log
from shared.catalogue import used_codes
from shared.domain.campaign import Campaign
from shared.domain.code import Code
from shared.domain.ids import CampaignId, DoorId, PartitionNo
from shared.domain.outcomes import Refusal
from shared.domain.settlement import Settlement
from shared.errors import RedisUnavailable
from shared.gate import Gate
from shared.postgres import NO_ANSWER, Connection, Pool, for_a_look
from shared.redemptions import by_order, outcomes, standing_by_order
from shared.redis_client import Redis, answer_of
from shared.segments import memberships
from shared.settings import Settings

K = TypeVar("K")
V = TypeVar("V")

log = structlog.get_logger()


class Door:
    """One front door process."""

    def __init__(
        self,
        door_id: DoorId,
        settings: Settings,
        pool: Pool,
        redis: Redis,
        campaigns: CampaignCache,
        verifier: TokenVerifier,
        keeper: KeyKeeper | None = None,
    ) -> None:
        self.door_id = door_id
        self.postgres_dsn = settings.postgres_dsn
        self.pool = pool
        self.redis = redis
        self.campaigns = campaigns
        self.verifier = verifier
        self.keeper = keeper
        self.gate = Gate(redis, settings.mailbox_max)
        self.certificates = Certificates(settings.campaign_cache_max, self._renew)
        self.desk = Desk(self.gate, pool, self.certificates, self.shut, settings.waiters_max, self.newest)
        self.availability = Availability(self.desk, settings.campaign_cache_max)
        self.code_filter = CodeFilter(door_id, pool, settings.filter_dir)
        self.directory = Directory(CodeCache(pool, settings.code_cache_max), campaigns, self.code_filter.lacks)
        self.outcomes = self._looked_up(outcomes)
        self.segments = self._looked_up(memberships)
        self.orders = self._looked_up(by_order)
        self.standing = self._looked_up(standing_by_order)
        self.used_codes = self._looked_up(_used)
        self.attempts = Attempts(pool, door_id, settings.attempts_max)
        self.limiter = limiter(settings, redis)
        self.ticks = Ticks()
        self.trusted_proxies = settings.trusted_proxies
        self.draining = False

    def identify(self, headers: CIMultiDictProxy[str]) -> Identity:
        """Who asks. Raises ProblemRaised (401)."""
        return accepted(self.verifier.identify(headers.get("Authorization")))

    def identify_with_scope(self, request: web.BaseRequest, scope: str) -> Identity:
        """Who asks, if the token has `scope`. Raises ProblemRaised (401, 403)."""
        return accepted(with_scope(self.identify(request.headers), scope))

    def shut(self, campaign: Campaign) -> Refusal | None:
        """Why a campaign's window is shut beyond doubt, by the version that is known now: who waits may hold an older one."""
        known = self.campaigns.peek(campaign.campaign_id)
        return None if known is None else shut(known)

    async def newest(self, campaign: Campaign) -> Campaign:
        """A campaign as it is known now: who waits may hold an older version. Itself, when nobody says."""
        try:
            return await self.campaigns.find(campaign.campaign_id) or campaign
        except (asyncpg.PostgresError, *NO_ANSWER):
            return campaign

    async def settle_all(self, gates: Iterable[tuple[PartitionNo, Settlement]]) -> None:
        """Set gates of any partitions to what was committed."""
        there: dict[PartitionNo, list[Settlement]] = {}
        for partition, settlement in gates:
            there.setdefault(partition, []).append(settlement)
        await asyncio.gather(*(self.settle(partition, settlements) for partition, settlements in there.items()))

    async def settle(self, partition: PartitionNo, settlements: list[Settlement]) -> None:
        """Set gates to what was committed. A gate that cannot be told is put right by the partition's owner within a second."""
        try:
            living = await self.gate.living(partition)
            if living is not None:
                await self.gate.settle(partition, living, settlements)
        except RedisUnavailable as error:
            log.warning("gate_not_settled", partition=partition, error=str(error))

    async def warm(self, campaign: Campaign) -> None:
        """Have a campaign's cold gates seeded by their owners, who hear it whenever one is asked for."""
        try:
            await asyncio.gather(*(self.desk.survey(part.partition_no, [campaign]) for part in campaign.slices))
        except RedisUnavailable as error:
            log.warning("gate_not_asked_for", campaign=str(campaign.campaign_id), error=str(error))

    async def codes_added(self) -> None:
        """To be awaited before it is said that codes were added: from then on every door knows of them."""
        self.code_filter.hear()
        await code_log.ring(self.redis)
        await code_log.known_everywhere(self.pool)

    async def look_in_vain(self) -> None:
        """Ask what the look-up of a code asks: for leave, in Redis, and then Postgres, for what is no code."""
        await answer_of(self.redis.ping())
        await self.directory.look_in_vain()

    def _renew(self, campaign_id: CampaignId) -> None:
        campaign = self.campaigns.peek(campaign_id)
        if campaign is not None:
            self.availability.renew(campaign)

    def _looked_up(self, read: Callable[[Connection, list[K]], Awaitable[Mapping[K, V]]]) -> MicroBatch[K, V]:
        """Look-ups in Postgres that share a statement."""

        async def load(asked: list[K]) -> Mapping[K, V]:
            async with for_a_look(self.pool) as connection:
                return await read(connection, asked)

        return MicroBatch(load)


async def _used(connection: Connection, codes: list[Code]) -> dict[Code, bool]:
    return dict.fromkeys(await used_codes(connection, codes), True)


DOOR: web.AppKey[Door] = web.AppKey("door", Door)

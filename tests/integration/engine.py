"""The engine's rooms put together in one process: a campaign, shards that serve it, a front door that asks.

Nothing here stands in for anything: the stores are real, and `Owner` does with the engine's own parts, step by step, what a
consumer does in its loop, so that a test can stop between any two steps.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import asyncpg
import msgspec

from claim_workers.committer import Committed, Committer
from claim_workers.consumer import Stores
from claim_workers.incarnation import Life, enter
from claim_workers.keeper import Keeper, acquired
from claim_workers.main import KEEPING, READ_WITHIN_S
from claim_workers.settling import Settler
from frontdoor.certificates import Certificates
from frontdoor.desk import Desk
from frontdoor.listening import listen
from frontdoor.submissions import Answer
from shared import campaigns, clock, keys, mailbox
from shared.catalogue import campaigns_by_id
from shared.domain.campaign import Campaign
from shared.domain.code import Code
from shared.domain.discount import Discount
from shared.domain.draft import CampaignDraft, planned
from shared.domain.ids import CampaignId, DoorId, PartitionNo, ShardId, UserId, claim_id, home_partition
from shared.domain.operations import SubmitClaim, body_hash
from shared.domain.outcomes import Refusal
from shared.gate import Admission, CampaignAsk, CampaignReply, ClaimAsk, Gate, Verdict
from shared.mailbox import Entry, Mailbox
from shared.postgres import NO_ANSWER, Pool, close_pool, for_a_look, open_pool
from shared.process import abandoned
from shared.redis_client import Redis, open_redis
from tests.proxy import Link

MAILBOX_MAX = 20_000


async def until(condition: Callable[[], Awaitable[object]], within_s: float = 10.0) -> float:
    """Wait until `condition` holds, and return for how many seconds it did not."""
    began = clock.monotonic()
    while not await condition():
        if clock.monotonic() - began > within_s:
            raise TimeoutError(f"not within {within_s} s: {condition}")
        await asyncio.sleep(0.005)
    return clock.monotonic() - began


async def launch(pool: Pool, total_limit: int | None = 10, *, partition: int | None = None, **different: Any) -> Campaign:
    """Create a campaign as an administrator does; in `partition`, when the test cares."""
    campaign_id = CampaignId(uuid4())
    while partition is not None and home_partition(campaign_id) != partition:
        campaign_id = CampaignId(uuid4())
    draft = CampaignDraft(
        **{
            "name": "Black Friday",
            "type": "shared",
            "code": f"BF{campaign_id.hex[:12]}",
            "discount": Discount("percent", 10),
            "total_limit": total_limit,
            **different,
        }
    )
    campaign = planned(draft, campaign_id)
    assert isinstance(campaign, Campaign)
    committed = await campaigns.create(pool, campaign, UserId("admin"))
    assert isinstance(committed, campaigns.Committed)
    return committed.campaign


def home(campaign: Campaign) -> PartitionNo:
    """The partition that a campaign lives in."""
    return campaign.slices[0].partition_no


def claim_of(
    campaign: Campaign,
    user: str,
    key: str = "k",
    *,
    code: str | None = None,
    order_id: str = "order",
    subtotal: int | None = None,
    door: str = "door",
    ticket: int = 1,
) -> SubmitClaim:
    """The claim that `user` means by `key`; by the campaign's own code, or by another of its codes."""
    asked = Code(code or campaign.code or "")
    body = body_hash(asked, order_id, subtotal)
    name = UserId(user)
    return SubmitClaim(
        claim_id(name, key),
        campaign.campaign_id,
        campaign.slice_for(name).slice_no,
        name,
        asked,
        order_id,
        subtotal,
        key,
        body,
        DoorId(door),
        ticket,
    )


def posted(claims: Sequence[SubmitClaim], first: int = 1) -> list[Entry]:
    """Claims as entries of a mailbox, one after the other from id `first`-0 on."""
    return [Entry(f"{number}-0", claim, mailbox.encode(claim)) for number, claim in enumerate(claims, first)]


async def gain(pool: Pool, partition: PartitionNo, shard: str = "shard") -> int:
    """Own a partition from now on, whoever did before; the epoch of the lease."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("UPDATE partitions SET lease_until = '-infinity' WHERE partition_no = $1", partition)
        epochs = await acquired(connection, [partition], ShardId(shard), 60.0)
    return epochs[partition]


async def at_commit(pool: Pool, sqlstate: str, times: int = 1_000_000) -> None:
    """Let Postgres object to the next `times` commits of redemptions, new or changed, in the very last moment."""
    await pool.execute(
        f"CREATE SEQUENCE objections; "
        f"CREATE FUNCTION objection() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF nextval('objections') <= {times} THEN RAISE EXCEPTION 'objection' USING ERRCODE = '{sqlstate}'; END IF; "
        f"RETURN NULL; END $$; "
        f"CREATE CONSTRAINT TRIGGER objection AFTER INSERT OR UPDATE ON redemptions DEFERRABLE INITIALLY DEFERRED "
        f"FOR EACH ROW EXECUTE FUNCTION objection()"
    )


class Owner:
    """The owner of one partition, one step at a time."""

    def __init__(self, pool: Pool, redis: Redis, life: Life) -> None:
        self.life = life
        self.gate = Gate(redis, MAILBOX_MAX)
        self.mailbox = Mailbox(redis, life.partition_no, life.incarnation)
        self.committer = Committer(pool, life)
        self.settler = Settler(pool, self.gate, life)
        self.cursor, self._bell = life.cursor, "0-0"

    @classmethod
    async def of(cls, pool: Pool, redis: Redis, partition: PartitionNo, *, fresh: bool = False) -> "Owner":
        """Take the partition over, as a shard does that gains it; unless `fresh`, its life began long ago."""
        epoch = await gain(pool, partition)
        life = await enter(pool, redis, Gate(redis, MAILBOX_MAX), partition, epoch)
        if not fresh:
            await redis.hset(keys.term(partition, life.incarnation), "began", "0")  # type: ignore[misc]
        owner = cls(pool, redis, life)
        await owner.vouch()
        return owner

    async def vouch(self) -> None:
        """Let the gate refuse by itself for a moment; every other step does so, too."""
        partition, name, epoch = self.life.partition_no, self.life.incarnation, self.life.epoch
        now_ms = await self.gate.vouch(partition, name, epoch, 0)
        if isinstance(now_ms, int):
            await self.gate.vouch(partition, name, epoch, now_ms + 1_900)

    async def commit(self) -> list[Committed]:
        """Read and commit what has come, and tell nobody: what a shard leaves that is killed here."""
        await self.vouch()
        post = await self.mailbox.read(self.cursor, self._bell, 512, 1)
        self._bell = post.bell
        committed = await self.committer.commit(post.entries) if post.entries else []
        # Reservations of what has been committed stay until it is settled: their users would look as if they held nothing.
        await self.settler.seed(post.cold, self.cursor)
        self.cursor = committed[-1].cursor if committed else self.cursor
        return committed

    async def turn(self) -> None:
        """Read, commit, settle and seed, once."""
        for committed in await self.commit():
            await self.settler.settle(committed.settlements, committed.cursor)

    async def ask(self, *claims: tuple[Campaign, SubmitClaim]) -> tuple[list[Verdict], list[CampaignReply]]:
        """What the gate says to a door that knows nothing."""
        await self.vouch()
        known = {campaign.campaign_id: campaign for campaign, _ in claims}
        answer = await self.gate.admit(
            self.life.partition_no,
            self.life.incarnation,
            [_campaign_ask(campaign, self.life.partition_no) for campaign in known.values()],
            [
                ClaimAsk(
                    list(known).index(campaign.campaign_id),
                    claim.claim_id,
                    claim.user_id,
                    False,
                    mailbox.encode(claim),
                    own_code=claim.code == campaign.code,
                )
                for campaign, claim in claims
            ],
        )
        assert isinstance(answer, Admission)
        return [Verdict(verdict) for verdict in answer.verdicts], answer.campaigns


def _campaign_ask(campaign: Campaign, partition: PartitionNo) -> CampaignAsk:
    part = campaign.slice_in(partition)
    return CampaignAsk(campaign.campaign_id, "", b"", 0, part.slice_no, part.layout)


@asynccontextmanager
async def opened_stores(dsn: str, redis_url: str) -> AsyncIterator[Stores]:
    """What one worker process connects to."""
    pool, keeping = await open_pool(dsn, 8), await open_pool(dsn, KEEPING, lock_wait_s=0.1)
    redis, reading = open_redis(redis_url), open_redis(redis_url, reply_within_s=READ_WITHIN_S)
    try:
        yield Stores(pool, keeping, redis, reading, Gate(redis, MAILBOX_MAX))
    finally:
        await redis.aclose()
        await reading.aclose()
        await close_pool(keeping)
        await close_pool(pool)


@asynccontextmanager
async def by_way_of(stores: Stores, redis: Link) -> AsyncIterator[Stores]:
    """The stores of a shard that reaches Redis by this link."""
    client, reading = open_redis(redis.url), open_redis(redis.url, reply_within_s=5.0)
    try:
        gate = Gate(client, MAILBOX_MAX)
        yield msgspec.structs.replace(stores, redis=client, reading=reading, gate=gate)
    finally:
        await client.aclose()
        await reading.aclose()


class Shard:
    """A keeper at work."""

    def __init__(self, stores: Stores, name: str, ttl_s: float) -> None:
        self.name = name
        self._pool = stores.pool
        self._stopping = asyncio.Event()
        self._keeper = Keeper(stores, ShardId(name), ttl_s, batch_max=512)
        self._keeping = asyncio.create_task(self._keeper.keep(self._stopping))

    async def owned(self) -> list[int]:
        """The partitions that Postgres says are this shard's."""
        rows = await self._pool.fetch(
            "SELECT partition_no FROM partitions WHERE owner = $1 AND lease_until > clock_timestamp() ORDER BY 1", self.name
        )
        return [number for (number,) in rows]

    async def stop(self) -> None:
        """As SIGTERM does."""
        self._stopping.set()
        await self._keeping

    async def kill(self) -> None:
        """As SIGKILL does: nothing is finished, and nothing resigned."""
        await abandoned(self._keeping, *(task for _, task in self._keeper._serving.values()))


@asynccontextmanager
async def shard_at_work(stores: Stores, name: str = "shard", ttl_s: float = 3.0) -> AsyncIterator[Shard]:
    """A shard that is stopped afterwards, if the test has not ended it."""
    shard = Shard(stores, name, ttl_s)
    try:
        yield shard
    finally:
        await shard.stop() if not shard._keeping.done() else None


class Door:
    """A front door from the desk inwards. `shut`: why it thinks that campaigns are."""

    def __init__(self, name: str, pool: Pool, redis: Redis) -> None:
        self.name = DoorId(name)
        self._pool = pool
        self.gate = Gate(redis, MAILBOX_MAX)
        self.certificates = Certificates(100)
        self.shut: Refusal | None = None
        self.desk = Desk(self.gate, pool, self.certificates, lambda _: self.shut, 1_000, self._newest)

    async def _newest(self, campaign: Campaign) -> Campaign:
        try:
            async with for_a_look(self._pool) as connection:
                return (await campaigns_by_id(connection, [campaign.campaign_id]))[campaign.campaign_id]
        except (asyncpg.PostgresError, *NO_ANSWER):
            return campaign

    async def redeem(
        self,
        campaign: Campaign,
        user: str,
        key: str = "k",
        *,
        order_id: str = "order",
        wait_s: float = 10.0,
    ) -> Answer:
        """What `user` is answered."""
        claim = claim_of(campaign, user, key, order_id=order_id, door=self.name, ticket=0)
        return await self.desk.submit(claim, campaign, wait_s)


@asynccontextmanager
async def open_door(pool: Pool, redis_url: str, name: str = "door", *, hears: bool = True) -> AsyncIterator[Door]:
    """A door that hears the outcome feed, or one whose every message is lost."""
    redis, channel = open_redis(redis_url), open_redis(redis_url, reply_within_s=None)
    door, heard = Door(name, pool, redis), asyncio.Event()
    listening = asyncio.create_task(listen(channel, {keys.outcome_channel(door.name): door.desk.hear}, heard))
    try:
        await heard.wait()
        if not hears:
            listening.cancel()
        yield door
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await redis.aclose()
        await channel.aclose()

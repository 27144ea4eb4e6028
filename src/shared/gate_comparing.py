"""The gates of a partition against Postgres, while the engine works.

Whatever differs is looked at again after a while, when all that was committed before has reached the gates: what is the same
then is drift. Users are read in pages on either side, and only so many of those who differ are kept.
"""

import asyncio
from collections.abc import Collection, Sequence
from operator import attrgetter

import msgspec

from shared import clock
from shared.domain.drift import Drift, DriftKind, GateState, MarkSum, confirmed, gate_drifts, marks_drifts, user_drifts
from shared.domain.ids import CampaignId, Incarnation, PartitionNo, UserId, user_mark, user_of
from shared.gate import Gate
from shared.gate_facts import gate_facts
from shared.gate_reading import GateReader
from shared.postgres import Connection, Pool
from shared.redis_client import Redis
from shared.statements import statement

#: Between two looks: more than a gate in use goes without being set again.
PAUSE_S = 1.5

#: How long what is committed may take to reach the gates: longer than any change of owners.
SETTLED_WITHIN_S = 10.0
_LOOK_AGAIN_S = 0.1

#: How many users of one gate are told of.
_MOST_USERS = 100
_USERS_AT_A_TIME = 500

#: After each page of users, so that whatever else this process does is not kept waiting.
_BREATH_S = 0.005


class Looked(msgspec.Struct, frozen=True):
    """How many warm gates were compared, and what is wrong with them."""

    gates: int
    drifts: list[Drift]


class _Life(msgspec.Struct, frozen=True):
    incarnation: Incarnation | None
    cursor: str


class GateComparison:
    """Compares the gates of one partition. Its calls raise RedisUnavailable when Redis gives no answer."""

    def __init__(self, pool: Pool, redis: Redis, gate: Gate, partition: PartitionNo, pause_s: float = PAUSE_S) -> None:
        self._pool = pool
        self._redis = redis
        self._gate = gate
        self._partition = partition
        self._pause_s = pause_s

    async def look(self) -> Looked:
        """Compare all gates that are warm, twice where something differs."""
        life = await self._life()
        if life.incarnation is None:
            return Looked(0, [])
        reader = GateReader(self._redis, self._partition, life.incarnation)
        compared, suspected = set[CampaignId](), list[Drift]()
        async for campaigns in reader.campaigns():
            states = await reader.states([each for each in campaigns if each not in compared])
            compared.update(state.campaign_id for state in states)
            suspected += await self._drifts(reader, states)
        return Looked(len(compared), await self._confirmed(reader, life, suspected) if suspected else [])

    async def _life(self) -> _Life:
        """The life that both stores are in; none while they disagree, for then another begins, in which all gates are cold."""
        async with self._pool.acquire() as connection:
            [(incarnation, cursor)] = await connection.fetch(statement("partition_life"), self._partition)
        agreed = incarnation is not None and await self._gate.living(self._partition) == incarnation
        return _Life(incarnation if agreed else None, cursor)

    async def _confirmed(self, reader: GateReader, life: _Life, suspected: Sequence[Drift]) -> list[Drift]:
        await asyncio.sleep(self._pause_s)
        now = await self._life()
        if now.incarnation != life.incarnation:
            return []
        if not await _settled(reader, now.cursor):
            late = Drift(DriftKind.MAILBOX_UNSETTLED, self._partition, None, "", f"settled up to {now.cursor}", "not settled")
            return [late]
        campaigns = sorted({drift.campaign_id for drift in suspected if drift.campaign_id is not None})
        return confirmed(suspected, await self._drifts(reader, await reader.states(campaigns)))

    async def _drifts(self, reader: GateReader, states: Sequence[GateState]) -> list[Drift]:
        return [drift for state in states for drift in await self._compare(reader, state)]

    async def _compare(self, reader: GateReader, gate: GateState) -> list[Drift]:
        async with self._pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
            facts = await gate_facts(connection, self._partition, [gate.campaign_id])
            if not facts:
                return gate_drifts(self._partition, None, gate)
            slices: int = await connection.fetchval(statement("slices_in_all"), gate.campaign_id)
            of_terms = gate_drifts(self._partition, facts[0], gate, slices)
            return [*of_terms, *await self._compare_users(connection, reader, gate, slices)]

    async def _compare_users(self, connection: Connection, reader: GateReader, gate: GateState, slices: int) -> list[Drift]:
        """Everybody whom Postgres knows, then whoever the gate knows besides, then the marks if both know as many."""
        campaign = gate.campaign_id
        marks, drifts, missing = MarkSum(), list[Drift](), 0
        users = await connection.cursor(statement("gate_users"), campaign, self._partition)
        while chunk := await users.fetch(_USERS_AT_A_TIME):
            active = {UserId(user): number for user, number in chunk}
            held = await reader.held(campaign, list(active))
            found = user_drifts(self._partition, campaign, active, held, slices)
            missing += sum(drift.kind is DriftKind.USER_MISSING for drift in found)
            drifts = _fewest(drifts, found)
            marks = marks.plus([user_mark(user) for user in active])
            await asyncio.sleep(_BREATH_S)
        if gate.users > marks.count - missing:
            drifts = _fewest(drifts, await self._unknown(connection, reader, campaign))
        if gate.users == marks.count:
            drifts += marks_drifts(self._partition, campaign, marks, await reader.marks(campaign))
        return drifts

    async def _unknown(self, connection: Connection, reader: GateReader, campaign: CampaignId) -> list[Drift]:
        """Users of the gate who have no redemption in this snapshot."""
        drifts: list[Drift] = []
        async for held in reader.users(campaign):
            asked = [user for user in held if user_of(user) is not None]
            known = {user for (user,) in await connection.fetch(statement("known_users"), campaign, asked)}
            drifts = _fewest(drifts, [self._stranger(campaign, user, held[user]) for user in held.keys() - known])
            await asyncio.sleep(_BREATH_S)
        return drifts

    def _stranger(self, campaign: CampaignId, user: UserId, held: str) -> Drift:
        return Drift(DriftKind.USER_UNKNOWN, self._partition, campaign, user, "unknown", held)


async def _settled(reader: GateReader, cursor: str) -> bool:
    deadline = clock.monotonic() + SETTLED_WITHIN_S
    while not await reader.settled(cursor):
        if clock.monotonic() >= deadline:
            return False
        await asyncio.sleep(_LOOK_AGAIN_S)
    return True


def _fewest(drifts: Collection[Drift], more: Collection[Drift]) -> list[Drift]:
    """Always the first by name, so that two looks keep the same ones."""
    return sorted([*drifts, *more], key=attrgetter("subject"))[:_MOST_USERS]

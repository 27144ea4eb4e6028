"""Everybody wins, in one campaign or in many: the campaigns, the requests, and who must be in the database afterwards."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import asyncpg

from frontdoor.tokens import issue
from lastslot import crowd
from lastslot.running import Stack
from loadtest.trial import HOST, Trial, Wrong

_AT_ONCE = 16

_HELD = """
SELECT s.claimed, s.budget, count(r.redemption_id) AS rows, count(DISTINCT r.user_id) AS users
FROM campaign_slices s
LEFT JOIN redemptions r ON r.campaign_id = s.campaign_id AND r.released_at IS NULL
WHERE s.campaign_id = ANY ($1::uuid[])
GROUP BY s.campaign_id, s.claimed, s.budget
"""


class Campaigns:
    """Campaigns that people are spread over evenly, with a slot for everybody who comes."""

    def __init__(self, stack: Stack, codes: Sequence[str], ids: Sequence[UUID], held: int) -> None:
        self._stack = stack
        self.codes = codes
        self.ids = ids
        self._held = held

    @classmethod
    async def open(cls, stack: Stack, named: str, count: int, slots_each: int, held: int = 0) -> "Campaigns":
        """Open `count` of them. `held`: how many slots of each will be held before anybody comes."""
        codes = [f"GROWTH-{named}-{number}".upper() for number in range(count)]
        ids: list[UUID] = []
        for first in range(0, count, _AT_ONCE):
            some = [crowd.open_campaign(stack, code, slots_each + held) for code in codes[first : first + _AT_ONCE]]
            ids += [shown.campaign_id for shown in await asyncio.gather(*some)]
        return cls(stack, codes, ids, held)

    def trial(self, people: int, named: str) -> Trial:
        """So many people, each new; as many for each campaign."""
        users = [f"usr_{named}_{number}" for number in range(people)]
        secret = self._stack.jwt_secret
        requests = [
            crowd.redeem(HOST, self.codes[number % len(self.codes)], user, issue(secret, user))
            for number, user in enumerate(users)
        ]
        self._held += people // len(self.codes)
        return Trial(requests, {201: people}, "", 0)

    async def verify(self) -> None:
        """Every campaign has exactly as many winners as people came, each once. Raises Wrong."""
        connection = await asyncpg.connect(self._stack.postgres_dsn)
        try:
            rows = await connection.fetch(_HELD, self.ids)
        finally:
            await connection.close()
        for claimed, budget, redemptions, users in rows:
            if {claimed, redemptions, users} != {self._held} or claimed > budget:
                raise Wrong(f"a campaign has {redemptions} redemptions, {users} users, {claimed} claimed, not {self._held}")
        if len(rows) != len(self.ids):
            raise Wrong(f"{len(rows)} of {len(self.ids)} campaigns are in the database")

"""What the stores know of submissions: which are still in a mailbox, and what is committed of them."""

import asyncio
from collections.abc import Iterable

from frontdoor.microbatch import MicroBatch
from frontdoor.submissions import Submission
from shared.domain.ids import CampaignId, ClaimId, PartitionNo, UserId
from shared.domain.operations import SubmitClaim
from shared.errors import RedisUnavailable
from shared.gate import Gate
from shared.postgres import Pool, for_a_look
from shared.redemptions import Standing, standings

_Asked = tuple[ClaimId, CampaignId, UserId]


class LookUps:
    """Look-ups in the gate and in Postgres."""

    def __init__(self, gate: Gate, pool: Pool) -> None:
        self._gate = gate
        self._pool = pool
        self._standings = MicroBatch(self._load)

    async def standing(self, submission: Submission) -> Standing | None:
        """What is committed about this one, in a call shared with others. Raises what NO_ANSWER of Postgres names."""
        return await self._standings.get(_asked(submission.claim))

    async def standings(self, submissions: list[Submission]) -> dict[ClaimId, Standing]:
        """What is committed about each of these, by claim. Raises what NO_ANSWER of Postgres names."""
        found = await self._load([_asked(submission.claim) for submission in submissions])
        return {asked[0]: standing for asked, standing in found.items()}

    async def pending(self, submissions: list[Submission]) -> set[ClaimId]:
        """The claims of these that are in their mailbox; all of a partition's, when Redis does not say."""
        claims: dict[PartitionNo, list[ClaimId]] = {}
        for submission in submissions:
            claims.setdefault(submission.partition_no, []).append(submission.claim.claim_id)
        found = await asyncio.gather(*(self._pending(partition, ids) for partition, ids in claims.items()))
        return set().union(*found)

    async def _pending(self, partition: PartitionNo, claims: list[ClaimId]) -> Iterable[ClaimId]:
        try:
            return await self._gate.pending(partition, claims)
        except RedisUnavailable:
            return claims

    async def _load(self, asked: list[_Asked]) -> dict[_Asked, Standing]:
        async with for_a_look(self._pool) as connection:
            return await standings(connection, asked)


def _asked(claim: SubmitClaim) -> _Asked:
    return claim.claim_id, claim.campaign_id, claim.user_id

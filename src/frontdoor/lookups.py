"""What the stores know of submissions: which are still in a mailbox, and what is committed of them."""

from frontdoor.microbatch import MicroBatch
from frontdoor.submissions import Submission
from shared.domain.ids import CampaignId, ClaimId, PartitionNo, UserId
from shared.domain.operations import SubmitClaim
from shared.errors import RedisUnavailable
from shared.gate import Gate
from shared.postgres import Pool
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
        pending: set[ClaimId] = set()
        for partition, ids in claims.items():
            try:
                pending.update(await self._gate.pending(partition, ids))
            except RedisUnavailable:
                pending.update(ids)
        return pending

    async def _load(self, asked: list[_Asked]) -> dict[_Asked, Standing]:
        async with self._pool.acquire(timeout=1) as connection:
            return await standings(connection, asked)


def _asked(claim: SubmitClaim) -> _Asked:
    return claim.claim_id, claim.campaign_id, claim.user_id

"""The desk of a front door: takes a claim, sees it through the gate and the mailbox, and hands out what became of it.

One submission per claim and door; whoever asks for the same claim meanwhile joins it. Nothing here decides anything: a success
is only ever what was committed.
"""

import msgspec
import structlog

from frontdoor.admission import Lack, Shut
from frontdoor.certificates import Certificates
from frontdoor.course import Course, Newest
from frontdoor.lives import Lives
from frontdoor.problems import BUSY
from frontdoor.roster import Roster
from frontdoor.submissions import Answer, Submission
from shared import clock, feed, metrics
from shared.domain.campaign import Campaign
from shared.domain.ids import PartitionNo
from shared.domain.operations import SubmitClaim
from shared.domain.outcomes import Misrouted, Refusal
from shared.gate import Gate
from shared.postgres import Pool

log = structlog.get_logger()


class Desk:
    """The submissions of one front door. At most `waiters_max` are under way; more are told to come back.

    `shut` and `newest`: see `course.Course`.
    """

    def __init__(
        self, gate: Gate, pool: Pool, certificates: Certificates, shut: Shut, waiters_max: int, newest: Newest
    ) -> None:
        self._waiters_max = waiters_max
        self._roster = Roster()
        self._lives = Lives(pool)
        self._course = Course(gate, pool, certificates, shut, newest, self._lives, self._roster)

    @property
    def waiting(self) -> int:
        """How many submissions are under way."""
        return len(self._roster)

    @property
    def full(self) -> bool:
        """Whether as many are under way as may be."""
        return len(self._roster) >= self._waiters_max

    async def submit(self, claim: SubmitClaim, campaign: Campaign, wait_s: float, unfit: Refusal | None = None) -> Answer:
        """See a claim through, for up to `wait_s` seconds. `unfit`: what it is refused with unless it is a replay."""
        came_at = clock.monotonic()
        deadline = came_at + wait_s
        while (other := self._roster.of(claim.claim_id)) is not None:
            answer = await other.answer_for(claim, came_at, deadline)
            if answer is not None:
                return answer
        if self.full or self._course.is_busy(campaign.slices[claim.slice_no].partition_no):
            return BUSY
        submission = Submission(claim, campaign, unfit, deadline)
        self._roster.enter(submission)
        self._course.ask(submission)
        try:
            return await submission.answer
        finally:
            self._roster.leave(submission)

    async def survey(self, partition: PartitionNo, campaigns: list[Campaign]) -> list[Lack | None]:
        """Why each campaign of a partition gives nothing now; None when it may. Raises RedisUnavailable."""
        return await self._course.survey(partition, campaigns)

    async def lifeless(self, partition: PartitionNo) -> bool:
        """Whether nobody will read the partition's mailbox any more. Raises what NO_ANSWER of Postgres names."""
        return await self._lives.lifeless(partition)

    def hear(self, message: bytes) -> None:
        """Take what the outcome feed says."""
        metrics.OUTCOME_MESSAGES.add()
        try:
            outcomes = feed.decode(message)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            log.error("outcome_unreadable", error=repr(error))
            return
        for ticket, outcome in outcomes:
            if (submission := self._roster.under(ticket)) is None:
                continue
            if isinstance(outcome, Misrouted):
                self._course.ask_again(submission)
            else:
                submission.resolve(outcome)

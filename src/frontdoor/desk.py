"""The desk of a front door: takes a claim, sees it through the gate and the mailbox, and hands out what became of it.

One submission per claim and door; whoever asks for the same claim meanwhile joins it. An outcome comes by the feed; one that
did not is looked up in Postgres after a while. Nothing here decides anything: a success is only ever what was committed.
"""

import asyncio
from collections.abc import Coroutine
from heapq import heappop, heappush
from itertools import count

import structlog

from frontdoor.admission import GateDesk
from frontdoor.certificates import Certificates
from frontdoor.microbatch import MicroBatch
from frontdoor.problems import BUSY, UNAVAILABLE
from frontdoor.submissions import Answer, Stage, Submission, Undecided
from shared import clock, metrics
from shared.domain.campaign import Campaign
from shared.domain.ids import PARTITIONS, CampaignId, ClaimId, PartitionNo, UserId
from shared.domain.operations import SubmitClaim
from shared.domain.outcomes import Granted, Outcome, Refusal, Refused, Replayed
from shared.domain.redemption import Redemption
from shared.errors import RedisUnavailable
from shared.gate import Gate
from shared.postgres import NO_ANSWER, Pool
from shared.redemptions import Standing, standings

#: When a waiter first looks in Postgres for an outcome that the feed has not brought, and how often it then does.
LOOK_AFTER_S = 0.25

#: How soon the gate is asked again when it was cold, or the user's other claim was pending.
AGAIN_AFTER_S = 0.03

_TURN_S = 0.01

log = structlog.get_logger()

_Asked = tuple[ClaimId, CampaignId, UserId]


class Desk:
    """The submissions of one front door. At most `waiters_max` are under way; more are told to come back."""

    def __init__(self, gate: Gate, pool: Pool, certificates: Certificates, waiters_max: int) -> None:
        self._gate = gate
        self._pool = pool
        self._waiters_max = waiters_max
        self._tickets = count(1)
        self._by_claim: dict[ClaimId, Submission] = {}
        self._by_ticket: dict[int, Submission] = {}
        self._agenda: list[tuple[float, int, Submission]] = []
        self._agenda_no = count()
        self._turning: asyncio.Task[None] | None = None
        self._errands: set[asyncio.Task[None]] = set()
        self._standings = MicroBatch(self._load_standings)
        self._gates = [
            GateDesk(
                gate,
                PartitionNo(partition),
                certificates,
                look=self._look,
                await_outcome=self._await_outcome,
                again=self._again,
                moved=self._resubmit,
            )
            for partition in range(PARTITIONS)
        ]

    def next_ticket(self) -> int:
        """A number for one submission, never used before by this front door."""
        return next(self._tickets)

    async def submit(self, claim: SubmitClaim, campaign: Campaign, closed: Refusal | None, wait_s: float) -> Answer:
        """See a claim through, for up to `wait_s` seconds. `closed`: why this door knows the campaign to be shut."""
        deadline = clock.monotonic() + wait_s
        while (other := self._by_claim.get(claim.claim_id)) is not None and not other.answer.done():
            answer = await _join(other, claim, deadline)
            if answer is not None:
                return answer
        if len(self._by_claim) >= self._waiters_max:
            return BUSY
        submission = Submission(claim, campaign, closed, deadline)
        self._by_claim[claim.claim_id] = self._by_ticket[claim.ticket] = submission
        self._ask(submission)
        try:
            return await submission.answer
        finally:
            del self._by_ticket[claim.ticket]
            if self._by_claim.get(claim.claim_id) is submission:
                del self._by_claim[claim.claim_id]

    def deliver(self, outcomes: list[tuple[int, Outcome]]) -> None:
        """Take what the feed says."""
        for ticket, outcome in outcomes:
            submission = self._by_ticket.get(ticket)
            if submission is not None:
                submission.resolve(outcome)

    async def survey(self, partition: PartitionNo, campaigns: list[Campaign]) -> list[Refusal | None]:
        """Why each campaign of a partition gives nothing now; None when it may. Raises RedisUnavailable."""
        return await self._gates[partition].survey(campaigns)

    @property
    def waiting(self) -> int:
        """How many submissions are under way."""
        return len(self._by_claim)

    def _ask(self, submission: Submission) -> None:
        self._gates[submission.partition_no].ask(submission)

    def _await_outcome(self, submission: Submission) -> None:
        submission.stage = Stage.AWAITING
        now = clock.monotonic()
        if now >= submission.deadline:
            submission.resolve(Undecided(submission.partition_no))
        else:
            self._schedule(submission, min(submission.deadline, now + LOOK_AFTER_S))

    def _again(self, submission: Submission) -> None:
        submission.stage = Stage.AGAIN
        self._schedule(submission, clock.monotonic() + AGAIN_AFTER_S)

    def _resubmit(self, partition: PartitionNo) -> None:
        """The mailbox in which they were has another life now: what is not decided must be asked for again."""
        for submission in self._by_claim.values():
            if submission.partition_no == partition and submission.stage is Stage.AWAITING:
                self._ask(submission)

    def _schedule(self, submission: Submission, when: float) -> None:
        heappush(self._agenda, (when, next(self._agenda_no), submission))
        if self._turning is None:
            self._turning = asyncio.create_task(self._turn())

    async def _turn(self) -> None:
        """Go through the agenda until it is empty: one timer for all submissions rather than one each."""
        while self._agenda:
            await asyncio.sleep(_TURN_S)
            now = clock.monotonic()
            due: list[Submission] = []
            while self._agenda and self._agenda[0][0] <= now:
                submission = heappop(self._agenda)[2]
                if not submission.answer.done():
                    due.append(submission)
            self._act(due, now)
        self._turning = None

    def _act(self, due: list[Submission], now: float) -> None:
        awaiting: list[Submission] = []
        for submission in due:
            match submission.stage:
                case Stage.ASKING:
                    pass
                case Stage.AGAIN if now >= submission.admit_by:
                    submission.resolve(UNAVAILABLE)
                case Stage.AGAIN:
                    self._ask(submission)
                case Stage.AWAITING if now >= submission.deadline:
                    submission.resolve(Undecided(submission.partition_no))
                case Stage.AWAITING:
                    awaiting.append(submission)
        if awaiting:
            self._run(self._look_up(awaiting), awaiting)

    async def _look_up(self, awaiting: list[Submission]) -> None:
        """Look for outcomes that the feed has not brought. What is neither pending nor committed was lost: ask again."""
        pending = await self._pending(awaiting)
        try:
            found = await self._load_standings([_asked(submission.claim) for submission in awaiting])
        except NO_ANSWER as error:
            log.warning("outcomes_not_looked_up", claims=len(awaiting), error=repr(error))
            found = {}
        metrics.FALLBACK_LOOKUPS.add(n=len(awaiting))
        for submission in awaiting:
            standing = found.get(_asked(submission.claim))
            if standing is not None and standing.redemption is not None:
                submission.resolve(_outcome(submission, standing.redemption))
            elif standing is not None and submission.claim.claim_id not in pending:
                self._ask(submission)
            else:
                self._await_outcome(submission)

    async def _pending(self, awaiting: list[Submission]) -> set[ClaimId]:
        """Which of them are in their mailbox; all, when Redis does not say."""
        claims: dict[PartitionNo, list[ClaimId]] = {}
        for submission in awaiting:
            claims.setdefault(submission.partition_no, []).append(submission.claim.claim_id)
        pending: set[ClaimId] = set()
        for partition, ids in claims.items():
            try:
                holders = await self._gate.pending(partition, ids)
            except RedisUnavailable:
                pending.update(ids)
            else:
                pending.update(holders)
        return pending

    def _look(self, submission: Submission, refusal: Refusal) -> None:
        self._run(self._look_whether_replay(submission, refusal), [submission])

    async def _look_whether_replay(self, submission: Submission, refusal: Refusal) -> None:
        """The user holds something: this claim (show it), another (refuse), or nothing after all (ask again)."""
        try:
            standing = await self._standings.get(_asked(submission.claim))
        except NO_ANSWER:
            submission.resolve(UNAVAILABLE)
            return
        if standing is not None and standing.redemption is not None:
            submission.joined = True
            submission.resolve(_outcome(submission, standing.redemption))
        elif refusal is Refusal.ALREADY_REDEEMED and (standing is None or standing.active < submission.campaign.per_user_limit):
            submission.checked = True
            self._again(submission)
        else:
            submission.resolve(Refused(refusal))

    async def _load_standings(self, asked: list[_Asked]) -> dict[_Asked, Standing]:
        async with self._pool.acquire(timeout=1) as connection:
            return await standings(connection, asked)

    def _run(self, errand: Coroutine[None, None, None], submissions: list[Submission]) -> None:
        """Run beside everything else; if it breaks, so do the requests it was for."""

        def ended(task: asyncio.Task[None]) -> None:
            self._errands.discard(task)
            if not task.cancelled() and isinstance(error := task.exception(), Exception):
                for submission in submissions:
                    submission.fail(error)

        task = asyncio.create_task(errand)
        self._errands.add(task)
        task.add_done_callback(ended)


async def _join(other: Submission, claim: SubmitClaim, deadline: float) -> Answer | None:
    """Wait with the same claim of an earlier request. None: its answer is not ours, go on alone."""
    await asyncio.wait([other.answer], timeout=max(0.0, deadline - clock.monotonic()))
    if not other.answer.done():
        return Undecided(other.partition_no) if other.stage is Stage.AWAITING else UNAVAILABLE
    if other.answer.cancelled() or other.answer.exception() or other.claim.body_hash != claim.body_hash:
        return None
    match other.answer.result():
        case Granted(redemption) | Replayed(redemption):
            return Replayed(redemption)
        case Refused() as refused:
            return refused
        case _:
            return None


def _outcome(submission: Submission, redemption: Redemption) -> Outcome:
    if redemption.body_hash != submission.claim.body_hash:
        return Refused(Refusal.KEY_REUSED)
    return Replayed(redemption) if submission.joined else Granted(redemption)


def _asked(claim: SubmitClaim) -> _Asked:
    return claim.claim_id, claim.campaign_id, claim.user_id

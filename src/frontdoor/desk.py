"""The desk of a front door: takes a claim, sees it through the gate and the mailbox, and hands out what became of it.

One submission per claim and door; whoever asks for the same claim meanwhile joins it. What comes next for a submission is
said here and nowhere else: the gate's verdict sends it on; an outcome comes by the feed, and one that did not is looked up
after a while. Nothing here decides anything: a success is only ever what was committed.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from itertools import count
from typing import TypeAlias, assert_never

import msgspec
import structlog
from msgspec.structs import replace

from frontdoor.admission import GateDesk, Lack, Shut
from frontdoor.agenda import Agenda
from frontdoor.certificates import Certificates
from frontdoor.direct import DirectPath
from frontdoor.lookups import LookUps
from frontdoor.problems import BUSY, UNAVAILABLE
from frontdoor.submissions import Answer, Stage, Submission, Undecided
from shared import clock, feed, metrics
from shared.domain.campaign import Campaign
from shared.domain.ids import PARTITIONS, ClaimId, PartitionNo
from shared.domain.operations import SubmitClaim
from shared.domain.outcomes import Misrouted, Refusal, Refused, Replayed
from shared.domain.redemption import is_overdue
from shared.gate import Gate, Verdict
from shared.postgres import NO_ANSWER, Pool
from shared.redemptions import Standing

#: When a waiter first looks in Postgres for an outcome that the feed has not brought, and how often it then does.
LOOK_AFTER_S = 0.25

#: What a user's own hold may be the reason of.
_FOR_LACK = (Refusal.ALREADY_REDEEMED, Refusal.EXHAUSTED)

#: A campaign as it is known now, by one that was known before.
Newest: TypeAlias = Callable[[Campaign], Awaitable[Campaign]]

#: For how long a gate that was busy is not asked.
BUSY_S = 0.1

log = structlog.get_logger()


class Desk:
    """The submissions of one front door. At most `waiters_max` are under way; more are told to come back.

    `shut`: why this door knows a campaign to be shut, asked anew whenever the gate is; `newest`: a campaign as it is known now.
    """

    def __init__(
        self, gate: Gate, pool: Pool, certificates: Certificates, shut: Shut, waiters_max: int, newest: Newest
    ) -> None:
        self._newest = newest
        self._waiters_max = waiters_max
        self._tickets = count(1)
        self._by_claim: dict[ClaimId, Submission] = {}
        self._by_ticket: dict[int, Submission] = {}
        self._agenda = Agenda(self._see_to)
        self._look_ups = LookUps(gate, pool)
        self._direct = DirectPath(pool, self._hear_directly)
        self._sought: set[Submission] = set()
        self._busy_until: dict[PartitionNo, float] = {}
        self._errands: set[asyncio.Task[None]] = set()
        self._gates = [
            GateDesk(gate, PartitionNo(number), certificates, shut, self._go_on, self._resubmit) for number in range(PARTITIONS)
        ]

    @property
    def waiting(self) -> int:
        """How many submissions are under way."""
        return len(self._by_claim)

    @property
    def full(self) -> bool:
        """Whether as many are under way as may be."""
        return len(self._by_claim) >= self._waiters_max

    async def submit(self, claim: SubmitClaim, campaign: Campaign, wait_s: float, unfit: Refusal | None = None) -> Answer:
        """See a claim through, for up to `wait_s` seconds. `unfit`: what it is refused with unless it is a replay."""
        deadline = clock.monotonic() + wait_s
        while (other := self._by_claim.get(claim.claim_id)) is not None and not other.answer.done():
            answer = await other.answer_for(claim, deadline)
            if answer is not None:
                return answer
        if self.full or self._is_busy(campaign.slices[claim.slice_no].partition_no):
            return BUSY
        submission = self._by_claim[claim.claim_id] = Submission(claim, campaign, unfit, deadline)
        self._ask(submission)
        try:
            return await submission.answer
        finally:
            del self._by_ticket[submission.claim.ticket]
            if self._by_claim.get(claim.claim_id) is submission:
                del self._by_claim[claim.claim_id]

    async def survey(self, partition: PartitionNo, campaigns: list[Campaign]) -> list[Lack | None]:
        """Why each campaign of a partition gives nothing now; None when it may. Raises RedisUnavailable."""
        return await self._gates[partition].survey(campaigns)

    def hear(self, message: bytes) -> None:
        """Take what the outcome feed says."""
        metrics.OUTCOME_MESSAGES.add()
        try:
            outcomes = feed.decode(message)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            log.error("outcome_unreadable", error=repr(error))
            return
        for ticket, outcome in outcomes:
            if (submission := self._by_ticket.get(ticket)) is None:
                continue
            if isinstance(outcome, Misrouted):
                self._ask_again(submission)
            else:
                submission.resolve(outcome)

    def _is_busy(self, partition: PartitionNo) -> bool:
        """Whether the gate has just said that its mailbox is too long to be asked for more."""
        return clock.monotonic() < self._busy_until.get(partition, 0.0)

    def _ask(self, submission: Submission) -> None:
        """Ask the gate, with a ticket never used before: what was refused once is no answer to who has asked again."""
        self._by_ticket.pop(submission.claim.ticket, None)
        submission.claim = replace(submission.claim, ticket=next(self._tickets))
        self._by_ticket[submission.claim.ticket] = submission
        gate = self._gates[submission.partition_no]
        if gate.away:
            self._ask_directly(submission)
        else:
            gate.ask(submission)

    def _ask_directly(self, submission: Submission) -> None:
        """Have it decided without the gate, if its partition has no life."""
        if submission.unfit is not None:
            self._look_whether_replay(submission, submission.unfit)
            return
        submission.stage = Stage.DECIDING
        self._agenda.put(submission, submission.admit_by)
        self._direct.ask(submission)

    def _hear_directly(self, submission: Submission, answer: Answer | None) -> None:
        if answer is None:
            self._ask_again(submission)
        else:
            submission.resolve(answer)

    def _go_on(self, submission: Submission, verdict: Verdict, closed: str) -> None:
        """What comes next by the gate's verdict; `closed`: why it gives nothing, if it does not."""
        match verdict:
            case Verdict.ADMITTED:
                self._await_outcome(submission)
            case Verdict.PENDING:
                # In the mailbox already, by another door's call or by a lost one of ours.
                submission.joined = True
                self._await_outcome(submission)
            case Verdict.WAIT | Verdict.COLD:
                self._ask_again(submission)
            case Verdict.BUSY:
                self._busy_until[submission.partition_no] = clock.monotonic() + BUSY_S
                submission.resolve(BUSY)
            case Verdict.EXHAUSTED:
                submission.resolve(Refused(Refusal.EXHAUSTED))
            case Verdict.CLOSED:
                submission.resolve(Refused(Refusal(closed)))
            case Verdict.LOOK_ALREADY:
                self._look_whether_replay(submission, Refusal.ALREADY_REDEEMED)
            case Verdict.LOOK_EXHAUSTED:
                self._look_whether_replay(submission, Refusal.EXHAUSTED)
            case Verdict.LOOK_CLOSED:
                self._look_whether_replay(submission, Refusal(closed))
            case _:
                assert_never(verdict)

    def _resubmit(self, partition: PartitionNo) -> None:
        """The mailbox in which they were has another life now: what is not decided must be asked for again."""
        for submission in self._by_claim.values():
            if submission.partition_no == partition and submission.stage is Stage.AWAITING:
                self._ask(submission)

    def _await_outcome(self, submission: Submission) -> None:
        submission.stage = Stage.AWAITING
        self._wait(submission, clock.monotonic())

    def _wait(self, submission: Submission, now: float) -> None:
        if now >= submission.deadline:
            submission.resolve(Undecided(submission.partition_no))
        else:
            self._agenda.put(submission, min(submission.deadline, now + LOOK_AFTER_S))

    def _ask_again(self, submission: Submission) -> None:
        submission.stage = Stage.AGAIN
        self._agenda.put(submission, clock.monotonic() + submission.next_pause_s())

    def _see_to(self, due: list[Submission], now: float) -> None:
        awaiting: list[Submission] = []
        again: list[Submission] = []
        for submission in due:
            match submission.stage:
                case Stage.ASKING | Stage.AGAIN | Stage.DECIDING if now >= submission.admit_by:
                    submission.resolve(UNAVAILABLE)
                case Stage.ASKING | Stage.DECIDING:
                    pass
                case Stage.AGAIN:
                    again.append(submission)
                case Stage.AWAITING:
                    # Also while it is looked up: a store that is silent holds nobody beyond the time he named.
                    self._wait(submission, now)
                    awaiting.append(submission)
        if again:
            self._run(self._ask_where_they_live(again), again)
        awaiting = [each for each in awaiting if each not in self._sought and not each.answer.done()]
        if awaiting:
            self._run(self._look_up(awaiting), awaiting)

    async def _ask_where_they_live(self, again: list[Submission]) -> None:
        """Their campaigns may have moved since they were asked for."""
        known = {submission.claim.campaign_id: submission.campaign for submission in again}
        for submission in again:
            self._agenda.put(submission, submission.admit_by)
        newest = dict(zip(known, await asyncio.gather(*map(self._newest, known.values())), strict=True))
        for submission in again:
            if submission.stage is Stage.AGAIN and not submission.answer.done():
                submission.route(newest[submission.claim.campaign_id])
                self._ask(submission)

    async def _look_up(self, awaiting: list[Submission]) -> None:
        """Look for outcomes that the feed has not brought. What is neither pending nor committed was lost: ask again."""
        metrics.FALLBACK_LOOKUPS.add(n=len(awaiting))
        tickets = [submission.claim.ticket for submission in awaiting]
        self._sought.update(awaiting)
        try:
            pending = await self._look_ups.pending(awaiting)
            found = await self._look_ups.standings(awaiting)
            lifeless = await self._look_ups.lifeless({submission.partition_no for submission in awaiting})
        except NO_ANSWER as error:
            log.warning("outcomes_not_looked_up", claims=len(awaiting), error=repr(error))
            return
        finally:
            self._sought.difference_update(awaiting)
        for submission, ticket in zip(awaiting, tickets, strict=True):
            standing = found.get(submission.claim.claim_id)
            if standing is not None and standing.redemption is not None:
                submission.resolve_with(standing.redemption)
            elif submission.partition_no in lifeless and submission.awaits(ticket):
                # Nobody will read the mailbox it is in.
                self._ask_directly(submission)
            elif standing is not None and submission.claim.claim_id not in pending and submission.awaits(ticket):
                self._ask(submission)

    def _look_whether_replay(self, submission: Submission, refusal: Refusal) -> None:
        self._agenda.put(submission, submission.admit_by)
        self._run(self._show_or_refuse(submission, refusal), [submission])

    async def _show_or_refuse(self, submission: Submission, refusal: Refusal) -> None:
        """The user holds something: this claim (show it), another (a hold is shown), or nothing after all (ask again).

        A hold that is overdue is neither `claimed` any more nor given back yet: what it has come to is known within a tick,
        or as soon as the gate lets its owner through.
        """
        try:
            standing = await self._look_ups.standing(submission)
            alive = submission.unfit is not None or not await self._look_ups.lifeless({submission.partition_no})
        except NO_ANSWER:
            submission.resolve(UNAVAILABLE)
            return
        ended_before, submission.ending = submission.ending, standing is not None and _to_be_ended(standing, refusal)
        if standing is None or submission.ending or ended_before or _may_have_more(standing, submission, refusal):
            # What has just been given back the gate is told of after COMMIT: it is asked once more.
            submission.checked = True
            self._ask_again(submission)
        elif standing.redemption is not None:
            submission.joined = True
            submission.resolve_with(standing.redemption)
        elif standing.hold is not None and refusal in _FOR_LACK:
            # A hold never blocks its own owner.
            submission.resolve(Replayed(standing.hold))
        elif alive:
            submission.resolve(Refused(refusal))
        else:
            # The gate that refused is over: what it knows nothing of may have been decided since.
            self._ask_directly(submission)

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


def _to_be_ended(standing: Standing, refusal: Refusal) -> bool:
    """Whether what matters to the answer is a hold that is over and has yet to be given back."""
    if standing.redemption is not None:
        return is_overdue(standing.redemption, standing.now)
    return standing.overdue and standing.hold is None and refusal is Refusal.EXHAUSTED


def _may_have_more(standing: Standing, submission: Submission, refusal: Refusal) -> bool:
    """Whether the gate takes the user to hold more than he does."""
    fewer = standing.active < submission.campaign.per_user_limit
    return standing.redemption is None and refusal is Refusal.ALREADY_REDEEMED and fewer

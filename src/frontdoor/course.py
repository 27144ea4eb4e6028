"""The course of a submission: what comes next for it is said here and nowhere else.

The gate's verdict sends it on; an outcome comes by the feed, and one that did not is looked up after a while. A partition that
has no life has a gate that may answer, and counts for nothing: there claims are decided directly, as while the gate is away.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias, assert_never

from frontdoor.admission import GateDesk, Lack, Shut
from frontdoor.agenda import Agenda
from frontdoor.certificates import Certificates
from frontdoor.direct import DirectPath
from frontdoor.errands import Errands
from frontdoor.gate_rounds import GateRounds
from frontdoor.inquiries import Inquiries
from frontdoor.lives import Lives
from frontdoor.lookups import LookUps
from frontdoor.problems import BUSY, UNAVAILABLE
from frontdoor.roster import Roster
from frontdoor.submissions import LOOK_AFTER_S, Next, Sequel, Stage, Submission, Undecided
from shared import clock
from shared.domain.campaign import Campaign
from shared.domain.ids import PARTITIONS, PartitionNo
from shared.domain.outcomes import Refusal, Refused
from shared.gate import Gate, Verdict
from shared.postgres import Pool

#: A campaign as it is known now, by one that was known before.
Newest: TypeAlias = Callable[[Campaign], Awaitable[Campaign]]

#: For how long a gate that was busy is not asked.
BUSY_S = 0.1


class Course:
    """Sees the submissions of a roster through.

    `shut`: why this door knows a campaign to be shut, asked anew whenever the gate is; `newest`: a campaign as it is known now.
    """

    def __init__(
        self, gate: Gate, pool: Pool, certificates: Certificates, shut: Shut, newest: Newest, lives: Lives, roster: Roster
    ) -> None:
        self._newest = newest
        self._lives = lives
        self._roster = roster
        self._agenda = Agenda(self._see_to)
        self._errands = Errands()
        self._inquiries = Inquiries(LookUps(gate, pool), lives, self._errands, self._proceed)
        self._direct = DirectPath(pool, lives, self._proceed)
        self._busy_until: dict[PartitionNo, float] = {}
        rounds = GateRounds(gate)
        self._gates = [
            GateDesk(gate, PartitionNo(number), rounds, certificates, shut, self._go_on, self._resubmit)
            for number in range(PARTITIONS)
        ]

    async def survey(self, partition: PartitionNo, campaigns: list[Campaign]) -> list[Lack | None]:
        """Why each campaign of a partition gives nothing now; None when it may. Raises RedisUnavailable."""
        return await self._gates[partition].survey(campaigns)

    def is_busy(self, partition: PartitionNo) -> bool:
        """Whether the gate has just said that its mailbox is too long to be asked for more, and somebody reads it."""
        return clock.monotonic() < self._busy_until.get(partition, 0.0) and not self._lives.known(partition)

    def ask(self, submission: Submission) -> None:
        """Ask the gate, under a new ticket."""
        self._roster.renew_ticket(submission)
        gate = self._gates[submission.partition_no]
        if gate.away or self._lives.known(submission.partition_no):
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

    def _go_on(self, submission: Submission, verdict: Verdict, closed: str) -> None:
        """What comes next by the gate's verdict; `closed`: why it gives nothing, if it does not."""
        match verdict:
            case Verdict.ADMITTED:
                self._await_outcome(submission)
            case Verdict.PENDING:
                # In the mailbox already, by another door's call or by a lost one of ours.
                submission.joined = True
                if submission.deadline - clock.monotonic() < LOOK_AFTER_S:
                    self._unless_lifeless(submission, Next.AWAIT)
                else:
                    self._await_outcome(submission)
            case Verdict.WAIT | Verdict.COLD if submission.waits_long:
                self._unless_lifeless(submission, Next.ASK_LATER)
            case Verdict.WAIT | Verdict.COLD:
                self.ask_again(submission)
            case Verdict.BUSY:
                self._busy_until[submission.partition_no] = clock.monotonic() + BUSY_S
                self._unless_lifeless(submission, BUSY)
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

    def _unless_lifeless(self, submission: Submission, sequel: Sequel) -> None:
        self._agenda.put(submission, submission.admit_by)
        self._inquiries.unless_lifeless(submission, sequel)

    def _look_whether_replay(self, submission: Submission, refusal: Refusal) -> None:
        self._agenda.put(submission, submission.admit_by)
        self._inquiries.whether_replay(submission, refusal)

    def _proceed(self, submission: Submission, sequel: Sequel) -> None:
        """What comes next as a store has said; it may be the answer. Nothing, for who has been answered meanwhile."""
        if submission.answer.done():
            return
        match sequel:
            case Next.AWAIT:
                self._await_outcome(submission)
            case Next.ASK:
                self.ask(submission)
            case Next.ASK_LATER:
                self.ask_again(submission)
            case Next.DECIDE:
                # What its owner may have said before its life ended is no answer any more.
                self._roster.renew_ticket(submission)
                self._ask_directly(submission)
            case answer:
                submission.resolve(answer)

    def _resubmit(self, partition: PartitionNo) -> None:
        """The mailbox in which they were has another life now: what is not decided must be asked for again."""
        for submission in self._roster.awaiting(partition):
            self.ask(submission)

    def _await_outcome(self, submission: Submission) -> None:
        submission.stage = Stage.AWAITING
        self._wait(submission, clock.monotonic())

    def _wait(self, submission: Submission, now: float) -> None:
        if now >= submission.deadline:
            submission.resolve(Undecided(submission.partition_no))
        else:
            self._agenda.put(submission, min(submission.deadline, now + LOOK_AFTER_S))

    def ask_again(self, submission: Submission) -> None:
        """Ask the gate in a while, wherever the campaign lives then."""
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
            self._errands.run(self._ask_where_they_live(again), again)
        self._inquiries.seek(awaiting)

    async def _ask_where_they_live(self, again: list[Submission]) -> None:
        """Their campaigns may have moved since they were asked for."""
        known = {submission.claim.campaign_id: submission.campaign for submission in again}
        for submission in again:
            self._agenda.put(submission, submission.admit_by)
        newest = dict(zip(known, await asyncio.gather(*map(self._newest, known.values())), strict=True))
        for submission in again:
            if submission.stage is Stage.AGAIN and not submission.answer.done():
                submission.route(newest[submission.claim.campaign_id])
                self.ask(submission)

"""Micro-batching at the gate: claims that arrive in the same turn of the loop share one script call per partition.

No timers: a batch is what has gathered while the last round was under way (see `gate_rounds`). What the gate said of each is
told to the desk, which knows what comes next.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

import msgspec
import structlog

from frontdoor.certificates import Certificates
from frontdoor.circuit import Circuit
from frontdoor.gate_rounds import Answer, GateRounds
from frontdoor.submissions import Stage, Submission
from shared import clock, mailbox, metrics
from shared.crash_points import crash_point
from shared.domain.campaign import Campaign, Slice
from shared.domain.ids import CampaignId, Incarnation, PartitionNo
from shared.domain.outcomes import Refusal
from shared.errors import RedisUnavailable
from shared.gate import Admission, Asking, CampaignAsk, CampaignReply, ClaimAsk, Gate, Moved, Verdict

#: Claims per script call at most: enough to share the round trip, few enough that others get their turn at Redis.
BATCH_MAX = 256

#: Why a campaign is known to be shut, by what is known of it at this moment; None when the gate and the commit must say.
Shut: TypeAlias = Callable[[Campaign], Refusal | None]

log = structlog.get_logger()


class Lack(msgspec.Struct, frozen=True, gc=False):
    """Why a campaign gives nothing. `of_own_code`: to nobody who asks by its own code; single-use codes may still be good."""

    refusal: Refusal
    of_own_code: bool = False


class _Asked(msgspec.Struct, frozen=True, eq=False):
    """What the gate has been asked, for whom, and when (monotonic seconds)."""

    batch: list[Submission]
    asking: Asking
    at: float


class GateDesk:
    """Asks the gate of one partition on behalf of this front door.

    `tell` hears the verdict on each submission, and why it, or its campaign, gets nothing ("" when it may). `moved` is called
    when the partition has begun another life.
    """

    def __init__(
        self,
        gate: Gate,
        partition: PartitionNo,
        rounds: GateRounds,
        certificates: Certificates,
        shut: Shut,
        tell: Callable[[Submission, Verdict, str], None],
        moved: Callable[[PartitionNo], None],
    ) -> None:
        self._gate = gate
        self._partition = partition
        self._rounds = rounds
        self._certificates = certificates
        self._shut = shut
        self._tell = tell
        self._moved = moved
        self._circuit = Circuit(partition, partial(gate.probe, partition))
        self._incarnation = Incarnation("")
        self._queue: list[Submission] = []
        self._asked: _Asked | None = None
        self._joined = False

    def ask(self, submission: Submission) -> None:
        """Ask for this one with the next call."""
        submission.stage = Stage.ASKING
        self._queue.append(submission)
        self._join()

    @property
    def away(self) -> bool:
        """Whether the gate has not answered for a while."""
        return self._circuit.away

    async def survey(self, campaigns: list[Campaign]) -> list[Lack | None]:
        """Why each campaign gives nothing now; None when it may. Raises RedisUnavailable."""
        if self.away:
            raise RedisUnavailable
        for _ in range(2):
            asked_at = clock.monotonic()
            asks = [self._campaign_ask(each, each.slice_in(self._partition), self._shut(each)) for each in campaigns]
            life = self._incarnation
            answer = await self._circuit.watch(self._gate.admit(self._partition, life, asks, []))
            if isinstance(answer, Admission):
                self._take_certificates(asks, answer, asked_at)
                return [_nothing_to_give(reply) for reply in answer.campaigns]
            self._follow(life, answer.incarnation, [])
        return [None] * len(campaigns)

    def _join(self) -> None:
        """Take part in the next round, unless one of ours is still to come or to be answered."""
        if self._queue and not self._joined:
            self._joined = True
            self._rounds.join(self)

    def asking(self) -> Asking | None:
        """The next batch, as a round begins. It is answered by `hear`."""
        gathered, self._queue = self._queue[:BATCH_MAX], self._queue[BATCH_MAX:]
        # Who has been answered meanwhile, or has left, must not win behind his back.
        batch = [submission for submission in gathered if not submission.answer.done()]
        try:
            if batch := self._of_newest_layouts(batch):
                self._asked = _Asked(batch, self._asking(batch), clock.monotonic())
                crash_point("F1")
                return self._asked.asking
        except Exception as error:
            _fail(batch, error)
        self._joined = False
        self._join()
        return None

    def _asking(self, batch: list[Submission]) -> Asking:
        campaigns: dict[CampaignId, int] = {}
        asks: list[CampaignAsk] = []
        claims: list[ClaimAsk] = []
        for submission in batch:
            claim = submission.claim
            index = campaigns.setdefault(claim.campaign_id, len(asks))
            if index == len(asks):
                asks.append(self._campaign_ask(submission.campaign, submission.part, self._shut(submission.campaign)))
            entry = mailbox.encode(claim)
            own_code, closed = claim.code == submission.campaign.code, submission.unfit or ""
            claims.append(ClaimAsk(index, claim.claim_id, claim.user_id, submission.checked, entry, closed, own_code))
        return Asking(self._partition, self._incarnation, asks, claims)

    def hear(self, answer: Answer) -> None:
        """What came of the batch, or what went wrong."""
        crash_point("F3")
        asked, self._asked, self._joined = self._asked, None, False
        if asked is None:
            raise RuntimeError("an answer to nothing")
        try:
            self._take(asked, answer)
        except Exception as error:
            _fail(asked.batch, error)
        self._join()

    def _take(self, asked: _Asked, answer: Answer) -> None:
        if isinstance(answer, RedisUnavailable):
            self._circuit.miss(asked.at)
            # Whoever is behind them would only wait for the same silence, a batch at a time.
            unanswered, self._queue = asked.batch + self._queue, []
            log.warning("gate_unavailable", partition=self._partition, claims=len(unanswered), error=str(answer))
            self._tell_cold(unanswered)
            return
        if isinstance(answer, Exception):
            raise answer
        self._circuit.hear()
        metrics.GATE_CALLS.add()
        metrics.GATE_CLAIMS.add(n=len(asked.batch))
        asking = asked.asking
        if isinstance(answer, Moved):
            self._follow(asking.incarnation, answer.incarnation, asked.batch)
            return
        self._take_certificates(asking.campaigns, answer, asked.at)
        for submission, ask, verdict in zip(asked.batch, asking.claims, answer.verdicts, strict=True):
            self._tell(submission, Verdict(verdict), ask.closed or answer.campaigns[ask.campaign].closed)

    def _of_newest_layouts(self, batch: list[Submission]) -> list[Submission]:
        """Those that ask for a campaign by the newest layout that any of them knows; the others find their way first."""
        if not any(submission.part.layout for submission in batch):
            return batch
        newest: dict[CampaignId, int] = {}
        for submission in batch:
            campaign_id = submission.claim.campaign_id
            newest[campaign_id] = max(submission.part.layout, newest.get(campaign_id, 0))
        late = [each for each in batch if each.part.layout < newest[each.claim.campaign_id]]
        self._tell_cold(late)
        return [each for each in batch if each.part.layout == newest[each.claim.campaign_id]]

    def _campaign_ask(self, campaign: Campaign, part: Slice, closed: Refusal | None) -> CampaignAsk:
        edition, known = self._certificates.known(campaign.campaign_id, part.slice_no, part.layout)
        return CampaignAsk(campaign.campaign_id, closed or "", edition, known, part.slice_no, part.layout)

    def _follow(self, asked: Incarnation, living: Incarnation | None, batch: list[Submission]) -> None:
        """Go where the pointer points: not to the life that was `asked`, the gate says."""
        if living is None or living == asked:
            # None lives, or it has a name that cannot be spelt: its owner will give it another.
            self._tell_cold(batch)
            return
        before, self._incarnation = self._incarnation, living
        for submission in batch:
            self.ask(submission)
        if before not in ("", living):
            self._moved(self._partition)

    def _tell_cold(self, batch: list[Submission]) -> None:
        """No gate that answers is like one that has yet to be seeded."""
        for submission in batch:
            self._tell(submission, Verdict.COLD, "")

    def _take_certificates(self, asks: Sequence[CampaignAsk], answer: Admission, asked_at: float) -> None:
        for ask, reply in zip(asks, answer.campaigns, strict=True):
            self._certificates.take(ask, reply, asked_at)


def _fail(batch: list[Submission], error: Exception) -> None:
    for submission in batch:
        submission.fail(error)


def _nothing_to_give(reply: CampaignReply) -> Lack | None:
    if reply.closed:
        return Lack(Refusal(reply.closed))
    return Lack(Refusal.EXHAUSTED, of_own_code=reply.dry) if reply.certified or reply.dry else None

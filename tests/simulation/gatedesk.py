"""A simulated door's calls of one partition's gate (see `frontdoor.admission`).

Who asks while a call is under way goes with the next one. Who is to ask again does so together with all who are, and more
seldom than in the engine, for the world's own sake.
"""

from collections.abc import Callable, Sequence
from functools import partial

from frontdoor.certificates import Certificates
from shared.domain.ids import Incarnation, PartitionNo
from shared.gate import Admission, CampaignAsk, ClaimAsk, Moved, Verdict
from shared.mailbox import encode
from tests.simulation.admit import admit
from tests.simulation.direct import Circuit, DirectPath
from tests.simulation.lives import Lives
from tests.simulation.postgres import Postgres
from tests.simulation.redis import Redis
from tests.simulation.submission import Submission, Tickets
from tests.simulation.tables import Slice
from tests.simulation.world import Host, Process, Silence

_AGAIN_AFTER_S = 0.2
_AGAIN_AT_MOST_S = 0.8
_NEVER = 1e9

_VERDICTS = {verdict.value: verdict for verdict in Verdict}
_NOT_YET = (Verdict.COLD, Verdict.WAIT)


class GateDesk:
    """Asks on behalf of one door. `moved` is called when the partition has begun another life."""

    def __init__(
        self,
        door: Host,
        postgres: Postgres,
        redis: Redis,
        partition: PartitionNo,
        lives: Lives,
        certificates: Certificates,
        tickets: Tickets,
        moved: Callable[[PartitionNo], None],
    ) -> None:
        self._door, self._redis, self._partition, self._lives = door, redis, partition, lives
        self._world = world = postgres.world
        self._certificates, self._tickets, self._moved = certificates, tickets, moved
        self._circuit = Circuit(world)
        self._incarnation = Incarnation("")
        self._queue: list[Submission] = []
        self._again: list[Submission] = []
        self._again_at, self._pause_s = _NEVER, _AGAIN_AFTER_S
        self._cold, self._resting = False, True
        self._task = world.start(door, self._serve())
        self._direct = DirectPath(door, postgres, lives, partition, self.ask_again)

    def ask(self, submission: Submission) -> None:
        """Ask for this one with the next call; if the last one gave nobody anything, with those who ask again."""
        if self._cold and self._again and not self._circuit.away:
            self._again.append(submission)
        else:
            self._queue.append(submission)
            self._go_on()

    def ask_again(self, submissions: Sequence[Submission]) -> None:
        """Ask for these after a pause, which is longer each time."""
        if not self._again:
            self._again_at = self._world.now + self._pause_s
            self._pause_s = min(3 * self._pause_s, _AGAIN_AT_MOST_S)
            self._go_on()
        self._again += submissions

    def decide(self, submissions: Sequence[Submission]) -> None:
        """Have these decided without the gate: what an owner said before the life ended is no answer any more."""
        for submission in submissions:
            self._tickets.renew(submission)
            submission.entry = None
        self._direct.ask(submissions)

    def _go_on(self) -> None:
        if self._resting:
            self._resting = False
            self._world.wake(self._task)

    def _serve(self) -> Process[None]:
        world = self._world
        while True:
            if not self._queue:
                self._resting = True
                yield max(0.0, self._again_at - world.now)
                self._resting = False
            if world.now >= self._again_at:
                self._queue += self._again
                self._again, self._again_at = [], _NEVER
            without_gate = bool(self._queue) and (yield from self._stands_alone())
            # Who has been answered meanwhile, or has left, must not win behind his back.
            batch, self._queue = [each for each in self._queue if each.asks and each.answer is None], []
            if not batch:
                continue
            if without_gate:
                self._pause_s = _AGAIN_AFTER_S
                self.decide(batch)
            else:
                yield from self._ask(batch)

    def _stands_alone(self) -> Process[bool]:
        """Whether the gate does not answer, or there is nobody behind it: who waits long has that looked up."""
        if self._circuit.away or self._lives.known(self._partition):
            return True
        if self._pause_s >= _AGAIN_AT_MOST_S and (yield from self._lives.lately_lifeless(self._partition)):
            self._world.note("nobody behind the gate")
            return True
        return False

    def _ask(self, batch: list[Submission]) -> Process[None]:
        parts: dict[Slice, int] = {}
        claims = [self._claim_ask(each, parts.setdefault(each.part, len(parts))) for each in batch]
        asks = [self._campaign_ask(part) for part in parts]
        life, asked_at = self._incarnation, self._world.now
        call = partial(admit, self._redis, self._partition, life, asks, claims)
        try:
            answer = yield from self._world.call(self._door, self._redis, call)
        except Silence:
            self._circuit.not_heard()
            # No gate that answers is like one that has yet to be seeded; who is behind them would hear the same silence.
            batch, self._queue, self._cold = batch + self._queue, [], True
            for submission in batch:
                submission.entry = None
            self.ask_again(batch)
            return
        self._circuit.heard()
        if isinstance(answer, Moved):
            self._follow(life, answer.incarnation, batch)
            return
        for ask, reply in zip(asks, answer.campaigns, strict=True):
            self._certificates.take(ask, reply, asked_at)
        self._tell(batch, claims, answer)

    def _campaign_ask(self, part: Slice) -> CampaignAsk:
        campaign, layout = part.campaign.campaign_id, part.campaign.layout
        edition, known = self._certificates.known(campaign, part.slice_no, layout)
        return CampaignAsk(campaign, "", edition, known, part.slice_no, layout)

    def _claim_ask(self, submission: Submission, campaign: int) -> ClaimAsk:
        """With the entry that the gate was last offered, unless it may have taken that."""
        entry, claim = submission.entry, submission.claim
        if entry is None:
            claim = self._tickets.renew(submission)
            entry = submission.entry = encode(claim)
        return ClaimAsk(campaign, claim.claim_id, claim.user_id, submission.checked, entry, "", True)

    def _tell(self, batch: list[Submission], claims: list[ClaimAsk], answer: Admission) -> None:
        again: list[Submission] = []
        for submission, claim, told in zip(batch, claims, answer.verdicts, strict=True):
            verdict = _VERDICTS[told]
            if verdict in _NOT_YET:
                again.append(submission)
                continue
            if verdict is Verdict.ADMITTED:
                submission.entry = None
            if submission.asks:
                submission.verdict = verdict, answer.campaigns[claim.campaign].closed
                submission.go_on()
        self._cold = len(again) == len(batch)
        if again:
            self.ask_again(again)
        else:
            self._pause_s = _AGAIN_AFTER_S

    def _follow(self, asked: Incarnation, living: Incarnation | None, batch: list[Submission]) -> None:
        """Go where the pointer points: not to the life that was `asked`, the gate says."""
        if living is None or living == asked:
            self._cold = True
            self.ask_again(batch)
            return
        before, self._incarnation = self._incarnation, living
        self._queue += batch
        if before not in ("", living):
            self._moved(self._partition)

"""A front door: memory first, then the gate, then whatever the feed or Postgres says (see `frontdoor.course`).

Each request is a process of its own; in the engine those of one turn share their calls, which changes what they cost and
nothing that they mean. The certificates are the engine's own.
"""

from functools import partial
from itertools import count

from msgspec.structs import replace

from frontdoor.certificates import Certificates
from frontdoor.submissions import ADMIT_WITHIN_S
from shared.domain.ids import DoorId, Incarnation, PartitionNo
from shared.domain.operations import SubmitClaim
from shared.domain.outcomes import Granted, Heard, Misrouted, Outcome, Refusal, Refused, Replayed
from shared.domain.redemption import Redemption
from shared.gate import CampaignAsk, ClaimAsk, Moved, Verdict
from shared.mailbox import encode
from shared.redemptions import Standing
from tests.simulation.admit import admit
from tests.simulation.direct import Circuit, decide_directly, lifeless
from tests.simulation.postgres import Postgres
from tests.simulation.redis import Redis
from tests.simulation.world import Host, Process, Silence, Task, World

#: When a waiter first looks for an outcome that the feed has not brought, and how often it then does.
LOOK_AFTER_S = 0.4

#: How soon a gate is asked again that gave nothing yet; more seldom than the engine does, for the world's own sake.
AGAIN_AFTER_S = 0.15
AGAIN_AT_MOST_S = 0.6

#: What a caller is told; None: nothing that is known (202 or 503), to be asked again with the same key.
Answer = Outcome | None


class Submission:
    """A claim on its way through the door.

    `awaits`: it is in a mailbox; `lost`: it is in none any more; `lifeless`: its partition has none.
    """

    __slots__ = ("answer", "awaits", "checked", "claim", "joined", "lifeless", "lost", "task")

    def __init__(self, claim: SubmitClaim, task: Task | None) -> None:
        self.claim = claim
        self.task = task
        self.answer: Outcome | None = None
        self.checked = self.joined = self.awaits = self.lost = self.lifeless = False


class Door(Host):
    """One front door; `open` begins it anew, with nothing that it knew before."""

    def __init__(self, world: World, postgres: Postgres, redis: Redis, name: str) -> None:
        super().__init__(name)
        self.world, self.postgres, self.redis = world, postgres, redis
        self.open()

    def open(self) -> None:
        self.up = True
        self.door_id = DoorId(f"{self.name}.{self.starts}")
        self.certificates = Certificates(100)
        self._tickets = count(1)
        self._by_ticket: dict[int, Submission] = {}
        self._under_way: dict[object, Submission] = {}
        self._circuits = {number: Circuit(self.world) for number in self.postgres.partitions}
        self._incarnations: dict[PartitionNo, Incarnation] = {}

    @property
    def waiting(self) -> int:
        """How many claims are under way."""
        return len(self._under_way)

    def hear(self, outcomes: list[tuple[int, Heard]]) -> None:
        """Take what the feed says."""
        for ticket, outcome in outcomes:
            submission = self._by_ticket.get(ticket)
            if submission is not None and submission.answer is None and not isinstance(outcome, Misrouted):
                submission.answer = outcome
                if submission.awaits and submission.task is not None:
                    self.world.wake(submission.task)

    def redeem(self, claim: SubmitClaim, wait_s: float) -> Process[Answer]:
        """What a caller is told who waits for so long."""
        world = self.world
        reason = self.certified(claim)
        if reason is not None:
            world.seen.add("certificate answered")
            return Refused(reason)
        other = self._under_way.get(claim.claim_id)
        if other is not None:
            yield LOOK_AFTER_S
            told = other.answer
            return Replayed(told.redemption) if isinstance(told, Granted) else told
        submission = self._under_way[claim.claim_id] = Submission(replace(claim, door=self.door_id), world.running)
        answer = yield from self._see_through(submission, world.now + wait_s)
        self._by_ticket.pop(submission.claim.ticket, None)
        del self._under_way[claim.claim_id]
        return answer

    def certified(self, claim: SubmitClaim) -> Refusal | None:
        """What the claim is refused with from memory, if it is."""
        layout = self.postgres.slices[claim.campaign_id, claim.slice_no].campaign.layout
        campaign, user, now = claim.campaign_id, claim.user_id, self.world.now
        return self.certificates.refusal(campaign, user, now, slice_no=claim.slice_no, layout=layout)

    def _see_through(self, submission: Submission, deadline: float) -> Process[Answer]:
        """Ask until there is an answer, or nobody waits any more."""
        world = self.world
        admit_by, pause_s = max(deadline, world.now + ADMIT_WITHIN_S), AGAIN_AFTER_S
        partition = self._partition(submission.claim)
        while submission.answer is None:
            if submission.lifeless or self._circuits[partition].away:
                submission.lifeless = False
                claim = self._new_ticket(submission)
                submission.answer = (yield from decide_directly(self, self.postgres, partition, claim)) or submission.answer
                again = True
            else:
                verdict, closed = yield from self._watched(partition, self._ask(submission))
                again = yield from self._go_on(submission, verdict, closed, deadline)
            if submission.answer is not None or not again or world.now >= admit_by:
                break
            if not submission.lost and not submission.lifeless:
                yield pause_s
                pause_s = min(3 * pause_s, AGAIN_AT_MOST_S)
        return submission.answer

    def _go_on(self, submission: Submission, verdict: Verdict, closed: str, deadline: float) -> Process[bool]:
        """What comes next by the gate's verdict. Whether there may be more to ask for."""
        submission.lost = False
        match verdict:
            case Verdict.ADMITTED | Verdict.PENDING:
                submission.joined = submission.joined or verdict is Verdict.PENDING
                yield from self._await_outcome(submission, deadline)
                return submission.lost
            case Verdict.EXHAUSTED:
                submission.answer = submission.answer or Refused(Refusal.EXHAUSTED)
            case Verdict.CLOSED:
                submission.answer = submission.answer or Refused(Refusal(closed))
            case Verdict.BUSY:
                return False
            case Verdict.LOOK_ALREADY | Verdict.LOOK_EXHAUSTED | Verdict.LOOK_CLOSED:
                answer = yield from self._look_whether_replay(submission, _refusal(verdict, closed))
                submission.answer = submission.answer or answer
                return submission.checked or submission.lifeless
            case Verdict.WAIT | Verdict.COLD:
                pass
        return True

    def _watched(self, partition: PartitionNo, asking: Process[tuple[Verdict, str]]) -> Process[tuple[Verdict, str]]:
        """No gate that answers is like one that has yet to be seeded."""
        try:
            told = yield from asking
        except Silence:
            self._circuits[partition].not_heard()
            return Verdict.COLD, ""
        self._circuits[partition].heard()
        return told

    def _new_ticket(self, submission: Submission) -> SubmitClaim:
        """What was refused once is no answer to who asks again."""
        self._by_ticket.pop(submission.claim.ticket, None)
        claim = submission.claim = replace(submission.claim, ticket=next(self._tickets))
        self._by_ticket[claim.ticket] = submission
        return claim

    def _ask(self, submission: Submission) -> Process[tuple[Verdict, str]]:
        """Ask the gate with a new ticket, and go where the pointer points."""
        claim = self._new_ticket(submission)
        partition, layout = self._partition(claim), self.postgres.slices[claim.campaign_id, claim.slice_no].campaign.layout
        while True:
            life, asked_at = self._incarnations.get(partition, Incarnation("")), self.world.now
            edition, known = self.certificates.known(claim.campaign_id, claim.slice_no, layout)
            ask = CampaignAsk(claim.campaign_id, "", edition, known, claim.slice_no, layout)
            asked = ClaimAsk(0, claim.claim_id, claim.user_id, submission.checked, encode(claim), "", True)
            answer = yield from self.world.call(self, self.redis, partial(admit, self.redis, partition, life, [ask], [asked]))
            if not isinstance(answer, Moved):
                self.certificates.take(ask, answer.campaigns[0], asked_at)
                return Verdict(answer.verdicts[0]), answer.campaigns[0].closed
            if answer.incarnation is None or answer.incarnation == life:
                return Verdict.COLD, ""
            self._follow(partition, answer.incarnation)

    def _follow(self, partition: PartitionNo, living: Incarnation) -> None:
        before = self._incarnations.get(partition, Incarnation(""))
        self._incarnations[partition] = living
        if before not in ("", living):
            for each in self._under_way.values():
                if each.awaits and self._partition(each.claim) == partition and each.task is not None:
                    each.lost = True
                    self.world.wake(each.task)

    def _await_outcome(self, submission: Submission, deadline: float) -> Process[None]:
        """Wait for what the mailbox's owner says; until it is `lost` on its way, and is to be asked for again."""
        world, claim = self.world, submission.claim
        while submission.answer is None and not submission.lost and world.now < deadline:
            submission.awaits = True
            yield min(LOOK_AFTER_S, deadline - world.now)
            submission.awaits = False
            if submission.answer is not None or submission.lost:
                return
            try:
                pending = yield from self._pending(claim)
                standing, lifeless_now = yield from self._look_up(claim)
            except Silence:
                continue
            if standing.redemption is not None:
                submission.answer = submission.answer or _shown(submission, standing.redemption)
            # Nobody will read the mailbox of a partition that has no life.
            submission.lifeless = lifeless_now
            submission.lost = submission.lost or lifeless_now or not pending

    def _pending(self, claim: SubmitClaim) -> Process[bool]:
        partition = self._partition(claim)
        try:
            found = yield from self.world.call(self, self.redis, lambda: self.redis.pending(partition, [claim.claim_id]))
        except Silence:
            return True
        return bool(found)

    def _look_whether_replay(self, submission: Submission, refusal: Refusal) -> Process[Answer]:
        """The user holds something: this claim (show it), another, or nothing after all (`checked`: ask again)."""
        claim = submission.claim
        submission.checked = False
        try:
            standing, submission.lifeless = yield from self._look_up(claim)
        except Silence:
            return None
        if standing.redemption is not None:
            submission.joined = True
            return _shown(submission, standing.redemption)
        if refusal is Refusal.ALREADY_REDEEMED and standing.active < self._user_limit(claim):
            submission.checked = True
            return None
        # A gate whose life is over knows nothing of what has been decided since.
        return None if submission.lifeless else Refused(refusal)

    def _look_up(self, claim: SubmitClaim) -> Process[tuple[Standing, bool]]:
        """What is committed about a claim; and then, whether its partition has no life."""
        postgres, partition = self.postgres, self._partition(claim)
        standing = yield from self.world.call(self, postgres, lambda: postgres.standing(claim))
        return standing, (yield from self.world.call(self, postgres, lambda: lifeless(postgres, partition)))

    def _user_limit(self, claim: SubmitClaim) -> int:
        return self.postgres.slices[claim.campaign_id, claim.slice_no].campaign.per_user_limit

    def _partition(self, claim: SubmitClaim) -> PartitionNo:
        return self.postgres.slices[claim.campaign_id, claim.slice_no].partition_no


def _refusal(verdict: Verdict, closed: str) -> Refusal:
    if verdict is Verdict.LOOK_CLOSED:
        return Refusal(closed)
    return Refusal.ALREADY_REDEEMED if verdict is Verdict.LOOK_ALREADY else Refusal.EXHAUSTED


def _shown(submission: Submission, redemption: Redemption) -> Outcome:
    return Replayed(redemption) if submission.joined else Granted(redemption)

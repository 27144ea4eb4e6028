"""A front door: memory first, then the gate, then whatever the feed or Postgres says (see `frontdoor.course`).

Each request is a process of its own, which rests while it waits for its turn at the gate or for its outcome. The certificates
are the engine's own.
"""

from msgspec.structs import replace

from frontdoor.certificates import Certificates
from frontdoor.submissions import ADMIT_WITHIN_S
from shared.domain.ids import DoorId, PartitionNo, UserId
from shared.domain.operations import SubmitClaim
from shared.domain.outcomes import Heard, Misrouted, Outcome, Refusal, Refused
from shared.gate import Verdict
from shared.redemptions import Standing
from tests.simulation.gatedesk import GateDesk
from tests.simulation.lives import Lives
from tests.simulation.postgres import Postgres
from tests.simulation.redis import Redis
from tests.simulation.submission import Submission, Tickets
from tests.simulation.tables import Slice
from tests.simulation.world import Host, Process, Silence, World

#: When a waiter first looks for an outcome that the feed has not brought, and how often it then does.
LOOK_AFTER_S = 0.4

#: What a caller is told; None: nothing that is known (202 or 503), to be asked again with the same key.
Answer = Outcome | None


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
        self._tickets = Tickets()
        self._under_way: dict[tuple[UserId, str], Submission] = {}
        lives = self._lives = Lives(self, self.postgres)
        self._desks = {
            number: GateDesk(self, self.postgres, self.redis, number, lives, self.certificates, self._tickets, self._moved)
            for number in self.postgres.partitions
        }

    @property
    def waiting(self) -> int:
        """How many claims are under way."""
        return len(self._under_way)

    def hear(self, outcomes: list[tuple[int, Heard]]) -> None:
        """Take what the feed says."""
        for ticket, outcome in outcomes:
            submission = self._tickets.holder(ticket)
            if submission is not None and not isinstance(outcome, Misrouted):
                submission.answer_with(outcome)

    def redeem(self, claim: SubmitClaim, wait_s: float) -> Process[Answer]:
        """What a caller is told who waits for so long."""
        world = self.world
        part = self.postgres.slices[claim.campaign_id, claim.slice_no]
        name, reason = (claim.user_id, claim.idempotency_key), self.certified(claim, part)
        if reason is not None:
            world.seen.add("certificate answered")
            return Refused(reason)
        came_at, deadline = world.now, world.now + wait_s
        while (other := self._under_way.get(name)) is not None and other.answer is None:
            told = yield from other.answer_for(came_at, deadline)
            if told is not None or world.now >= deadline:
                return told
        submission = self._under_way[name] = Submission(world, replace(claim, door=self.door_id), part)
        yield from self._see_through(submission, deadline)
        self._leave(submission, name)
        return submission.answer

    def _leave(self, submission: Submission, name: tuple[UserId, str]) -> None:
        """It is under way no more; another of the same claim may be."""
        self._tickets.take_back(submission)
        if self._under_way.get(name) is submission:
            del self._under_way[name]
        submission.let_go()

    def certified(self, claim: SubmitClaim, part: Slice) -> Refusal | None:
        """What the claim is refused with from memory, if it is."""
        slice_no, layout = part.slice_no, part.campaign.layout
        return self.certificates.refusal(claim.campaign_id, claim.user_id, self.world.now, slice_no=slice_no, layout=layout)

    def _see_through(self, submission: Submission, deadline: float) -> Process[None]:
        """Ask until there is an answer, or nobody waits any more."""
        admit_by, desk = max(deadline, self.world.now + ADMIT_WITHIN_S), self._desks[submission.part.partition_no]
        desk.ask(submission)
        while (told := (yield from submission.verdict_by(admit_by))) is not None:
            again = yield from self._go_on(submission, *told, deadline)
            if submission.answer is not None or not again or self.world.now >= admit_by:
                return
            if submission.lifeless:
                desk.decide([submission])
            elif submission.lost:
                desk.ask(submission)
            else:
                desk.ask_again([submission])

    def _go_on(self, submission: Submission, verdict: Verdict, closed: str, deadline: float) -> Process[bool]:
        """What comes next by the gate's verdict. Whether there may be more to ask for."""
        submission.lost = submission.lifeless = False
        match verdict:
            case Verdict.ADMITTED | Verdict.PENDING:
                submission.joined = submission.joined or verdict is Verdict.PENDING
                yield from self._await_outcome(submission, deadline)
                return submission.lost
            case Verdict.EXHAUSTED:
                submission.answer_with(Refused(Refusal.EXHAUSTED))
            case Verdict.CLOSED:
                submission.answer_with(Refused(Refusal(closed)))
            case Verdict.LOOK_ALREADY | Verdict.LOOK_EXHAUSTED | Verdict.LOOK_CLOSED:
                yield from self._look_whether_replay(submission, _refusal(verdict, closed))
                return submission.checked or submission.lifeless
            case _:
                pass  # The gate is busy.
        return False

    def _moved(self, partition: PartitionNo) -> None:
        """The mailbox in which they were has another life now: what is not decided must be asked for again."""
        for each in self._under_way.values():
            if each.awaits and each.part.partition_no == partition:
                each.lost = True
                each.go_on()

    def _await_outcome(self, submission: Submission, deadline: float) -> Process[None]:
        """Wait for what the mailbox's owner says; until it is `lost` on its way, and is to be asked for again."""
        world = self.world
        while submission.answer is None and not submission.lost and world.now < deadline:
            yield from submission.rest(min(LOOK_AFTER_S, deadline - world.now))
            if submission.answer is not None or submission.lost:
                return
            try:
                pending = yield from self._pending(submission)
                standing = yield from self._standing(submission)
                submission.lifeless = yield from self._lives.lifeless(submission.part.partition_no)
            except Silence:
                continue
            if standing.redemption is not None:
                submission.show(standing.redemption)
            # Nobody will read the mailbox of a partition that has no life.
            submission.lost = submission.lost or submission.lifeless or not pending

    def _pending(self, submission: Submission) -> Process[bool]:
        claims, partition = [submission.claim.claim_id], submission.part.partition_no
        try:
            found = yield from self.world.call(self, self.redis, lambda: self.redis.pending(partition, claims))
        except Silence:
            return True
        return bool(found)

    def _look_whether_replay(self, submission: Submission, refusal: Refusal) -> Process[None]:
        """The user holds something: this claim (show it), another, or nothing after all (`checked`: ask again)."""
        submission.checked = False
        try:
            # In this order: while there was a life nobody else decided, and what was decided before is seen.
            submission.lifeless = yield from self._lives.lifeless(submission.part.partition_no)
            standing = yield from self._standing(submission)
        except Silence:
            return
        if standing.redemption is not None:
            submission.joined = True
            submission.show(standing.redemption)
        elif refusal is Refusal.ALREADY_REDEEMED and standing.active < submission.part.campaign.per_user_limit:
            submission.checked = True
        elif not submission.lifeless:
            # A gate whose life is over knows nothing of what has been decided since.
            submission.answer_with(Refused(refusal))

    def _standing(self, submission: Submission) -> Process[Standing]:
        """What is committed about a claim."""
        postgres, claim = self.postgres, submission.claim
        return (yield from self.world.call(self, postgres, lambda: postgres.standing(claim)))


def _refusal(verdict: Verdict, closed: str) -> Refusal:
    if verdict is Verdict.LOOK_CLOSED:
        return Refusal(closed)
    return Refusal.ALREADY_REDEEMED if verdict is Verdict.LOOK_ALREADY else Refusal.EXHAUSTED

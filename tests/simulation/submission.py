"""A claim on its way through a simulated door, and what wakes it (see `frontdoor.submissions`)."""

from itertools import count

from msgspec.structs import replace

from shared.domain.operations import SubmitClaim
from shared.domain.outcomes import Granted, Outcome, Refused, Replayed
from shared.domain.redemption import Redemption
from shared.gate import Verdict
from tests.simulation.tables import Slice
from tests.simulation.world import Process, Task, World


class Submission:
    """One claim that one door sees through, for `part`, the slice that serves its user.

    Its process rests while it `asks` at the gate's desk or `awaits` its outcome. `verdict`: what the gate said of it, and why
    its campaign is closed; `entry`: what the gate is offered, until it may have taken that. `lost`: it is in no mailbox any
    more; `lifeless`: its partition has none.
    """

    __slots__ = (
        "_joiners",
        "_task",
        "_world",
        "answer",
        "asks",
        "awaits",
        "began_at",
        "checked",
        "claim",
        "entry",
        "joined",
        "lifeless",
        "lost",
        "part",
        "verdict",
    )

    def __init__(self, world: World, claim: SubmitClaim, part: Slice) -> None:
        self._world, self._task = world, world.running
        self._joiners: list[Task] = []
        self.began_at = world.now
        self.claim = claim
        self.part = part
        self.answer: Outcome | None = None
        self.entry: bytes | None = None
        self.verdict: tuple[Verdict, str] | None = None
        self.asks = self.awaits = self.checked = self.joined = self.lost = self.lifeless = False

    def go_on(self) -> None:
        """Let its process go on, if that rests."""
        if (self.asks or self.awaits) and self._task is not None:
            self._world.wake(self._task)

    def answer_with(self, outcome: Outcome | None) -> None:
        """Be answered, unless it is; None is no answer."""
        if self.answer is None and outcome is not None:
            self.answer = outcome
            self.go_on()
            self.let_go()

    def let_go(self) -> None:
        """Let those go on who wait here for an answer, also when there will be none."""
        if self._joiners:
            joiners, self._joiners = self._joiners, []
            for task in joiners:
                self._world.wake(task)

    def answer_for(self, came_at: float, deadline: float) -> Process[Outcome | None]:
        """What another request for the same claim hears that waits here; None: no answer in time, or none that is its own."""
        if self._world.running is not None:
            self._joiners.append(self._world.running)
        yield max(0.0, deadline - self._world.now)
        match self.answer:
            case Granted(redemption):
                return Replayed(redemption)
            case Refused() if came_at >= self.began_at:
                return None
        return self.answer

    def show(self, redemption: Redemption) -> None:
        """Be answered with what is committed under the claim's id."""
        self.answer_with(Replayed(redemption) if self.joined else Granted(redemption))

    def verdict_by(self, moment: float) -> Process[tuple[Verdict, str] | None]:
        """Rest until the gate has said something. None: there is an answer, or nothing was said in time."""
        self.verdict, self.asks = None, True
        yield max(0.0, moment - self._world.now)
        self.asks = False
        return self.verdict

    def rest(self, seconds: float) -> Process[None]:
        """Rest until there is an outcome, or the mailbox is gone."""
        self.awaits = True
        yield seconds
        self.awaits = False


class Tickets:
    """The tickets of one door: by them the feed names who is to hear an outcome."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._holders: dict[int, Submission] = {}

    def renew(self, submission: Submission) -> SubmitClaim:
        """The claim under a ticket never used before: what was refused once is no answer to who asks again."""
        holders, ticket = self._holders, next(self._numbers)
        holders.pop(submission.claim.ticket, None)
        holders[ticket] = submission
        claim = submission.claim = replace(submission.claim, ticket=ticket)
        return claim

    def take_back(self, submission: Submission) -> None:
        self._holders.pop(submission.claim.ticket, None)

    def holder(self, ticket: int) -> Submission | None:
        return self._holders.get(ticket)

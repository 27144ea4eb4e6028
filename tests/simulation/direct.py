"""The direct path: a claim decided by the front door itself, where its partition has no life (see `frontdoor.direct`)."""

from collections.abc import Callable, Sequence

from shared.domain.ids import PartitionNo
from shared.domain.operations import SubmitClaim
from shared.domain.outcomes import Heard, Misrouted
from tests.simulation.deciding import ALONE, NeedsOthers, Others, decide_under, lock_with_others
from tests.simulation.lives import Lives
from tests.simulation.postgres import Postgres
from tests.simulation.submission import Submission
from tests.simulation.tables import DecideAgain
from tests.simulation.world import Host, Process, Silence, World

#: After how many calls in a row without an answer a gate is taken to be away, and how often it is then asked again.
_CALLS = 2
_PROBE_EVERY_S = 1.0


class Circuit:
    """Whether a gate is away, as far as one door's own calls tell: a hint of what to try, never a proof."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._unanswered = 0
        self._probe_at = 0.0

    @property
    def away(self) -> bool:
        return self._unanswered >= _CALLS and self._world.now < self._probe_at

    def heard(self) -> None:
        if self._unanswered >= _CALLS:
            self._world.note("direct path left")
        self._unanswered = 0

    def not_heard(self) -> None:
        self._unanswered += 1
        if self._unanswered == _CALLS:
            self._world.note("direct path entered")
        self._probe_at = self._world.now + _PROBE_EVERY_S


class DirectPath:
    """Decides claims of one door in one partition, a batch at a time. `again` hears of those that were not decided."""

    def __init__(
        self, door: Host, postgres: Postgres, lives: Lives, number: PartitionNo, again: Callable[[Sequence[Submission]], None]
    ) -> None:
        self._door, self._postgres, self._world, self._number = door, postgres, postgres.world, number
        self._lives, self._again = lives, again
        self._queue: list[Submission] = []
        self._busy = False

    def ask(self, submissions: Sequence[Submission]) -> None:
        """Decide these with the next transaction."""
        self._queue += submissions
        if not self._busy:
            self._busy = True
            self._world.start(self._door, self._drain())

    def _drain(self) -> Process[None]:
        while self._queue:
            batch, self._queue = [each for each in self._queue if each.asks and each.answer is None], []
            outcomes = (yield from self._decide_all(batch)) if batch else []
            for submission, outcome in zip(batch, outcomes, strict=True):
                submission.answer_with(None if isinstance(outcome, Misrouted) else outcome)
            if left := [submission for submission in batch if submission.answer is None]:
                self._again(left)
        self._busy = False

    def _decide_all(self, batch: list[Submission]) -> Process[Sequence[Heard | None]]:
        """What they come to; None: the partition has a life, or whether it was decided is not known."""
        others, claims = ALONE, [submission.claim for submission in batch]
        # Before the lock, which others need.
        if not (yield from self._lives.lately_lifeless(self._number)):
            return [None] * len(claims)
        while True:
            try:
                return (yield from self._decide(claims, others))
            except NeedsOthers as more:
                others |= more.partitions
            except (Silence, DecideAgain):
                return [None] * len(claims)

    def _decide(self, claims: list[SubmitClaim], others: Others) -> Process[Sequence[Heard | None]]:
        world, door, postgres, number = self._world, self._door, self._postgres, self._number
        transaction = postgres.begin(door)
        try:
            head = yield from lock_with_others(postgres, transaction, number, None, others)
            if head.incarnation is not None:
                self._lives.note(number, lifeless=False)
                return [None] * len(claims)
            decisions, _ = yield from decide_under(postgres, transaction, head, claims, None)
            yield from world.call(door, postgres, lambda: postgres.commit(transaction))
        finally:
            if door.starts == transaction.starts:
                postgres.abandon(transaction)
        self._lives.note(number, lifeless=True)
        world.note("decided by the direct path")
        return [decision.outcome for decision in decisions]

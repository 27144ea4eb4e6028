"""The direct path: a claim decided by the front door itself, where its partition has no life (see `frontdoor.direct`)."""

from shared.domain.ids import PartitionNo
from shared.domain.operations import SubmitClaim
from shared.domain.outcomes import Misrouted, Outcome
from tests.simulation.deciding import ALONE, NeedsOthers, Others, decide_under, lock_with_others
from tests.simulation.postgres import Postgres
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


def lifeless(postgres: Postgres, number: PartitionNo) -> bool:
    """Whether a partition has no life, as last committed; only its lock says that it stays so."""
    return postgres.partitions[number].incarnation is None


def decide_directly(door: Host, postgres: Postgres, number: PartitionNo, claim: SubmitClaim) -> Process[Outcome | None]:
    """What a claim comes to. None: the partition has a life, or whether it was decided is not known."""
    others = ALONE
    while True:
        try:
            return (yield from _decide(door, postgres, number, claim, others))
        except NeedsOthers as more:
            others |= more.partitions


def _decide(door: Host, postgres: Postgres, number: PartitionNo, claim: SubmitClaim, others: Others) -> Process[Outcome | None]:
    world, transaction = postgres.world, postgres.begin(door)
    try:
        if not (yield from world.call(door, postgres, lambda: lifeless(postgres, number))):
            return None
        head = yield from lock_with_others(postgres, transaction, number, None, others)
        if head.incarnation is not None:
            return None
        [decision], _ = yield from decide_under(postgres, transaction, head, [claim], None)
        yield from world.call(door, postgres, lambda: postgres.commit(transaction))
    except (Silence, DecideAgain):
        return None
    finally:
        if door.starts == transaction.starts:
            postgres.abandon(transaction)
    world.note("decided by the direct path")
    return None if isinstance(decision.outcome, Misrouted) else decision.outcome

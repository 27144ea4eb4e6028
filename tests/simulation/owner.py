"""What the owner of a partition has to do with: its host, both stores, the life it serves; and the commit of a batch.

Step by step what `claim_workers.committer` does, so that it can end between any two steps. What it decides is decided by the
engine's own code.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from claim_workers.incarnation import Life
from shared.book import Head
from shared.domain.decide import Decision
from shared.domain.ids import DoorId
from shared.domain.operations import SubmitClaim
from shared.domain.outcomes import Heard
from shared.domain.settlement import Settlement
from shared.errors import Fenced, IncarnationOver
from shared.mailbox import Entry
from tests.simulation.deciding import ALONE, NeedsOthers, Others, decide_under, lock_with_others
from tests.simulation.postgres import Postgres
from tests.simulation.redis import Redis, position
from tests.simulation.tables import DecideAgain, Transaction
from tests.simulation.world import Host, Process, World

T = TypeVar("T")

_ATTEMPTS = 5
_PAUSE_S = 0.01

Told = tuple[DoorId, int, Heard]

#: What a batch came to: whom to tell what, and what to set the gates to.
Came = tuple[list[Told], list[Settlement]]


class Owner:
    """The owner of one life of a partition, at work."""

    def __init__(self, host: Host, world: World, postgres: Postgres, redis: Redis, life: Life) -> None:
        self.host, self.world, self.postgres, self.redis = host, world, postgres, redis
        self.life = life
        self.number = life.partition_no

    def to_postgres(self, act: Callable[[], T]) -> Process[T]:
        return self.world.call(self.host, self.postgres, act)

    def to_redis(self, act: Callable[[], T]) -> Process[T]:
        return self.world.call(self.host, self.redis, act)

    def commit(self, entries: Sequence[Entry]) -> Process[Came]:
        """Decide and write a batch: whom to tell what, what to set the gates to. Raises Fenced, Silence and others."""
        others, attempt = ALONE, 1
        while True:
            try:
                return (yield from self._transaction(entries, others))
            except NeedsOthers as more:
                others |= more.partitions
            except DecideAgain:
                if attempt == _ATTEMPTS:
                    raise
                self.world.note("decided again")
                yield _PAUSE_S * attempt
                attempt += 1

    def _transaction(self, entries: Sequence[Entry], others: Others) -> Process[Came]:
        transaction = self.postgres.begin(self.host)
        try:
            written = yield from self._written(transaction, entries, others)
            yield from self.to_postgres(lambda: self.postgres.commit(transaction))
            self.world.tell(f"{self.host.name} commits {len(entries)} entries of {self.number} up to {entries[-1].entry_id}")
        except Fenced:
            self.world.note("fenced mid-batch")
            raise
        finally:
            # Also of one whose commit was not answered: it is over by then, or is ended with its connection.
            if self.host.starts == transaction.starts:
                self.postgres.abandon(transaction)
        return written

    def _written(self, transaction: Transaction, entries: Sequence[Entry], others: Others) -> Process[Came]:
        head: Head = yield from lock_with_others(self.postgres, transaction, self.number, self.life.epoch, others)
        if head.incarnation != self.life.incarnation:
            raise IncarnationOver
        claims = claims_after(entries, head)
        cursor = entries[-1].entry_id if claims else head.cursor
        decisions, settlements = yield from decide_under(self.postgres, transaction, head, claims, cursor)
        return told(decisions), settlements


def claims_after(entries: Sequence[Entry], head: Head) -> list[SubmitClaim]:
    """The claims of those entries that were not committed already."""
    return [each.claim for each in entries if each.claim and position(each.entry_id) > position(head.cursor)]


def told(decisions: Sequence[Decision]) -> list[Told]:
    """Whom to tell what."""
    return [(each.claim.door, each.claim.ticket, each.outcome) for each in decisions]

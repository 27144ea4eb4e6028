"""A shard's turns: what its consumers have read is committed together (see `claim_workers.turns`).

A turn is a process of its own, so that it goes on whatever becomes of those who handed something in.
"""

from collections.abc import Sequence
from itertools import chain

from shared.domain.budgets import wants
from shared.domain.decide import decide_together
from shared.domain.facts import SliceKey
from shared.domain.ids import PartitionNo
from shared.domain.outcomes import Granted
from shared.domain.settlement import Counts, settlements
from shared.mailbox import Entry
from tests.simulation.deciding import events_of
from tests.simulation.owner import Came, Owner, claims_after, told
from tests.simulation.tables import DecideAgain, Transaction
from tests.simulation.world import Host, Process, Silence, Task, World

#: After how long the next turn begins beside one that is under way.
_PATIENCE_S = 0.25
_BUSY_S = 0.02


class NotTogether(Exception):
    """One of the partitions needs what only its own transaction can get."""


class Handed:
    """A batch, and what came of it. `left_out`: it is to be committed by itself."""

    def __init__(self, owner: Owner, entries: Sequence[Entry], task: Task | None) -> None:
        self.owner, self.entries, self.task = owner, entries, task
        self.came: Came | None = None
        self.error: Exception | None = None
        self.left_out = False

    @property
    def open(self) -> bool:
        return self.came is None and self.error is None and not self.left_out


class Turns:
    """The turns of one shard."""

    def __init__(self, host: Host, world: World) -> None:
        self.host, self.world = host, world
        self._waiting: list[Handed] = []
        self._under_way_since: float | None = None

    def commit(self, owner: Owner, entries: Sequence[Entry]) -> Process[Came]:
        """Decide and write a batch, beside whatever else waits for it. Raises as `Owner.commit` does."""
        handed = Handed(owner, entries, self.world.running)
        self._waiting.append(handed)
        # A shard that is busy looks later what there is.
        yield _BUSY_S * self.world.chance.random()
        while handed.open:
            self._begin()
            yield _PATIENCE_S
        if handed.error is not None:
            raise handed.error
        return handed.came if handed.came is not None else (yield from owner.commit(entries))

    def _begin(self) -> None:
        since = self._under_way_since
        if self._waiting and (since is None or self.world.now >= since + _PATIENCE_S):
            turn, self._waiting = self._waiting, []
            self._under_way_since = self.world.now
            self.world.start(self.host, self._take(turn, self.world.now))

    def _take(self, turn: Sequence[Handed], began: float) -> Process[None]:
        try:
            if len(turn) == 1:
                turn[0].came = yield from turn[0].owner.commit(turn[0].entries)
            else:
                yield from self._together(turn)
        except (NotTogether, DecideAgain):
            self.world.note("turn taken apart")
        except Exception as error:
            # Whatever it is, it is for the consumers to hear.
            for handed in turn:
                handed.error = error
        for handed in turn:
            handed.left_out = handed.came is None and handed.error is None
            if handed.task is not None:
                self.world.wake(handed.task)
        if self._under_way_since == began:
            self._under_way_since = None
            self._begin()

    def _together(self, turn: Sequence[Handed]) -> Process[None]:
        postgres = turn[0].owner.postgres
        transaction = postgres.begin(self.host)
        try:
            written = yield from self._staged(transaction, turn)
            yield from self.world.call(self.host, postgres, lambda: postgres.commit(transaction))
        finally:
            if self.host.starts == transaction.starts:
                postgres.abandon(transaction)
        for handed, came in written:
            handed.came = came
        if len(written) > 1:
            self.world.note("several partitions in one transaction")
        if len(written) < len(turn):
            self.world.note("left out of a turn")

    def _staged(self, transaction: Transaction, turn: Sequence[Handed]) -> Process[list[tuple[Handed, Came]]]:
        """Nothing was asked to be committed when there is no answer yet: each goes on alone."""
        try:
            return (yield from self._written(transaction, turn))
        except Silence as silence:
            raise NotTogether from silence

    def _written(self, transaction: Transaction, turn: Sequence[Handed]) -> Process[list[tuple[Handed, Came]]]:
        postgres, call = turn[0].owner.postgres, self.world.call
        epochs = {each.owner.number: each.owner.life.epoch for each in turn}
        heads = yield from call(self.host, postgres, lambda: postgres.lock_free(transaction, epochs))
        ours = [
            (heads[each.owner.number], each)
            for each in turn
            if each.owner.number in heads and heads[each.owner.number].incarnation == each.owner.life.incarnation
        ]
        mail = {head.partition_no: claims_after(each.entries, head) for head, each in ours}
        claims = list(chain.from_iterable(mail.values()))
        if not ours:
            return []
        facts = yield from call(self.host, postgres, lambda: postgres.facts(transaction, [head for head, _ in ours], claims))
        found = decide_together(mail, facts)
        decisions = list(chain.from_iterable(found.values()))
        if wants(decisions, facts):
            raise NotTogether
        moved: dict[SliceKey, Counts] = {}
        seqs: dict[PartitionNo, int] = {}
        for head, each in ours:
            number = head.partition_no
            won = [one.outcome.redemption for one in found[number] if isinstance(one.outcome, Granted)]
            cursor = each.entries[-1].entry_id if mail[number] else head.cursor
            more, seqs[number] = postgres.write(transaction, number, events_of(found[number]), won, cursor)
            moved |= more
        yield from call(self.host, postgres, _written_down)
        gates = settlements(facts, decisions, moved, seqs)
        return [(each, (told(found[head.partition_no]), gates[head.partition_no])) for head, each in ours]


def _written_down() -> None:
    """The rows are staged; that Postgres answers is what is waited for."""

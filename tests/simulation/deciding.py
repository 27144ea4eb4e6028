"""Claims decided under a partition's lock, by whoever holds it: an owner's batch, or a door's claim on the direct path.

Seldom that lock is not enough, because a slice has nothing left that its siblings have: then all is rolled back, and decided
again with their partitions locked, too, in ascending order.
"""

from collections.abc import Collection, Sequence

from shared.book import Head
from shared.domain.budgets import Want, wants
from shared.domain.decide import Decision, decide
from shared.domain.facts import SliceFacts, SliceKey
from shared.domain.ids import PartitionNo
from shared.domain.ledger import Event, Kind
from shared.domain.operations import SubmitClaim
from shared.domain.outcomes import Granted, Refused
from shared.domain.settlement import Settlement, settlements
from shared.domain.slices import pulled
from tests.simulation.postgres import Postgres
from tests.simulation.tables import Transaction
from tests.simulation.world import Process

Others = frozenset[PartitionNo]
ALONE: Others = frozenset()


class NeedsOthers(Exception):
    """What claims need lives in these partitions, too: roll back, and decide again with all of them locked."""

    def __init__(self, partitions: Collection[PartitionNo]) -> None:
        super().__init__()
        self.partitions = frozenset(partitions)


def lock_with_others(
    postgres: Postgres, transaction: Transaction, here: PartitionNo, epoch: int | None, others: Others
) -> Process[Head]:
    """Lock a partition, and others beside it, in ascending order. Raises Fenced."""
    for number in sorted({here, *others}):
        yield from postgres.lock(transaction, number, epoch if number == here else None)
    return transaction.heads[here]


def decide_under(
    postgres: Postgres, transaction: Transaction, head: Head, claims: Sequence[SubmitClaim], cursor: str | None
) -> Process[tuple[list[Decision], list[Settlement]]]:
    """What they come to, staged to be written, and what the gates are to be set to after the commit. Raises NeedsOthers."""
    call, host, number = postgres.world.call, transaction.host, head.partition_no
    facts = yield from call(host, postgres, lambda: postgres.facts(transaction, [head], claims))
    decisions, pulls = decide(claims, facts), 0
    while wanted := wants(decisions, facts):
        for key, want in wanted.items():
            _pull(postgres, transaction, key, facts.slices[key], want)
            pulls += 1
        facts = yield from call(host, postgres, lambda: postgres.facts(transaction, [head], claims))
        decisions = decide(claims, facts)
    events = [Event(Kind.BUDGET_MOVED, None, "")] * pulls
    events += events_of(decisions)
    won = [each.outcome.redemption for each in decisions if isinstance(each.outcome, Granted)]
    moved, seq = yield from call(host, postgres, lambda: postgres.write(transaction, number, events, won, cursor))
    return decisions, settlements(facts, decisions, moved, {number: seq})[number]


def _pull(postgres: Postgres, transaction: Transaction, key: SliceKey, terms: SliceFacts, want: Want) -> None:
    """Have a slice get of its siblings what it wants, and every ledger that is touched tell of it."""
    places = {other.partition_no for other in terms.siblings}
    if not places <= transaction.heads.keys():
        raise NeedsOthers(places)
    slots = pulled(want.slots, [other.free for other in terms.siblings])
    for other, less in zip(terms.siblings, slots, strict=True):
        if less:
            for at, more in (((key[0], other.slice_no), -less), (key, less)):
                transaction.moves[at] = transaction.moves.get(at, 0) + more
            postgres.write(transaction, other.partition_no, [Event(Kind.BUDGET_MOVED, None, "")])
    postgres.world.note("budget moved")


def events_of(decisions: Sequence[Decision]) -> list[Event]:
    """What the ledger says of decisions."""
    return [event for each in decisions if (event := _event(each)) is not None]


def _event(decision: Decision) -> Event | None:
    """What the ledger says of a decision; a replay is no news."""
    match decision.outcome:
        case Granted(redemption):
            return Event(Kind.CLAIMED, redemption.redemption_id, "")
        case Refused(reason):
            return Event(Kind.REFUSED, decision.claim.claim_id, reason)
        case _:
            return None

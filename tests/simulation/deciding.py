"""Claims decided under a partition's lock, by whoever holds it: an owner's batch, or a door's claim on the direct path."""

from collections.abc import Sequence

from shared.book import Head
from shared.domain.decide import Decision, decide
from shared.domain.ledger import Event, Kind
from shared.domain.operations import SubmitClaim
from shared.domain.outcomes import Granted, Refused
from shared.domain.settlement import Settlement, settlements
from tests.simulation.postgres import Postgres, Transaction
from tests.simulation.world import Process


def decide_under(
    postgres: Postgres, transaction: Transaction, head: Head, claims: Sequence[SubmitClaim], cursor: str | None
) -> Process[tuple[list[Decision], list[Settlement]]]:
    """What they come to, staged to be written, and what the gates are to be set to after the commit."""
    call, host, number = postgres.world.call, transaction.host, head.partition_no
    facts = yield from call(host, postgres, lambda: postgres.facts(head, claims))
    decisions = decide(claims, facts)
    events = [event for each in decisions if (event := _event(each)) is not None]
    won = [each.outcome.redemption for each in decisions if isinstance(each.outcome, Granted)]
    moved, seq = yield from call(host, postgres, lambda: postgres.write(transaction, number, events, won, cursor))
    return decisions, settlements(facts, decisions, moved, seq)


def _event(decision: Decision) -> Event | None:
    """What the ledger says of a decision; a replay is no news."""
    match decision.outcome:
        case Granted(redemption):
            return Event(Kind.CLAIMED, redemption.redemption_id, "")
        case Refused(reason):
            return Event(Kind.REFUSED, decision.claim.claim_id, reason)
        case _:
            return None

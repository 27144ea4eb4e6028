"""Claims decided and written under a partition's lock: an owner's batch and the direct path's are decided alike."""

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from shared.book import Head
from shared.claims import read_facts, write_decisions
from shared.domain.decide import Decision, decide
from shared.domain.facts import overdue_holds
from shared.domain.operations import SubmitClaim
from shared.domain.settlement import Settlement
from shared.lifecycle import expire
from shared.postgres import Connection

#: Locks the partition for the transaction, again after something was written; raises when it is not the caller's to write.
Lock = Callable[[Connection], Awaitable[Head]]


class Decided(msgspec.Struct, frozen=True):
    """What claims came to, in their order, and what the gates are to be set to after COMMIT."""

    decisions: list[Decision]
    settlements: list[Settlement]


async def decide_under(
    connection: Connection, head: Head, lock: Lock, claims: Sequence[SubmitClaim], cursor: str | None
) -> Decided:
    """Decide `claims`, in order, under the lock of which `head` is the proof, and write what was decided.

    An owner moves its `cursor` with them. Raises what `write_decisions` and `lock` raise.
    """
    facts = await read_facts(connection, head, claims)
    settlements: list[Settlement] = []
    # What these users hold no more is given back first, so that it stands in nobody's way.
    while holds := overdue_holds(facts):
        settlements += await expire(connection, head, holds)
        head = await lock(connection)
        facts = await read_facts(connection, head, claims)
    decisions = decide(claims, facts)
    settlements += await write_decisions(connection, head, facts, decisions, cursor)
    return Decided(decisions, settlements)

"""Claims decided and written under a partition's lock: an owner's batch and the direct path's are decided alike.

An owner's shard may decide batches of several partitions in one transaction, as long as none of them needs more than is locked.

Seldom that lock is not enough: a slice has nothing left that its siblings have, or a user's hold that is over lives in another
slice. Then all is rolled back and decided again with the rows of those partitions locked too, in ascending order as everywhere,
so that two slices that pull from each other wait, but not for ever.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import TypeVar

import msgspec

from shared.book import Head, append, decided
from shared.claims import Verdicts, read_facts, write_decisions
from shared.domain.budgets import Want, wants
from shared.domain.decide import Decision, decide, decide_together
from shared.domain.facts import SliceFacts, SliceKey, overdue_holds
from shared.domain.ids import PartitionNo
from shared.domain.ledger import Event, Kind
from shared.domain.operations import SubmitClaim
from shared.domain.settlement import Settlement
from shared.domain.slices import pulled
from shared.errors import ShortWrite
from shared.lifecycle import expire
from shared.postgres import Connection, Pool
from shared.slices import Heads, lock_partitions
from shared.statements import statement

T = TypeVar("T")

#: Locks the partition for the transaction, again after something was written; raises when it is not the caller's to write.
Lock = Callable[[Connection], Awaitable[Head]]

#: Partitions that are locked beside the one that is decided on.
Others = frozenset[PartitionNo]
ALONE: Others = frozenset()


class Mail(msgspec.Struct, frozen=True):
    """Claims of the partition that `head` is locked at, in their order; its owner moves its `cursor` with them."""

    head: Head
    claims: Sequence[SubmitClaim]
    cursor: str


class Decided(msgspec.Struct, frozen=True):
    """What claims came to, in their order, and what the gates are to be set to after COMMIT."""

    decisions: Sequence[Decision]
    settlements: list[Settlement]


class NeedsOthers(Exception):
    """What claims need lives in these partitions, too: roll back, and decide again with all of them locked."""

    def __init__(self, partitions: Collection[PartitionNo]) -> None:
        super().__init__()
        self.partitions = frozenset(partitions)


class NotTogether(Exception):
    """What claims need is for their own partition's transaction to get: roll back, and decide each partition by itself."""


async def decided_with_others(pool: Pool, write: Callable[[Connection, Others], Awaitable[T]]) -> T:
    """As `book.decided`, with as many other partitions locked by `write` as it turns out to need."""
    others = ALONE
    while True:
        try:
            return await decided(pool, lambda connection, locked=others: write(connection, locked))  # type: ignore[misc]
        except NeedsOthers as more:
            others |= more.partitions


async def lock_with_others(connection: Connection, here: PartitionNo, lock: Lock, others: Others) -> Head:
    """Lock a partition by `lock`, and `others` beside it, in ascending order."""
    await lock_partitions(connection, [partition for partition in others if partition < here])
    head = await lock(connection)
    await lock_partitions(connection, [partition for partition in others if partition > here])
    return head


async def decide_under(
    connection: Connection, head: Head, lock: Lock, claims: Sequence[SubmitClaim], cursor: str | None, others: Others = ALONE
) -> Decided:
    """Decide `claims`, in order, under the lock of which `head` is the proof, and write what was decided.

    An owner moves its `cursor` with them. Raises what `write_decisions` and `lock` raise, and NeedsOthers.
    """
    here = head.partition_no
    facts = await read_facts(connection, [head], claims)
    settlements: list[Settlement] = []
    # What these users hold no more is given back first, so that it stands in nobody's way.
    while holds := overdue_holds(facts):
        heads = await _heads(connection, head, others, holds)
        for partition, ended in holds.items():
            freed = await expire(connection, heads[partition], ended)
            settlements += freed if partition == here else []
        head = await lock(connection)
        facts = await read_facts(connection, [head], claims)
    decisions = decide(claims, facts)
    while wanted := wants(decisions, facts):
        for key, want in wanted.items():
            await _pull(connection, head, others, key, facts.slices[key], want)
            head = await lock(connection)
        facts = await read_facts(connection, [head], claims)
        decisions = decide(claims, facts)
    settlements += (await write_decisions(connection, facts, [Verdicts(head, decisions, cursor)]))[here]
    return Decided(decisions, settlements)


async def decide_all_under(connection: Connection, turn: Sequence[Mail]) -> list[Decided]:
    """Decide the claims of several partitions, of whose locks their heads are the proof, and write what was decided.

    Raises what `write_decisions` raises, and NotTogether.
    """
    facts = await read_facts(connection, [mail.head for mail in turn], [claim for mail in turn for claim in mail.claims])
    if overdue_holds(facts):
        raise NotTogether
    decided = decide_together({mail.head.partition_no: mail.claims for mail in turn}, facts)
    if wants([decision for decisions in decided.values() for decision in decisions], facts):
        raise NotTogether
    verdicts = [Verdicts(mail.head, decided[mail.head.partition_no], mail.cursor) for mail in turn]
    settlements = await write_decisions(connection, facts, verdicts)
    return [Decided(each.decisions, settlements[each.head.partition_no]) for each in verdicts]


async def _heads(connection: Connection, head: Head, others: Others, needed: Collection[PartitionNo]) -> Heads:
    """How far the ledgers of these partitions are. Raises NeedsOthers unless all of them are locked."""
    beside = set(needed) - {head.partition_no}
    if not beside <= others:
        raise NeedsOthers(beside)
    return {**await lock_partitions(connection, beside), head.partition_no: head}


async def _pull(connection: Connection, head: Head, others: Others, key: SliceKey, terms: SliceFacts, want: Want) -> None:
    """Have a slice get of its siblings what it wants, and every ledger that is touched tell of it."""
    campaign_id, slice_no = key
    heads = await _heads(connection, head, others, [other.partition_no for other in terms.siblings])
    slots = pulled(want.slots, [other.free for other in terms.siblings])
    money = pulled(want.amount, [other.amount_free for other in terms.siblings])
    moves = [
        (other.slice_no, other.partition_no, -slots_less, -money_less)
        for other, slots_less, money_less in zip(terms.siblings, slots, money, strict=True)
        if slots_less or money_less
    ]
    moves.append((slice_no, head.partition_no, sum(slots), sum(money)))
    rows = await connection.fetch(statement("move_budget"), campaign_id, *(list(column) for column in zip(*moves, strict=True)))
    if len(rows) != len(moves):
        raise ShortWrite
    left = {number: (budget, amount_budget) for number, budget, amount_budget in rows}
    for number, partition, more_slots, more_money in moves:
        story = {
            "campaign": {"campaign_id": campaign_id, "code": terms.code},
            "slice_no": number,
            "slots": more_slots,
            "amount": more_money,
            "budget": left[number][0],
            "amount_budget": left[number][1],
        }
        await append(connection, heads[partition], [Event(Kind.BUDGET_MOVED, None, msgspec.json.encode(story).decode())])

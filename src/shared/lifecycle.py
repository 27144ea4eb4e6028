"""What happens to a redemption after the claim: confirm, release, refund, and the end of a hold that nobody confirmed.

The same lock, read, decide, write as a claim's. Steps that somebody asks for take the direct path, without an epoch: rare, run
by a front door, and durable before they are answered. The partition's row is locked first, so steps of one redemption come one
after the other, whoever asks, and are judged by Postgres's clock.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from shared.book import Head, append, decided, lock_partition
from shared.domain.ids import PartitionNo
from shared.domain.ledger import Event, Kind
from shared.domain.redemption import TRANSITIONS, Policy, Redemption, State, Stay, Step, next_state, step_at
from shared.domain.settlement import Settlement
from shared.errors import ShortWrite
from shared.gate_facts import settlements_of
from shared.postgres import Connection, Pool
from shared.statements import statement

_redemption = msgspec.json.Decoder(Redemption).decode
_KINDS = {State.REDEEMED: Kind.REDEEMED, State.RELEASED: Kind.RELEASED}


class Stepped(msgspec.Struct, frozen=True):
    """The redemption as it stands after the step. `settlement`: what to set its gate to, if a slot was given back."""

    redemption: Redemption
    partition_no: PartitionNo
    settlement: Settlement | None


class Kept(msgspec.Struct, frozen=True):
    """A redemption of an order that stays as it is, and why."""

    redemption_id: UUID
    stay: Stay


class Refunded(msgspec.Struct, frozen=True):
    """What an order's redemptions came to: all of them as they stand, and those that were not given back.

    `settlements`: what to set the partitions' gates to.
    """

    redemptions: list[Redemption]
    kept: list[Kept]
    settlements: list[tuple[PartitionNo, Settlement]]


class _Standing(msgspec.Struct, frozen=True):
    redemption: Redemption
    partition_no: PartitionNo
    policy: Policy


async def take(pool: Pool, redemption_id: UUID, step: Step) -> Stepped | Stay | None:
    """Take one step with a redemption; committed when this returns. None: there is no such redemption."""

    async def write(connection: Connection) -> Stepped | Stay | None:
        known = await _read(connection, redemption_id)
        if known is None:
            return None
        head = await lock_partition(connection, known.partition_no)
        # What was read before the lock may have moved since.
        found = await _read(connection, redemption_id)
        if found is None or found.partition_no != head.partition_no:
            raise ShortWrite
        coming = step_at(found.redemption, step, head.now)
        following = next_state(found.redemption, coming, found.policy, head.now)
        if following is Stay.DONE:
            return Stepped(found.redemption, head.partition_no, None)
        if isinstance(following, Stay):
            return following
        moved = await _move(connection, head, [redemption_id], found.redemption.state, coming)
        if not moved:
            raise ShortWrite
        settlements = await _freed(connection, head, moved)
        return Stepped(moved[0], head.partition_no, settlements[0] if settlements else None)

    return await decided(pool, write)


async def refund(pool: Pool, order_id: str) -> Refunded:
    """Refund whatever of an order can be refunded; committed when this returns, and answered alike when asked again."""
    return await decided(pool, lambda connection: _refund(connection, order_id))


async def _refund(connection: Connection, order_id: str) -> Refunded:
    step = Step.RELEASE_FOR_REFUND
    asked = await _read_order(connection, order_id)
    partitions = sorted({each.partition_no for each in asked})
    heads = {partition: await lock_partition(connection, partition) for partition in partitions}
    stand = await _read_order(connection, order_id)
    # What was claimed in another partition since is no part of what is refunded; what has moved there is.
    found = [each for each in stand if each.partition_no in heads]
    if not {each.redemption.redemption_id for each in asked} <= {each.redemption.redemption_id for each in found}:
        raise ShortWrite
    judged = [(each, next_state(each.redemption, step, each.policy, heads[each.partition_no].now)) for each in found]
    stands = {each.redemption.redemption_id: each.redemption for each in found}
    settlements: list[tuple[PartitionNo, Settlement]] = []
    for partition, head in heads.items():
        here = [each.redemption for each, to in judged if each.partition_no == partition and isinstance(to, State)]
        moved = await _move(connection, head, [each.redemption_id for each in here], State.REDEEMED, step)
        if len(moved) != len(here):
            raise ShortWrite
        stands.update((each.redemption_id, each) for each in moved)
        settlements += [(partition, each) for each in await _freed(connection, head, moved)]
    kept = [Kept(each.redemption.redemption_id, to) for each, to in judged if isinstance(to, Stay) and to is not Stay.DONE]
    return Refunded(list(stands.values()), kept, settlements)


async def expire(connection: Connection, head: Head, holds: Sequence[UUID]) -> list[Settlement]:
    """Give back the slots of those of `holds`, all of them overdue, that nobody has released meanwhile.

    Under the lock of which `head` is the proof; the ledger then goes on behind it, so lock again before writing more. Returns
    what the gates are to be set to after COMMIT.
    """
    return await _freed(connection, head, await _move(connection, head, holds, State.CLAIMED, Step.EXPIRE))


async def overdue(connection: Connection, partition: PartitionNo, most: int, now: datetime | None = None) -> list[UUID]:
    """Up to `most` holds of the partition whose time to confirm has run out (by `now`). None of them can be confirmed any more.

    Only under the partition's lock are they still its own when they are released.
    """
    return [hold for (hold,) in await connection.fetch(statement("overdue_holds"), partition, most, now)]


async def _move(connection: Connection, head: Head, redemptions: Sequence[UUID], before: State, step: Step) -> list[Redemption]:
    """Take a step of those redemptions that are in state `before`, and write it into the ledger. Returns them as they stand."""
    if not redemptions:
        return []
    after = TRANSITIONS[before, step]
    reason = None if step is Step.CONFIRM else step.value
    rows = await connection.fetch(statement("take_steps"), redemptions, before, after, reason, head.now)
    if after is State.RELEASED and any(slots != len(rows) for _, slots in rows):
        raise ShortWrite
    moved = [_redemption(document) for document, _ in rows]
    events = [Event(_KINDS[after], each.redemption_id, row[0]) for each, row in zip(moved, rows, strict=True)]
    await append(connection, head, events)
    return moved


async def _freed(connection: Connection, head: Head, moved: Sequence[Redemption]) -> list[Settlement]:
    """What the gates are to be set to for what was given back; a confirmation is nothing to them."""
    released = [each.redemption_id for each in moved if each.state is State.RELEASED]
    return await settlements_of(connection, head.partition_no, released) if released else []


async def _read(connection: Connection, redemption_id: UUID) -> _Standing | None:
    row = await connection.fetchrow(statement("lifecycle_facts"), redemption_id)
    return None if row is None else _standing(*row)


async def _read_order(connection: Connection, order_id: str) -> list[_Standing]:
    return [_standing(*row) for row in await connection.fetch(statement("order_lifecycle"), order_id)]


def _standing(document: str, partition_no: PartitionNo, on_failure: bool, on_refund: bool) -> _Standing:
    return _Standing(_redemption(document), partition_no, Policy(on_failure, on_refund))

"""What happens to a redemption after the claim: confirm and release, on the direct path.

The same lock, read, decide, write as a claim's, without an epoch: rare, run by a front door, and durable before it is
answered. The partition's row is locked first, so steps of one redemption come one after the other, whoever asks.
"""

from uuid import UUID

import msgspec

from shared.book import Head, append, decided, lock_partition
from shared.domain.campaign import CampaignStatus
from shared.domain.ids import PartitionNo
from shared.domain.ledger import Event, Kind
from shared.domain.redemption import Policy, Redemption, State, Stay, Step, next_state
from shared.domain.settlement import Settlement
from shared.errors import ShortWrite
from shared.postgres import Connection, Pool
from shared.statements import statement

_KINDS = {State.REDEEMED: Kind.REDEEMED, State.RELEASED: Kind.RELEASED}


class Stepped(msgspec.Struct, frozen=True):
    """The redemption as it stands after the step. `settlement`: what to set its partition's gate to, if anything moved."""

    redemption: Redemption
    partition_no: PartitionNo
    settlement: Settlement | None


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
        following = next_state(found.redemption.state, step, found.policy)
        if following is Stay.DONE:
            return Stepped(found.redemption, head.partition_no, None)
        if isinstance(following, Stay):
            return following
        return await _move(connection, head, found.redemption, step, following)

    return await decided(pool, write)


async def _move(connection: Connection, head: Head, before: Redemption, step: Step, following: State) -> Stepped:
    reason = None if step is Step.CONFIRM else step.value
    row = await connection.fetchrow(statement("take_step"), before.redemption_id, before.state, following, reason, head.now)
    if row is None:
        raise ShortWrite
    document, active, budget, claimed, per_user_limit, status = row
    moved = msgspec.json.decode(document, type=Redemption)
    seq = await append(connection, head, [Event(_KINDS[following], moved.redemption_id, document)])
    settlement = Settlement.of(
        moved.campaign_id,
        seq,
        budget=budget,
        claimed=claimed,
        per_user_limit=per_user_limit,
        status=CampaignStatus(status),
        users={moved.user_id: active},
    )
    return Stepped(moved, head.partition_no, settlement)


async def _read(connection: Connection, redemption_id: UUID) -> _Standing | None:
    row = await connection.fetchrow(statement("lifecycle_facts"), redemption_id)
    if row is None:
        return None
    document, partition_no, on_failure, on_refund = row
    return _Standing(msgspec.json.decode(document, type=Redemption), partition_no, Policy(on_failure, on_refund))

"""What happens to a redemption after the claim: confirm and release, on the direct path.

The same lock, read, decide, write as a claim's, without an epoch: rare, run by a front door, and durable before it is
answered. The partition's row is locked first, so steps of one redemption come one after the other, whoever asks.
"""

from uuid import UUID

import msgspec

from shared.book import append, lock_partition
from shared.domain.campaign import CampaignStatus, closed_by_status
from shared.domain.ids import PartitionNo, UserId
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
    """Take one step of a redemption's life; committed when this returns. None: there is no such redemption."""
    async with pool.acquire(timeout=2) as connection, connection.transaction():
        found = await _read(connection, redemption_id)
        if found is None:
            return None
        head = await lock_partition(connection, found.partition_no)
        # What was read before the lock may have moved since.
        found = await _read(connection, redemption_id) or found
        following = next_state(found.redemption, step, found.policy, head.now)
        if following is Stay.DONE:
            return Stepped(found.redemption, found.partition_no, None)
        if isinstance(following, Stay):
            return following
        reason = None if step is Step.CONFIRM else step.value
        row = await connection.fetchrow(
            statement("take_step"), redemption_id, found.redemption.state, following, reason, head.now
        )
        if row is None:
            raise ShortWrite
        document, active, free, per_user_limit, status = row
        moved = msgspec.json.decode(document, type=Redemption)
        seq = await append(connection, head, [Event(_KINDS[following], redemption_id, document)])
    settlement = Settlement(
        campaign_id=moved.campaign_id,
        seq=seq,
        free=free,
        per_user_limit=per_user_limit,
        closed=closed_by_status(CampaignStatus(status)),
        users={UserId(moved.user_id): active},
    )
    return Stepped(moved, found.partition_no, settlement)


async def _read(connection: Connection, redemption_id: UUID) -> _Standing | None:
    row = await connection.fetchrow(statement("lifecycle_facts"), redemption_id)
    if row is None:
        return None
    document, partition_no, on_failure, on_refund = row
    return _Standing(msgspec.json.decode(document, type=Redemption), partition_no, Policy(on_failure, on_refund))

"""What is done by the direct path, at a door: slots given back, campaigns paused, resumed and made larger.

Locked, decided and durable like every other write, and then told to the gate by whoever did it, if he is still there to do so.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from msgspec.structs import replace

from shared.domain.campaign import CampaignStatus
from shared.domain.ids import ClaimId, PartitionNo
from shared.domain.ledger import Event, Kind
from shared.domain.redemption import Policy, Redemption, State, Step, next_state
from shared.domain.settlement import Settlement
from tests.simulation.door import Door
from tests.simulation.settle import settle
from tests.simulation.tables import Campaign, DecideAgain, Slice, Transaction
from tests.simulation.world import Process, Silence

_POLICY = Policy(release_on_failure=True, release_on_refund=True)


def release(door: Door, won: Redemption) -> Process[bool]:
    """Give a slot back. True when that is known to have been done."""
    part = door.postgres.slices[won.campaign_id, won.slice_no]

    def stage(transaction: Transaction) -> list[ClaimId]:
        now = transaction.heads[part.partition_no].now
        known = door.postgres.redemptions[won.redemption_id]
        if next_state(known, Step.RELEASE_FOR_FAILURE, _POLICY, now) is not State.RELEASED:
            return []
        reason = Step.RELEASE_FOR_FAILURE.value
        transaction.released.append(replace(known, state=State.RELEASED, released_at=now, released_reason=reason))
        door.postgres.write(transaction, part.partition_no, [Event(Kind.RELEASED, won.redemption_id, "")])
        return [won.redemption_id]

    return (yield from _direct(door, [part], stage))


def set_status(door: Door, campaign: Campaign, status: CampaignStatus) -> Process[bool]:
    """Pause or resume a campaign."""
    return (yield from _change(door, campaign, lambda: setattr(campaign, "status", status)))


def enlarge(door: Door, part: Slice, by: int) -> Process[bool]:
    """Raise a campaign's limit."""

    def change() -> None:
        part.budget += by
        part.campaign.limit += by

    return (yield from _change(door, part.campaign, change))


def _change(door: Door, campaign: Campaign, change: Callable[[], None]) -> Process[bool]:
    def stage(transaction: Transaction) -> list[ClaimId]:
        transaction.changes.append(change)
        for part in campaign.parts:
            transaction.changes.append(partial(setattr, part, "freed_at", door.postgres.clock()))
            door.postgres.write(transaction, part.partition_no, [Event(Kind.CAMPAIGN_CHANGED, None, "")])
        return []

    return (yield from _direct(door, campaign.parts, stage))


def _direct(door: Door, parts: Sequence[Slice], stage: Callable[[Transaction], list[ClaimId]]) -> Process[bool]:
    """Lock, decide, write; then tell the gates."""
    postgres, world = door.postgres, door.world
    numbers, campaigns = sorted(part.partition_no for part in parts), [parts[0].campaign.campaign_id]
    transaction = postgres.begin(door)

    def commit() -> dict[PartitionNo, list[Settlement]]:
        postgres.commit(transaction)
        return {number: postgres.settlements_of(number, claims) or postgres.gate_facts(number, campaigns) for number in numbers}

    try:
        for number in numbers:
            yield from postgres.lock(transaction, number)
        claims = yield from world.call(door, postgres, lambda: stage(transaction))
        settlements = yield from world.call(door, postgres, commit)
    except (Silence, DecideAgain):
        postgres.abandon(transaction)
        return False
    for number, to in settlements.items():
        yield from _settle(door, number, to)
    return True


def _settle(door: Door, number: PartitionNo, settlements: list[Settlement]) -> Process[None]:
    """A gate that cannot be told is put right by the partition's owner within a second."""
    redis = door.redis
    with suppress(Silence):
        living = yield from door.world.call(door, redis, lambda: redis.living(number))
        if living is not None:
            yield from door.world.call(door, redis, lambda: settle(redis, number, living, settlements))

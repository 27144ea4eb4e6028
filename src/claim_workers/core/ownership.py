"""Who should own what: partitions spread evenly over the shards that live, moving as few as possible."""

from collections.abc import Collection, Mapping

import msgspec

from shared.domain.ids import PartitionNo, ShardId


class Plan(msgspec.Struct, frozen=True):
    """What one shard should do now to come to its share."""

    acquire: list[PartitionNo]
    resign: list[PartitionNo]


def plan(me: ShardId, living: Collection[ShardId], owners: Mapping[PartitionNo, ShardId | None]) -> Plan:
    """What `me` takes of the free partitions and gives up of its own; `owners` None: free."""
    mine = sorted(partition for partition, owner in owners.items() if owner == me)
    share = _share(me, living, owners)
    if len(mine) > share:
        return Plan(acquire=[], resign=mine[share:])
    free = sorted(partition for partition, owner in owners.items() if owner is None or owner not in living)
    # Each shard begins at another place of the list, so that those who look at the same moment seldom ask for the same one.
    start = sorted({*living, me}).index(me) * len(free) // len({*living, me})
    return Plan(acquire=(free[start:] + free[:start])[: share - len(mine)], resign=[])


def _share(me: ShardId, living: Collection[ShardId], owners: Mapping[PartitionNo, ShardId | None]) -> int:
    """How many partitions `me` should own. What does not divide goes to those who own most already, so that it stays put."""
    shards = {*living, me}
    base, rest = divmod(len(owners), len(shards))
    owned = {shard: sum(owner == shard for owner in owners.values()) for shard in shards}
    ranked = sorted(shards, key=lambda shard: (-owned[shard], shard))
    return base + (ranked.index(me) < rest)

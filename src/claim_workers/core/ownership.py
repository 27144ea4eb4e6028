"""Who should own what: partitions spread evenly over the shards that live, moving as few as possible.

Every shard computes the whole spread from what it sees, and acts on its own part of it. Those who see the same thing come to
the same spread, so they ask for different partitions and give up just what somebody else is going to take.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from types import MappingProxyType

import msgspec

from shared.domain.ids import PartitionNo, ShardId

Places = Mapping[PartitionNo, ShardId]
_NOWHERE: Places = MappingProxyType({})


class Plan(msgspec.Struct, frozen=True):
    """What one shard should do now to come to its share."""

    acquire: list[PartitionNo]
    resign: list[PartitionNo]


def plan(
    me: ShardId,
    living: Collection[ShardId],
    owners: Mapping[PartitionNo, ShardId | None],
    wanted: Places = _NOWHERE,
    resting: Collection[ShardId] = (),
) -> Plan:
    """What `me` takes of the free partitions and gives up of its own; `owners` None: free.

    `wanted`: where somebody asked partitions to be; it counts while that shard lives. Shards that are `resting` take nothing,
    not even what is wanted there: it may have stood still with them.
    """
    intended = spread({*living, me}, owners, wanted, resting)
    mine = {partition for partition, owner in owners.items() if owner == me}
    meant = {partition for partition, shard in intended.items() if shard == me}
    free = {partition for partition, owner in owners.items() if owner is None or owner not in living}
    return Plan(acquire=sorted((meant - mine) & free), resign=sorted(mine - meant))


def spread(
    shards: Collection[ShardId],
    owners: Mapping[PartitionNo, ShardId | None],
    wanted: Places = _NOWHERE,
    resting: Collection[ShardId] = (),
) -> dict[PartitionNo, ShardId]:
    """Where each partition should be: where it is asked for, else where it is while there is room, else where there is."""
    placed = {
        partition: shard
        for partition, shard in wanted.items()
        if shard in shards and (shard not in resting or owners.get(partition) == shard)
    }
    kept = {
        partition: owner
        for partition, owner in sorted(owners.items())
        if partition not in placed and owner is not None and owner in shards
    }
    room = _shares(shards, len(owners), Counter(placed.values()), Counter(kept.values()), resting)
    room.subtract(placed.values())
    for partition, owner in kept.items():
        if room[owner] > 0:
            placed[partition] = owner
            room[owner] -= 1
    seats = (shard for shard in sorted(shards) for _ in range(room[shard]))
    return placed | dict(zip(sorted(owners.keys() - placed.keys()), seats, strict=True))


def _shares(
    shards: Collection[ShardId], partitions: int, placed: Counter[ShardId], kept: Counter[ShardId], resting: Collection[ShardId]
) -> Counter[ShardId]:
    """How many partitions each shard should own: one after the other goes to who has fewest.

    What does not divide goes to those who own most already, so that it stays put.
    """
    shares = Counter(placed)
    for _ in range(partitions - placed.total()):
        taking = [shard for shard in shards if shard not in resting or shares[shard] < placed[shard] + kept[shard]]
        shares[min(taking or shards, key=lambda shard: (shares[shard], -kept[shard], shard))] += 1
    return shares

"""Shards that each follow their own plan come to an even spread, and stay there."""

from collections.abc import Mapping

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from claim_workers.core.ownership import plan, spread
from shared.domain.ids import PARTITIONS, PartitionNo, ShardId

Owners = dict[PartitionNo, ShardId | None]

SHARDS = [ShardId(f"shard-{number:02}") for number in range(21)]
FREE: Owners = {PartitionNo(number): None for number in range(PARTITIONS)}

living_shards = st.integers(1, 20).flatmap(lambda n: st.permutations(SHARDS[:n]))
any_owners = st.builds(
    lambda owners: dict(zip(FREE, owners, strict=True)),
    st.lists(st.sampled_from([None, *SHARDS]), min_size=PARTITIONS, max_size=PARTITIONS),
)


def turn(
    owners: Owners,
    me: ShardId,
    living: list[ShardId],
    seen: Owners | None = None,
    wanted: Mapping[PartitionNo, ShardId] | None = None,
) -> None:
    """One shard acts on what it saw, as Postgres lets it: only what is free, or whose owner is dead, can be acquired."""
    todo = plan(me, living, owners if seen is None else seen, wanted or {})
    assert wanted or not (todo.acquire and todo.resign)
    assert len(set(todo.acquire)) == len(todo.acquire)
    for partition in todo.resign:
        assert owners[partition] == me
        owners[partition] = None
    for partition in todo.acquire:
        if owners[partition] is None or owners[partition] not in living:
            owners[partition] = me


def shares(owners: Owners, living: list[ShardId]) -> list[int]:
    return sorted(sum(owner == shard for owner in owners.values()) for shard in living)


def even(owners: Owners, living: list[ShardId]) -> bool:
    spread = shares(owners, living)
    return sum(spread) == PARTITIONS and spread[-1] - spread[0] <= 1


#: What does not divide belongs to shard 2 only once shard 3 has given something up; what shard 10 gives up then is taken by
#: somebody in the third round.
CROWDED = dict(zip(FREE, [None] * 8 + [SHARDS[number] for number in (2, 2, 3, 3, 3, 10, 10, 10)], strict=True))


@given(living_shards, any_owners)
@example([SHARDS[number] for number in (0, 1, 3, 2, 4, 5, 6, 7, 8, 9, 11, 12, 10, 13)], CROWDED)
def test_three_rounds_of_turns_spread_partitions_evenly_whatever_was_before(living: list[ShardId], owners: Owners) -> None:
    owners = dict(owners)
    for _ in range(3):
        for shard in living:
            turn(owners, shard, living)
    assert even(owners, living)
    before = dict(owners)
    for shard in living:
        turn(owners, shard, living)
    assert owners == before


@given(living_shards, any_owners)
def test_shards_that_all_look_at_the_same_moment_come_to_an_even_spread_too(living: list[ShardId], owners: Owners) -> None:
    rounds = 0
    while not even(owners, living):
        rounds += 1
        seen = dict(owners)
        for shard in living:
            turn(owners, shard, living, seen)
        assert rounds <= PARTITIONS + 2


@given(st.integers(1, 19))
def test_a_shard_that_joins_moves_no_more_than_its_share(number: int) -> None:
    living = SHARDS[:number]
    owners = settled(living)
    before, joined = dict(owners), [*living, SHARDS[20]]
    for _ in range(2):
        for shard in joined:
            turn(owners, shard, joined)
    moved = [partition for partition in owners if owners[partition] != before[partition]]
    assert len(moved) == PARTITIONS // (number + 1)
    assert {owners[partition] for partition in moved} <= {SHARDS[20]}


@given(st.integers(2, 20))
def test_only_the_partitions_of_a_shard_that_left_move(number: int) -> None:
    living = SHARDS[:number]
    owners = settled(living)
    before, left = dict(owners), living[1:]
    for _ in range(2):
        for shard in left:
            turn(owners, shard, left)
    assert even(owners, left)
    assert {before[partition] for partition in owners if owners[partition] != before[partition]} <= {living[0]}


def settled(living: list[ShardId]) -> Owners:
    """What `living` come to when they start from nothing."""
    owners = dict(FREE)
    for _ in range(2):
        for shard in living:
            turn(owners, shard, living)
    assert even(owners, living)
    return owners


@given(living_shards, any_owners)
def test_a_plan_gives_up_only_what_is_its_own_and_takes_only_what_nobody_living_has(
    living: list[ShardId], owners: Owners
) -> None:
    for me in living:
        todo = plan(me, living, owners)
        assert all(owners[partition] == me for partition in todo.resign)
        assert all(owners[partition] is None or owners[partition] not in living for partition in todo.acquire)


def test_a_shard_that_is_not_yet_listed_counts_itself() -> None:
    assert len(plan(SHARDS[1], [SHARDS[0]], FREE).acquire) == 8


def test_shards_that_look_at_the_same_moment_ask_for_different_partitions() -> None:
    asked = [set(plan(shard, SHARDS[:4], FREE).acquire) for shard in SHARDS[:4]]
    assert set.union(*asked) == set(FREE)


@pytest.mark.parametrize(("number", "expected"), [(1, [16]), (3, [5, 5, 6]), (16, [1] * 16), (20, [0] * 4 + [1] * 16)])
def test_what_does_not_divide_is_spread_by_one(number: int, expected: list[int]) -> None:
    assert shares(settled(SHARDS[:number]), SHARDS[:number]) == expected


wishes = st.dictionaries(st.sampled_from(list(FREE)), st.sampled_from(SHARDS), max_size=PARTITIONS)


@given(living_shards, any_owners, wishes)
def test_what_is_wanted_goes_where_it_is_wanted_and_the_rest_is_spread_around_it(
    living: list[ShardId], owners: Owners, wanted: dict[PartitionNo, ShardId]
) -> None:
    intended = spread(living, owners, wanted)
    honoured = {partition: shard for partition, shard in wanted.items() if shard in living}
    assert honoured.items() <= intended.items()
    counts = {shard: list(intended.values()).count(shard) for shard in living}
    bound = {shard: list(honoured.values()).count(shard) for shard in living}
    # Whoever has more than somebody else by two has it by wish alone.
    assert all(counts[shard] <= max(bound[shard], min(counts.values()) + 1) for shard in living)


@given(living_shards, any_owners, wishes)
def test_shards_come_to_the_spread_with_wishes_too_and_stay_there(
    living: list[ShardId], owners: Owners, wanted: dict[PartitionNo, ShardId]
) -> None:
    owners, rounds = dict(owners), 0
    while (intended := spread(living, owners, wanted)) != owners:
        rounds += 1
        seen = dict(owners)
        for shard in living:
            turn(owners, shard, living, seen, wanted)
        assert rounds <= PARTITIONS + 2
    for shard in living:
        turn(owners, shard, living, wanted=wanted)
    assert owners == intended


@given(living_shards, any_owners)
def test_nothing_moves_that_need_not(living: list[ShardId], owners: Owners) -> None:
    intended = spread(living, owners)
    moved = sum(intended[partition] != owner for partition, owner in owners.items() if owner in living)
    owned = sorted((list(owners.values()).count(shard) for shard in living), reverse=True)
    base, rest = divmod(PARTITIONS, len(living))
    shares = [base + (place < rest) for place in range(len(living))]
    assert moved == sum(max(0, has - share) for has, share in zip(owned, shares, strict=True))


def test_one_shard_three_and_two_again_move_shares_alone() -> None:
    owners = settled(SHARDS[:1])
    for living, moves in ((SHARDS[:3], 10), (SHARDS[:2], 5), (SHARDS[:3], 5), (SHARDS[1:3], 6)):
        before = dict(owners)
        for _ in range(2):
            for shard in living:
                turn(owners, shard, living)
        assert even(owners, living)
        assert sum(before[partition] != owners[partition] for partition in owners) == moves


@given(living_shards, any_owners, st.sets(st.sampled_from(SHARDS)), wishes)
def test_who_rests_takes_nothing_even_by_wish_unless_all_rest(
    living: list[ShardId], owners: Owners, resting: set[ShardId], wanted: dict[PartitionNo, ShardId]
) -> None:
    intended = spread(living, owners, wanted, resting)
    assert intended.keys() == owners.keys()
    kept = {partition: owner for partition, owner in owners.items() if owner in living}
    if resting >= set(living):
        # What nobody has must go somewhere; all else stays.
        assert kept.items() <= intended.items()
        return
    for shard in resting & set(living):
        assert all(owners[partition] == shard for partition, owner in intended.items() if owner == shard)


def test_what_a_resting_shard_gave_up_goes_to_the_others() -> None:
    owners = settled(SHARDS[:2])
    given_up = next(partition for partition, owner in owners.items() if owner == SHARDS[0])
    owners[given_up] = None
    assert plan(SHARDS[1], SHARDS[:2], owners, resting={SHARDS[0]}).acquire == [given_up]
    assert plan(SHARDS[0], SHARDS[:2], owners, resting={SHARDS[0]}).acquire == []


def test_a_partition_that_stood_still_where_it_is_wanted_goes_to_the_others_until_that_shard_has_rested() -> None:
    owners, living = settled(SHARDS[:2]), SHARDS[:2]
    moved = next(partition for partition, owner in owners.items() if owner == SHARDS[0])
    owners[moved], wanted = None, {moved: SHARDS[0]}
    assert plan(SHARDS[0], living, owners, wanted, resting={SHARDS[0]}).acquire == []
    assert plan(SHARDS[1], living, owners, wanted, resting={SHARDS[0]}).acquire == [moved]
    owners[moved] = SHARDS[1]
    assert plan(SHARDS[1], living, owners, wanted, resting={SHARDS[0]}).resign == []
    assert plan(SHARDS[1], living, owners, wanted).resign == [moved]


def test_what_is_wanted_where_it_is_stays_there_while_that_shard_rests() -> None:
    owners = settled(SHARDS[:2])
    wanted = {partition: SHARDS[0] for partition, owner in owners.items() if owner == SHARDS[0]}
    assert spread(SHARDS[:2], owners, wanted, resting={SHARDS[0]}) == owners

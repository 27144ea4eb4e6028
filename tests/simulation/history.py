"""One history: a town of doors, shards and stores, people who want slots, faults; then peace, in which all must come right."""

from collections.abc import Callable, Sequence
from functools import partial
from uuid import UUID

import msgspec

from shared.domain.code import Code
from shared.domain.ids import CampaignId, DoorId, PartitionNo
from shared.domain.outcomes import Heard, Outcome, Refused
from shared.domain.slices import spread
from tests.simulation.checks import Checks, Violation
from tests.simulation.door import Door
from tests.simulation.faults import Faults
from tests.simulation.owner import Told
from tests.simulation.people import People
from tests.simulation.postgres import Postgres
from tests.simulation.redis import Redis
from tests.simulation.shard import TICK_S, Shard
from tests.simulation.tables import Campaign, Slice
from tests.simulation.world import World

CHAOS_S = 3.0
LONG_S = 7.0
CLAIMS = 30
FAULTS = 3

#: How long everybody may take to be answered once nothing goes wrong any more: a lease may have to end, even one that a clock
#: set back by two seconds made longer, and then the gates are cold.
_ANSWERED_WITHIN_S = 12.0

#: How long the last who ask may take to be answered.
_SOLD_OUT_WITHIN_S = 3.5


class Report(msgspec.Struct, frozen=True):
    """What a history came to."""

    seed: int
    claims: int
    faults: int
    seen: frozenset[str]


class History:
    """Everything of one seed."""

    def __init__(self, seed: int, trace: Callable[[str], None] | None = None) -> None:
        self.seed = seed
        self.world = World(seed, trace)
        chance = self.world.chance
        # With three of them and two shards, somebody always owns several.
        partitions = chance.choice((2, 2, 3))
        self.postgres, self.redis = Postgres(self.world, partitions), Redis(self.world)
        self.doors = [Door(self.world, self.postgres, self.redis, f"door-{n}") for n in range(2)]
        self.shards = [Shard(self.world, self.postgres, self.redis, f"shard-{n}", self._publish) for n in range(2)]
        self.checks = Checks(self.postgres, self.redis, self.doors)
        self.people = People(self.world, self.doors, self.checks)
        self.faults = Faults(self.world, self.postgres, self.redis, self.doors, self.shards)
        self.campaigns = [
            self._launch(1, chance.choice(([0], [0, 1], [0, partitions - 1]))),
            self._launch(2, [1]),
        ]

    def run(self) -> Report:
        """Raises Violation."""
        chance, world = self.world.chance, self.world
        world.loss, world.delay = chance.choice((0.0, 0.02, 0.1)), chance.choice((0.02, 0.1, 0.3))
        long = chance.random() < 0.15
        chaos_s = LONG_S if long else CHAOS_S
        if long:
            self.faults.cut_off_the_shards(chance.random())
        for n in range(CLAIMS):
            campaign = self.campaigns[0 if chance.random() < 0.75 else 1]
            after = 0.3 * chance.random() if chance.random() < 0.5 else chaos_s * chance.random()
            self.people.come(campaign, f"user-{chance.randrange(20)}", f"key-{n}", after)
        self.faults.plan(chance.randrange(FAULTS, FAULTS + 4), chaos_s)
        world.run(chaos_s)
        self.faults.make_up(FAULTS)
        world.run(chaos_s + 0.1)
        world.tell("peace")
        self.faults.end()
        self._until_answered()
        self._sell_out()
        self.checks.consistent()
        self.checks.at_rest()
        return Report(self.seed, self.people.claims, self.faults.happened, frozenset(world.seen))

    def _until_answered(self) -> None:
        world = self.world
        until = world.now + _ANSWERED_WITHIN_S
        while self.people.unanswered or self.faults.under_way or not self._at_rest():
            if world.now >= until:
                raise Violation(f"{self.people.unanswered} people are not answered in peace")
            world.run(world.now + 0.2)
        # What is said twice has arrived by then, and every gate been set once more.
        world.run(world.now + 0.2 + TICK_S)

    def _at_rest(self) -> bool:
        """Whether nothing is under way, and each partition has an owner that serves it, and is in nobody else's way."""
        if self.world.late or any(door.waiting for door in self.doors):
            return False
        serving = {
            (number, each.lease.epoch)
            for shard in self.shards
            if shard.up
            for number, each in shard.serving.items()
            if each.living
        }
        rows = self.postgres.partitions.items()
        return all((number, row.epoch) in serving and self.postgres.holder(number) is None for number, row in rows)

    def _settled(self) -> bool:
        """Whether no entry is left in a mailbox."""
        return not any(self.redis.lives[life].mail for life in self.redis.pointers.items() if life in self.redis.lives)

    def _sell_out(self) -> None:
        """The next who asks finds any free slot, at once; and more than there are find none."""
        world, asked = self.world, [(each, each.free, self._ask_for_one_too_many(each)) for each in self.campaigns]
        until = world.now + _SOLD_OUT_WITHIN_S
        while world.now < until and (self.people.unanswered or not self._settled()):
            world.run(world.now + 0.2)
        for campaign, free, answers in asked:
            won = sum(bool(heard) and not isinstance(heard[0], Refused) for heard in answers)
            if won != free or campaign.free or not all(answers):
                raise Violation(f"of {free} free slots {won} were found")

    def _ask_for_one_too_many(self, campaign: Campaign) -> list[list[Outcome]]:
        names = [f"fresh-{n}" for n in range(campaign.free + 1)]
        return [self.people.come(campaign, name, campaign.code, 0.0, calm=True) for name in names]

    def _launch(self, number: int, partitions: list[int]) -> Campaign:
        chance = self.world.chance
        limit, per_user_limit = chance.randrange(1, 9), chance.choice((1, 1, 2))
        campaign = Campaign(CampaignId(UUID(int=number)), Code(f"CODE{number}"), limit, per_user_limit)
        for slice_no, (partition, budget) in enumerate(zip(partitions, spread(limit, [0] * len(partitions)), strict=True)):
            self.postgres.launch(Slice(campaign, slice_no, PartitionNo(partition), budget or 0))
        return campaign

    def _publish(self, told: Sequence[Told]) -> None:
        """Outcomes travel to their doors; some never arrive, some twice, some late."""
        world = self.world
        messages: dict[DoorId, list[tuple[int, Heard]]] = {}
        for door, ticket, outcome in told:
            messages.setdefault(door, []).append((ticket, outcome))
        if self.redis.away_until > world.now:
            return
        for name, message in messages.items():
            for _ in range(world.chance.choice((1, 1, 1, 2)) if world.loss else 1):
                if not world.loss or world.chance.random() >= world.loss:
                    world.at(world.travel(), partial(self._deliver, name, message))

    def _deliver(self, name: DoorId, message: list[tuple[int, Heard]]) -> None:
        for door in self.doors:
            if door.door_id == name and door.up:
                door.hear(message)

"""What goes wrong. Each fault happens at some moment, or between two steps of whatever its victim is just doing."""

from collections.abc import Callable

from shared.domain.campaign import CampaignStatus
from tests.simulation import office
from tests.simulation.door import Door
from tests.simulation.leases import TTL_S
from tests.simulation.postgres import Postgres
from tests.simulation.redis import Redis, Value
from tests.simulation.shard import Shard
from tests.simulation.world import Host, Process, World

_GARBAGE: tuple[Value, ...] = (0, -3, 70, "", "many", "nan", 999_999)
_FIELDS = ("free", "free", "free", "limit", "members", "seq", "seq", "seq", "closed", "edition", "dry")


class Faults:
    """Draws faults from the world's chance, and ends all of them at once."""

    def __init__(self, world: World, postgres: Postgres, redis: Redis, doors: list[Door], shards: list[Shard]) -> None:
        self._world, self._postgres, self._redis, self._doors, self._shards = world, postgres, redis, doors, shards
        self._office = Host("office")
        self._runs = 0
        self._over = False
        self.happened = 0
        self.under_way = 0
        self._kinds: tuple[Callable[[], None], ...] = (
            self._shard_dies, self._shard_dies, self._shard_freezes, self._shard_freezes, self._door_dies, self._door_freezes,
            self._postgres_restarts, self._postgres_jumps, self._redis_flushed, self._redis_restarts, self._redis_restored,
            self._redis_away, self._redis_jumps, self._link_cut, self._link_cut, self._gate_spoilt, self._gate_spoilt,
            self._paused, self._enlarged, self._lease_overslept, self._postgres_restarts_meanwhile,
        )  # fmt: skip

    def plan(self, number: int, until: float) -> None:
        """Let so many things go wrong before `until`."""
        chance = self._world.chance
        for _ in range(number):
            self._world.at(until * (0.02 + 0.98 * chance.random()), chance.choice(self._kinds))

    def make_up(self, number: int) -> None:
        """Let so many things have gone wrong; not all that are planned come to their moment."""
        while self.happened < number:
            self._world.chance.choice(
                (self._postgres_restarts, self._postgres_jumps, self._redis_flushed, self._redis_restarts)
            )()

    def cut_off_the_shards(self, after: float) -> None:
        """For so long that lives end: no shard reaches Redis, nor does one of the doors; the others do."""

        def cut() -> None:
            seconds = 4.0 + self._world.chance.random()
            self._now(f"all shards and {self._doors[0].name} cannot reach redis for {seconds:.1f} s")
            for host in (*self._shards, self._doors[0]):
                self._redis.cut[host.name] = self._world.now + seconds

        self._world.at(after, cut)

    def end(self) -> None:
        """Whatever is cut off, away, frozen or about to break is well again."""
        self._over = True
        self._world.loss, self._world.delay = 0.0, 0.02
        for host in (*self._doors, *self._shards):
            host.fuse, host.tinder, host.frozen_until = -1, False, min(host.frozen_until, self._world.now)
            self._world.thaw(host)
        for store in (self._postgres, self._redis):
            store.away_until, store.cut = min(store.away_until, self._world.now), {}

    def _strike(self, host: Host, blow: Callable[[], None], name: str) -> None:
        """At once, a few of its calls from now, or in the midst of its next transaction."""

        def spark() -> None:
            self.happened += 1
            self._world.tell(f"{host.name} {name}")
            blow()

        steps = self._world.chance.randrange(-4, 18)
        if steps < 0:
            spark()
        else:
            host.spark, host.tinder = spark, steps >= 10
            host.fuse = -1 if host.tinder else steps

    def _shard_dies(self) -> None:
        shard = self._world.chance.choice(self._shards)
        self._strike(shard, lambda: self._die(shard, shard.open), "dies")

    def _door_dies(self) -> None:
        door = self._world.chance.choice(self._doors)
        self._strike(door, lambda: self._die(door, door.open), "dies")

    def _die(self, host: Host, open_anew: Callable[[], None]) -> None:
        if host.up:
            self._world.kill(host)
            self._postgres.hang_up(host)
            self._world.at(1.5 * self._world.chance.random(), open_anew)

    def _shard_freezes(self) -> None:
        self._freeze(self._world.chance.choice(self._shards))

    def _door_freezes(self) -> None:
        self._freeze(self._world.chance.choice(self._doors))

    def _freeze(self, host: Host) -> None:
        seconds = self._world.chance.choice((0.3, 1.0, 4.0, 6.0))
        self._strike(host, lambda: self._world.freeze(host, seconds), f"freezes for {seconds} s")

    def _lease_overslept(self) -> None:
        """The clock that leases go by jumps while their owner, who may be in the middle of a batch, does not notice."""
        shard = self._world.chance.choice(self._shards)

        def blow() -> None:
            self._postgres.offset += TTL_S + 1.0
            self._world.freeze(shard, 1.0)

        self._strike(shard, blow, "oversleeps while postgres's clock jumps")

    def _postgres_restarts_meanwhile(self) -> None:
        """While somebody waits for what it says to his commit, say."""
        shard = self._world.chance.choice(self._shards)
        self._strike(shard, self._restart_postgres, "talks to postgres, which restarts")

    def _link_cut(self) -> None:
        """Between a process and a store, in the middle of whatever they are talking about."""
        store = self._world.chance.choice((self._postgres, self._redis))
        host = self._world.chance.choice((*self._doors, *self._shards))
        seconds = 0.2 + 3 * self._world.chance.random()
        name = f"cannot reach {store.name} for {seconds:.1f} s"
        self._strike(host, lambda: store.cut.__setitem__(host.name, self._world.now + seconds), name)

    def _now(self, what: str) -> None:
        self.happened += 1
        self._world.tell(what)

    def _postgres_restarts(self) -> None:
        self._now("postgres restarts")
        self._restart_postgres()

    def _restart_postgres(self) -> None:
        self._postgres.hang_up()
        self._postgres.away_until = self._world.now + 1.5 * self._world.chance.random()

    def _postgres_jumps(self) -> None:
        by = self._world.chance.choice((-3600.0, -2.0, -0.5, 0.5, 2.0, 4.0, 3600.0))
        self._now(f"postgres's clock jumps by {by} s")
        self._postgres.offset += by

    def _redis_flushed(self) -> None:
        self._now("redis is flushed")
        self._redis.flush()

    def _redis_restarts(self, *, restored: bool = False) -> None:
        self._now("redis restarts from a copy" if restored else "redis restarts empty")
        self._runs += 1
        self._redis.restart(f"run{self._runs:05}", restored=restored)
        self._redis.away_until = self._world.now + 1.5 * self._world.chance.random()

    def _redis_restored(self) -> None:
        self._redis.save()
        self._world.at(0.7 * self._world.chance.random(), self._redis_restored_now)

    def _redis_restored_now(self) -> None:
        if not self._over:
            self._redis_restarts(restored=True)

    def _redis_away(self) -> None:
        seconds = 0.2 + 4 * self._world.chance.random()
        self._now(f"redis is away for {seconds:.1f} s")
        self._redis.away_until = self._world.now + seconds

    def _redis_jumps(self) -> None:
        by = self._world.chance.choice((-3600.0, -0.3, 0.3, 3600.0))
        self._now(f"redis's clock jumps by {by} s")
        self._redis.offset += by
        if by > 0:
            self._redis.jumped_at = self._world.now

    def _gate_spoilt(self) -> None:
        """Somebody writes garbage into a gate, or deletes of it."""
        chance = self._world.chance
        lives = [self._redis.lives[name] for name in self._redis.pointers.items() if name in self._redis.lives]
        gates = [(life, gate) for life in lives for gate in life.gates.values()]
        if not gates:
            return
        life, gate = chance.choice(gates)
        self._now("a gate is spoilt")
        gate.reached = -1
        match chance.randrange(6):
            case 0:
                gate.wrong.add(chance.choice(("gate", "users", "marks")))
            case 1:
                life.wrong.add(chance.choice(("mail", "reservations", "reserved", "active", "bell", "seeded", "term")))
            case 2:
                gate.fields.pop(chance.choice(_FIELDS), None)
            case 3 if gate.users:
                user = chance.choice(list(gate.users))
                gate.known.clear()
                gate.users[user] = f"{chance.choice((0, 10))}:{chance.choice((0, 999_999))}"
            case _ if (field := chance.choice(_FIELDS)) in gate.fields:
                gate.fields[field] = chance.choice(_GARBAGE)
            case _:
                pass

    def _paused(self) -> None:
        campaign = self._world.chance.choice(list(self._postgres.slices.values())).campaign
        self._now("a campaign is paused for a while")

        def process() -> Process[None]:
            self.under_way += 1
            yield from self._insist(lambda door: office.set_status(door, campaign, CampaignStatus.PAUSED))
            yield self._world.chance.random()
            self.under_way -= 1
            yield from self._insist(lambda door: office.set_status(door, campaign, CampaignStatus.ACTIVE))

        self._world.start(self._office, process())

    def _enlarged(self) -> None:
        part, by = self._world.chance.choice(list(self._postgres.slices.values())), self._world.chance.randrange(1, 4)
        self._now("a campaign is made larger")
        self._world.start(self._office, self._insist(lambda door: office.enlarge(door, part, by)))

    def _insist(self, act: Callable[[Door], Process[bool]]) -> Process[None]:
        """Have something done at one door after the other, until it is known to be."""
        self.under_way += 1
        while not (yield from act(self._world.chance.choice(self._doors))):
            yield 0.1
        self.under_way -= 1

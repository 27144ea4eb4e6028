"""A worker shard: a keeper of leases, and a consumer for each of them (see `claim_workers.keeper` and `.consumer`)."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache, partial

from msgspec.structs import replace

from claim_workers.core.ownership import Plan, plan
from claim_workers.incarnation import Life
from shared.domain.ids import Incarnation, PartitionNo, ShardId
from shared.domain.lease import Lease, trusted_until
from shared.errors import Fenced, IncarnationOver
from shared.gate import Moved, Term
from shared.mailbox import Post
from tests.simulation import leases
from tests.simulation.admit import admit
from tests.simulation.leases import TTL_S, Living, Owners
from tests.simulation.owner import Owner, Told
from tests.simulation.postgres import Postgres
from tests.simulation.redis import Redis, position
from tests.simulation.settle import settle
from tests.simulation.settler import Settler
from tests.simulation.tables import DecideAgain
from tests.simulation.turns import Turns
from tests.simulation.vouching import Vouching
from tests.simulation.world import Host, Process, Silence, World

TICK_S = 1.0
BATCH_MAX = 8
_PAUSE_S = 0.1

#: Tells a door, by its name, what became of its tickets; it may never hear of it.
Publish = Callable[[Sequence[Told]], None]


class Shard(Host):
    """One worker process; `open` begins it anew, under another name."""

    def __init__(self, world: World, postgres: Postgres, redis: Redis, name: str, publish: Publish) -> None:
        super().__init__(name)
        self.world, self.postgres, self.redis, self.publish = world, postgres, redis, publish
        self.open()

    def open(self) -> None:
        self.up = True
        self.shard_id = ShardId(f"{self.name}.{self.starts}")
        self.serving: dict[PartitionNo, Consumer] = {}
        self.turns = Turns(self, self.world)
        self.world.start(self, self._keep(), 0.01 * self.world.chance.random())

    def _keep(self) -> Process[None]:
        while True:
            with suppress(Silence):
                yield from self._round()
            yield TTL_S / 4

    def _round(self) -> Process[None]:
        """Renew what is served, say that we live, see who else does, give up what is too much, take our share."""
        postgres, started = self.postgres, self.world.now
        held = {number: consumer.lease.epoch for number, consumer in self.serving.items()}

        visit = partial(leases.visit, postgres, self.shard_id, held)
        renewed, living, owners = yield from self.world.call(self, postgres, visit)
        for number, ours in renewed.items():
            consumer = self.serving.get(number)
            if consumer is not None and consumer.lease.epoch == held[number]:
                consumer.renewed(started) if ours else consumer.stop()
        todo = _planned(self.shard_id, living, owners)
        for number in self.serving.keys() & set(todo.resign):
            self.serving[number].stop()
        for number in todo.acquire:
            if number not in self.serving:
                yield from self._acquire(number)

    def _acquire(self, number: PartitionNo) -> Process[None]:
        started, postgres = self.world.now, self.postgres
        epoch = yield from self.world.call(self, postgres, lambda: leases.acquire(postgres, number, self.shard_id))
        if epoch is not None:
            consumer = self.serving[number] = Consumer(self, Lease(number, epoch, trusted_until(started, TTL_S)))
            self.world.tell(f"{self.shard_id} gains {number} at epoch {epoch}")
            self.world.start(self, self._serve(consumer))

    def _serve(self, consumer: "Consumer") -> Process[None]:
        number, epoch = consumer.lease.partition_no, consumer.lease.epoch
        yield from consumer.run()
        with suppress(Silence):
            yield from self.world.call(self, self.postgres, lambda: leases.resign(self.postgres, number, epoch))
        del self.serving[number]


@lru_cache(4096)
def _planned(me: ShardId, living: Living, owners: Owners) -> Plan:
    """The engine's plan, made once for all who see the same."""
    return plan(me, living, dict(owners))


class Consumer:
    """Serves one lease, and then ends. `living`: it does consume; `reached`: how far it knows to have come in which life."""

    def __init__(self, shard: Shard, lease: Lease) -> None:
        self.shard = shard
        self.world = shard.world
        self.lease = lease
        self.living = False
        self._stopping = False
        self._vouching = Vouching(shard, shard.world, shard.postgres, shard.redis, lambda: self.lease)
        self._reached = (Incarnation(""), "0-0")

    def renewed(self, started: float) -> None:
        self.lease = replace(self.lease, trusted_until=trusted_until(started, TTL_S))

    def stop(self) -> None:
        """Finish the batch at hand, then end."""
        self._stopping = True

    def run(self) -> Process[None]:
        yield from self._serve()
        # Whose lease ran out because Postgres is away vouches on: nobody decides anything there.
        if self.lease.trusted(self.world.now):
            self._vouching.end()

    def _serve(self) -> Process[None]:
        while self._may_act():
            try:
                self.living = False
                life = yield from self._enter()
                known, cursor = self._reached
                if life.incarnation == known and position(life.cursor) > position(cursor):
                    self.world.note("unknown commit resolved")
                self.living = True
                yield from self._live(Owner(self.shard, self.world, self.shard.postgres, self.shard.redis, life))
            except Fenced:
                return
            except IncarnationOver:
                self.world.tell(f"{self.shard.name} finds a life of {self.lease.partition_no} over")
            except (Silence, DecideAgain) as error:
                self.world.tell(f"{self.shard.name} has trouble with {self.lease.partition_no}: {error!r}")
                self.living = False
                yield _PAUSE_S

    def _may_act(self) -> bool:
        return not self._stopping and self.lease.trusted(self.world.now)

    def _live(self, owner: Owner) -> Process[None]:
        """Consume one incarnation, from its cursor on."""
        life, settler = owner.life, Settler(owner)
        cursor, bell, tick_due = life.cursor, "0", 0.0
        unsettled = yield from owner.to_redis(lambda: owner.redis.unsettled(life.partition_no, life.incarnation, life.cursor))
        yield from settler.make_good(unsettled, cursor)
        while self._may_act():
            post = yield from self._read(owner, cursor, bell, tick_due)
            bell = post.bell
            if post.entries:
                told, settlements = yield from self.shard.turns.commit(owner, post.entries)
                cursor = post.entries[-1].entry_id
                self._reached = (life.incarnation, cursor)
                self.shard.publish(told)
                yield from settler.settle(settlements, cursor)
            yield from settler.seed(post.cold, cursor)
            if self.world.now >= tick_due:
                yield from settler.tick(cursor)
                tick_due = self.world.now + TICK_S

    def _read(self, owner: Owner, cursor: str, bell: str, tick_due: float) -> Process[Post]:
        """What has come; if nothing has, wait for it until the next tick is due."""
        redis, life, world = owner.redis, owner.life, self.world

        read = partial(redis.read, life.partition_no, life.incarnation, cursor, bell, BATCH_MAX)
        post = yield from owner.to_redis(read)
        if post.entries or post.cold or world.now >= tick_due:
            return post
        if world.running is not None and redis.silent_since(life.partition_no, life.incarnation, cursor, bell):
            redis.readers[life.partition_no] = world.running
            yield tick_due - world.now
            if world.now >= tick_due:
                return post
        return (yield from owner.to_redis(read))

    def _enter(self) -> Process[Life]:
        """Go on with the partition's life, or begin one, and vouch for it; or end what cannot be reached."""
        if self._vouching.given_up:
            yield from self._vouching.give_up()
        try:
            life = yield from self._find()
        except Silence:
            yield from self._vouching.give_up()
            raise
        return (yield from self._vouching.begin(life))

    def _find(self) -> Process[Life]:
        """Go on with the present life when it can be trusted, else begin a new one (see `claim_workers.incarnation`)."""
        shard, number, epoch = self.shard, self.lease.partition_no, self.lease.epoch
        call, postgres, redis = self.world.call, shard.postgres, shard.redis
        row = postgres.partitions[number]

        def term() -> tuple[Incarnation | None, str]:
            if row.epoch != epoch:
                raise Fenced
            return row.incarnation, row.cursor

        def lives(incarnation: Incarnation) -> bool:
            asked = admit(redis, number, incarnation, [], [])
            told = settle(redis, number, incarnation, [], Term(epoch, None))
            return not isinstance(asked, Moved) and not isinstance(told, Moved)

        incarnation, cursor = yield from call(shard, postgres, term)
        run, pointed = yield from call(shard, redis, lambda: (redis.run, redis.point(number, "", Incarnation(""), 0)))
        if incarnation is not None and incarnation.startswith(f"{run}-"):
            name = incarnation
            if (yield from call(shard, redis, lambda: lives(name))):
                last = yield from call(shard, redis, lambda: redis.last_id(number, name))
                if position(last) >= position(cursor):
                    return Life(number, epoch, name, cursor)
        begun = Incarnation(f"{run}-{self.world.chance.getrandbits(32):08x}")
        return (yield from self._begin(Life(number, epoch, begun, "0-0"), pointed))

    def _begin(self, life: Life, pointed: str) -> Process[Life]:
        shard, number = self.shard, life.partition_no
        row, redis, call = shard.postgres.partitions[number], shard.redis, self.world.call

        def begin() -> None:
            if row.epoch != life.epoch:
                raise Fenced
            if shard.postgres.holder(number) is not None:
                raise DecideAgain
            row.incarnation, row.cursor, row.life_until = life.incarnation, "0-0", -1e12

        yield from call(shard, shard.postgres, begin)
        named = yield from call(shard, redis, lambda: redis.point(number, pointed, life.incarnation, life.epoch))
        if named != pointed:
            raise IncarnationOver
        self.world.note("incarnation begun")
        yield from call(shard, redis, lambda: redis.forget_others(number, life.incarnation))
        return life

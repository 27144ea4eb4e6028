"""An owner's word that its life goes on, and the end of a life for which it cannot give it (see `claim_workers.vouching`)."""

from collections.abc import Callable
from functools import partial

import msgspec

from claim_workers.incarnation import Life
from claim_workers.vouching import BEYOND_LEASE_S, HEARD_S, VOUCHED_S
from shared.domain.ids import PartitionNo
from shared.domain.lease import Lease
from shared.errors import Fenced, IncarnationOver
from shared.gate import Moved
from tests.simulation.postgres import Postgres
from tests.simulation.redis import Redis
from tests.simulation.settle import vouch
from tests.simulation.tables import DecideAgain
from tests.simulation.world import Host, Process, Silence, World

#: How often a word is given; more seldom than the engine does, for the world's own sake.
_EVERY_S = 0.7

#: How long Postgres takes at most until it comes to ending a life.
_ENDED_WITHIN_S = 3.0


class Vouching:
    """Vouches for the life that one owner serves."""

    def __init__(self, host: Host, world: World, postgres: Postgres, redis: Redis, lease: Callable[[], Lease]) -> None:
        self._host, self._world, self._postgres, self._redis, self._lease = host, world, postgres, redis, lease
        self._life: Life | None = None
        self._answered_at = 0.0
        self._redis_ms = 0
        self._term = 0
        self._given_up: Life | None = None

    @property
    def given_up(self) -> bool:
        """Whether a life was to be ended, and Postgres has not said that it was."""
        return self._given_up is not None

    def begin(self, life: Life) -> Process[Life]:
        """Vouch for this life, which Redis has just been seen to hold; as it is to be read on. Raises IncarnationOver."""
        self.end()
        self._life, self._answered_at, self._redis_ms = life, self._world.now, 0
        row = self._postgres.partitions[life.partition_no]

        def keep() -> str | None:
            self._await_the_row(life.partition_no)
            if row.epoch != life.epoch or row.incarnation != life.incarnation:
                return None
            row.life_until = float("inf")
            return row.cursor

        cursor = yield from self._world.call(self._host, self._postgres, keep)
        if cursor is None:
            raise IncarnationOver
        self._world.start(self._host, self._keep(life, self._term))
        return msgspec.structs.replace(life, cursor=cursor)

    def end(self) -> None:
        """Say no more; what was said is good for its moment."""
        self._term += 1
        self._life = None

    def give_up(self) -> Process[None]:
        """End the partition's life in Postgres, if nobody can vouch for it any more, here or as our predecessor."""
        lease, world = self._lease(), self._world
        row = self._postgres.partitions[lease.partition_no]
        if self._given_up is None and (life := self._run_out()) is not None:
            # Nothing more is said of it: Redis may be back long before Postgres has ended it.
            self._given_up, self._term = life, self._term + 1
        doomed = None if self._given_up is None else self._given_up.incarnation

        def end_life() -> None:
            self._await_the_row(lease.partition_no)
            if row.epoch != lease.epoch:
                raise Fenced
            if row.incarnation is not None and (row.incarnation == doomed or self._postgres.clock() > row.life_until):
                row.incarnation = None
                world.note("life ended")

        # The partition's row may be locked for long.
        yield _ENDED_WITHIN_S * world.chance.random()
        yield from world.call(self._host, self._postgres, end_life)
        if self._given_up is not None:
            self._given_up = None
            self.end()

    def _await_the_row(self, number: PartitionNo) -> None:
        """Somebody's commit may be under way: an update waits for it. Raises DecideAgain, to come back a moment later."""
        if self._postgres.holder(number) is not None:
            raise DecideAgain

    def _run_out(self) -> Life | None:
        return self._life if self._world.now > self._answered_at + VOUCHED_S + HEARD_S else None

    def _keep(self, life: Life, term: int) -> Process[None]:
        while self._term == term and self._world.now < self._right_until():
            learnt = self._redis_ms > 0
            good_for_s = min(VOUCHED_S, self._right_until() - self._answered_at)
            until = self._redis_ms + int(good_for_s * 1000) if learnt else 0
            word = partial(vouch, self._redis, life.partition_no, life.incarnation, life.epoch, until)
            try:
                answer = yield from self._world.call(self._host, self._redis, word)
            except Silence:
                learnt = True
            else:
                if isinstance(answer, Moved):
                    return
                if self._term == term:
                    self._answered_at, self._redis_ms = self._world.now, answer
            yield _EVERY_S if learnt else 0.0

    def _right_until(self) -> float:
        return self._lease().trusted_until + BEYOND_LEASE_S

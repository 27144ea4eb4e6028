"""Keeping a partition's gates true, step by step as `claim_workers.settling` does."""

from collections.abc import Collection, Sequence

from msgspec.structs import replace

from shared.domain.ids import CampaignId
from shared.domain.settlement import Settlement
from shared.errors import IncarnationOver
from shared.gate import Mode, Moved, Term
from shared.mailbox import Entry
from tests.simulation.owner import Owner
from tests.simulation.settle import settle
from tests.simulation.world import Process

#: For how many ticks a campaign is set again after it was last asked for.
_TICKS_REMEMBERED = 60

#: How far back slots are looked for that were given back: more than a tick, and by a new owner more than any change of owners.
_FREED_LATELY_S = 3.0
_FREED_WHILE_AWAY_S = 120.0

#: Users per call when a gate is seeded: so few that most seedings take several.
_SEED_CHUNK = 3


class Settler:
    """Sets the gates of one life of a partition. Raises IncarnationOver when that life is over."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._in_use: dict[CampaignId, int] = {}
        self._freed_within_s = _FREED_WHILE_AWAY_S
        self._seedings = 0

    def settle(
        self, to: Sequence[Settlement], cursor: str, mode: Mode = "move", seeding: str = ""
    ) -> Process[list[int | None]]:
        """Set gates, and drop the mailbox up to `cursor`."""
        owner = self._owner
        life = owner.life
        answer = yield from owner.to_redis(
            lambda: settle(owner.redis, life.partition_no, life.incarnation, to, Term(life.epoch, cursor), mode, seeding)
        )
        if isinstance(answer, Moved):
            raise IncarnationOver
        return answer.sequences

    def make_good(self, unsettled: Sequence[Entry], cursor: str) -> Process[None]:
        """Settle what was committed by somebody who was then gone."""
        owner = self._owner
        claims = [entry.claim.claim_id for entry in unsettled if entry.claim is not None]
        won = yield from owner.to_postgres(lambda: owner.postgres.settlements_of(owner.number, claims))
        if won:
            owner.world.note("made good what was committed and never settled")
        yield from self.settle(won, cursor)

    def tick(self, cursor: str) -> Process[None]:
        """Set the gates of all campaigns in use to what Postgres says now; make those cold that cannot be believed."""
        owner, life = self._owner, self._owner.life
        active = yield from owner.to_redis(lambda: owner.redis.drain_active(life.partition_no, life.incarnation))
        self._in_use = {campaign: left - 1 for campaign, left in self._in_use.items() if left > 1}
        self._in_use.update(dict.fromkeys(active, _TICKS_REMEMBERED))
        facts = yield from owner.to_postgres(self._facts_in_use)
        self._freed_within_s = _FREED_LATELY_S
        # What is sold by one slice another does not hear of, however seldom it is asked.
        self._in_use.update({each.campaign_id: _TICKS_REMEMBERED for each in facts if each.layout})
        reached = yield from self.settle(facts, cursor)
        ahead = {to.campaign_id: at for to, at in zip(facts, reached, strict=True) if at is not None and at > to.seq}
        later = yield from self._facts(ahead)
        unbelievable = [to for to in later if to.seq < ahead[to.campaign_id]]
        if unbelievable:
            owner.world.note("gate not believed")
            yield from self.settle(unbelievable, cursor, "wipe")

    def _facts_in_use(self) -> list[Settlement]:
        """Also of campaigns of which somebody gave something back, and may have been gone before he could tell the gate."""
        owner = self._owner
        freed = owner.postgres.freed_lately(owner.number, self._freed_within_s)
        self._in_use.update(dict.fromkeys(freed, _TICKS_REMEMBERED))
        return owner.postgres.gate_facts(owner.number, self._in_use)

    def seed(self, campaigns: Collection[CampaignId], cursor: str) -> Process[None]:
        """Make gates that are cold warm, out of Postgres alone."""
        facts = yield from self._facts(campaigns)
        # The next tick looks at them as well: a gate may be cold, and say besides that it knows more than there is to know.
        self._in_use.update({each.campaign_id: _TICKS_REMEMBERED for each in facts})
        if facts:
            reached = yield from self.settle(facts, cursor)
            for cold in [to for to, at in zip(facts, reached, strict=True) if at is None]:
                yield from self._seed_one(cold, cursor)

    def _seed_one(self, cold: Settlement, cursor: str) -> Process[None]:
        """Wiped before it is read, so that nothing is lost that others commit meanwhile."""
        owner, campaign = self._owner, cold.campaign_id
        seeding = f"{owner.host.name}.{owner.world.chance.random()}"
        yield from self.settle([cold], cursor, "wipe", seeding)
        # One snapshot for both: what is read of the world now is read now.
        facts, users = yield from owner.to_postgres(
            lambda: (owner.postgres.gate_facts(owner.number, [campaign]), owner.postgres.gate_users(owner.number, campaign))
        )
        holders = list(users.items())
        for first in range(0, len(holders), _SEED_CHUNK):
            chunk = dict(holders[first : first + _SEED_CHUNK])
            yield from self.settle([replace(each, users=chunk) for each in facts], cursor, "more", seeding)
        yield from self.settle(facts, cursor, "seed", seeding)

    def _facts(self, campaigns: Collection[CampaignId]) -> Process[list[Settlement]]:
        if not campaigns:
            return []
        owner = self._owner
        return (yield from owner.to_postgres(lambda: owner.postgres.gate_facts(owner.number, campaigns)))

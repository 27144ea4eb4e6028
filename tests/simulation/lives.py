"""Which partitions have a life, as one door last saw (see `frontdoor.lives`)."""

from frontdoor.lives import SEEN_S
from shared.domain.ids import PartitionNo
from tests.simulation.postgres import Postgres
from tests.simulation.world import Host, Process, Silence


class Lives:
    """Looks at partitions in Postgres, and remembers for a moment what it saw: a hint, that the direct path looks behind."""

    def __init__(self, door: Host, postgres: Postgres) -> None:
        self._door, self._postgres, self._world = door, postgres, postgres.world
        self._seen: dict[PartitionNo, tuple[float, bool]] = {}

    def lifeless(self, number: PartitionNo) -> Process[bool]:
        """Whether it has no life, as last committed. Raises Silence."""
        row = self._postgres.partitions[number]
        found = yield from self._world.call(self._door, self._postgres, lambda: row.incarnation is None)
        self.note(number, lifeless=found)
        return found

    def lately_lifeless(self, number: PartitionNo) -> Process[bool]:
        """Whether it had none a moment ago; not, if Postgres did not say."""
        known = self.known(number)
        if known is not None:
            return known
        try:
            return (yield from self.lifeless(number))
        except Silence:
            self.note(number, lifeless=False)
            return False

    def known(self, number: PartitionNo) -> bool | None:
        """Whether it had no life when it was last seen; None, if that is too long ago."""
        until, found = self._seen.get(number, (0.0, False))
        return found if self._world.now < until else None

    def note(self, number: PartitionNo, *, lifeless: bool) -> None:
        """This is how it was seen just now."""
        self._seen[number] = self._world.now + SEEN_S, lifeless

"""Redis as the protocol knows it: pointers, and lives with a mailbox, a bell, reservations and gates, all of which can be lost.

What the scripts do with it is in `admit` and `settle`, which a test (`test_scripts`) holds to the real ones.
"""

from collections.abc import Sequence
from functools import lru_cache
from math import isfinite

from shared import mailbox
from shared.domain.ids import CampaignId, ClaimId, Incarnation, PartitionNo, UserId
from shared.domain.settlement import Settlement
from shared.gate import Moved
from shared.mailbox import Entry, Post, decode
from tests.simulation.world import Silence, Store, Task, World

#: There are few ids in a history, and each is looked at again and again.
position = lru_cache(4096)(mailbox.position)

_NONE = Incarnation("")

#: What a field of a hash may hold: what a script wrote, or garbage that somebody else did.
Value = int | float | str


def number(value: Value | None) -> float | None:
    """What Lua takes for a number, if it is one that comparisons put right."""
    if value is None or type(value) is int:
        return value
    try:
        found = float(value)
    except ValueError:
        return None
    return found if isfinite(found) else None


class Gate:
    """A campaign's three keys. `wrong`: which of them are of a type that they should not be.

    For the checks: it was ever `certified`, the ledger's row it has `reached`, and those that are `known` of its users.
    """

    def __init__(self) -> None:
        self.certified = False
        self.reached = -1
        self.known: dict[UserId, int] = {}
        self.fields: dict[str, Value] = {}
        self.users: dict[UserId, str] = {}
        self.marks = b""
        self.wrong: set[str] = set()

    def copy(self) -> "Gate":
        twin = Gate()
        twin.fields, twin.users, twin.marks = dict(self.fields), dict(self.users), self.marks
        twin.wrong = set(self.wrong)
        return twin

    def clear(self) -> None:
        self.fields, self.users, self.marks = {}, {}, b""
        self.reached = -1
        self.known.clear()
        self.wrong.clear()


class Life:
    """The keys of one incarnation of a partition. `mail` is in the order of ids; `last` is the last that was ever given."""

    def __init__(self) -> None:
        self.term: dict[str, Value] = {}
        self.mail: list[tuple[tuple[int, int], str, bytes]] = []
        self.last = (0, 0)
        self.bell: list[tuple[int, CampaignId]] = []
        self.rings = 0
        self.reservations: dict[str, str] = {}
        self.reserved: dict[str, Value] = {}
        self.active: set[CampaignId] = set()
        self.seeded: set[CampaignId] = set()
        self.gates: dict[CampaignId, Gate] = {}
        self.wrong: set[str] = set()

    def copy(self) -> "Life":
        twin = Life()
        twin.term, twin.mail, twin.last = dict(self.term), list(self.mail), self.last
        twin.bell, twin.rings = list(self.bell), self.rings
        twin.reservations, twin.reserved = dict(self.reservations), dict(self.reserved)
        twin.active, twin.seeded, twin.wrong = set(self.active), set(self.seeded), set(self.wrong)
        twin.gates = {campaign: gate.copy() for campaign, gate in self.gates.items()}
        return twin

    def gate(self, campaign: CampaignId) -> Gate:
        found = self.gates.get(campaign)
        if found is None:
            found = self.gates[campaign] = Gate()
        return found


class Watcher:
    """Sees what the scripts do, to find fault with it."""

    def certified(self, partition: PartitionNo, campaign: CampaignId, gate: Gate) -> None:
        """A certificate was given."""

    def settled(self, partition: PartitionNo, gate: Gate, to: Settlement) -> None:
        """A gate was told of a ledger row."""


class Redis(Store):
    """All of it is one process's memory. `run`: its run id, eight letters.

    `offset`: by how much its clock is wrong; `jumped_at`: when it last jumped ahead.
    """

    def __init__(self, world: World, run: str = "run00000") -> None:
        super().__init__("redis")
        self.world = world
        self.run = run
        self.offset = 0.0
        self.jumped_at = -1e9
        self.pointers: dict[PartitionNo, Incarnation] = {}
        self.lives: dict[tuple[PartitionNo, Incarnation], Life] = {}
        self.watcher = Watcher()
        self.readers: dict[PartitionNo, Task] = {}
        self._saved: tuple[dict[PartitionNo, Incarnation], dict[tuple[PartitionNo, Incarnation], Life]] = ({}, {})

    def milliseconds(self) -> int:
        return 1_764_000_000_000 + int((self.world.now + self.offset) * 1000)

    # What befalls it.

    def flush(self) -> None:
        self.pointers, self.lives = {}, {}

    def save(self) -> None:
        """Make a copy, to be restored some day."""
        self._saved = dict(self.pointers), {name: life.copy() for name, life in self.lives.items()}

    def restart(self, run: str, *, restored: bool) -> None:
        """Begin another run, with nothing or with what was saved last."""
        self.run = run
        self.flush()
        if restored:
            self.pointers, self.lives = self._saved
            self.save()

    # Its keys, as the engine names them.

    def life(self, partition: PartitionNo, incarnation: Incarnation) -> Life:
        found = self.lives.get((partition, incarnation))
        if found is None:
            found = self.lives[partition, incarnation] = Life()
        return found

    def over(self, partition: PartitionNo, incarnation: Incarnation) -> Moved | None:
        """Why an incarnation is not the living one; None when it is."""
        named = self.pointers.get(partition, _NONE)
        if named != incarnation:
            return Moved(named or None)
        return None if named[:8] == self.run else Moved(None)

    def point(self, partition: PartitionNo, expected: str, new: Incarnation, epoch: int) -> str:
        """Make another incarnation the living one, unless somebody else was faster; without a name only look."""
        named = self.pointers.get(partition, _NONE)
        if new and named == expected:
            life = self.life(partition, new)
            life.wrong.discard("term")
            life.term = {"epoch": epoch, "began": self.milliseconds()}
            self.pointers[partition] = new
        return named

    def forget_others(self, partition: PartitionNo, incarnation: Incarnation) -> None:
        if self.pointers.get(partition) == incarnation:
            self.lives = {name: life for name, life in self.lives.items() if name[0] != partition or name[1] == incarnation}

    def append(self, partition: PartitionNo, life: Life, claim: str, entry: bytes) -> None:
        now = self.milliseconds()
        life.last = (now, 0) if now > life.last[0] else (life.last[0], life.last[1] + 1)
        life.mail.append((life.last, claim, entry))
        self._ring(partition)

    def ring(self, partition: PartitionNo, life: Life, campaign: CampaignId) -> None:
        life.rings += 1
        life.bell.append((life.rings, campaign))
        self._ring(partition)

    def _ring(self, partition: PartitionNo) -> None:
        reader = self.readers.pop(partition, None)
        if reader is not None:
            self.world.wake(reader)

    # What its clients read.

    def _read(self, partition: PartitionNo, incarnation: Incarnation, *names: str) -> Life | None:
        """A life, to read these keys of it. A key of the wrong type answers with an error, which is no answer."""
        life = self.lives.get((partition, incarnation))
        if life is not None and not life.wrong.isdisjoint(names):
            raise Silence
        return life

    def living(self, partition: PartitionNo) -> Incarnation | None:
        return self.pointers.get(partition)

    def read(self, partition: PartitionNo, incarnation: Incarnation, cursor: str, bell: str, most: int) -> Post:
        """What came after `cursor` and `bell`."""
        life = self._read(partition, incarnation, "mail", "bell")
        if life is None:
            return Post([], set(), bell)
        after, rung = position(cursor), int(bell)
        new = [item for item in life.mail if item[0] > after][:most]
        rings = [campaign for number, campaign in life.bell if number > rung]
        return Post([_entry(item) for item in new], set(rings), str(max(life.rings, rung)))

    def silent_since(self, partition: PartitionNo, incarnation: Incarnation, cursor: str, bell: str) -> bool:
        """Whether there is nothing that a reader would not wait for."""
        life = self.lives.get((partition, incarnation))
        return life is None or (life.last <= position(cursor) and life.rings <= int(bell))

    def unsettled(self, partition: PartitionNo, incarnation: Incarnation, cursor: str) -> list[Entry]:
        life = self._read(partition, incarnation, "mail")
        return [] if life is None else [_entry(item) for item in life.mail if item[0] <= position(cursor)]

    def last_id(self, partition: PartitionNo, incarnation: Incarnation) -> str:
        life = self._read(partition, incarnation, "mail")
        return "0-0" if life is None else f"{life.last[0]}-{life.last[1]}"

    def drain_active(self, partition: PartitionNo, incarnation: Incarnation) -> set[CampaignId]:
        life = self._read(partition, incarnation, "active")
        if life is None:
            return set()
        drained, life.active = life.active, set()
        return drained

    def pending(self, partition: PartitionNo, claims: Sequence[ClaimId]) -> set[ClaimId]:
        """Which of the claims are in the partition's mailbox."""
        incarnation = self.pointers.get(partition)
        life = None if incarnation is None else self._read(partition, incarnation, "reservations")
        return set() if life is None else {claim for claim in claims if claim.hex in life.reservations}


def _entry(item: tuple[tuple[int, int], str, bytes]) -> Entry:
    (milliseconds, number), _, raw = item
    return decode(f"{milliseconds}-{number}", raw)

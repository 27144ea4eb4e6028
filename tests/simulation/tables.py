"""Rows of Postgres as the protocol knows them, and a transaction with what it has locked and staged."""

from collections.abc import Callable
from functools import lru_cache

from shared.book import Head
from shared.domain.campaign import CampaignStatus
from shared.domain.code import Code
from shared.domain.facts import CodeFacts, SliceKey
from shared.domain.ids import CampaignId, Incarnation, PartitionNo, ShardId, UserId
from shared.domain.ledger import GENESIS, Row
from shared.domain.redemption import Redemption
from shared.domain.slices import slice_of
from tests.simulation.world import Host, Task

_slice_of = lru_cache(1024)(slice_of)


class DecideAgain(Exception):
    """A constraint objected, or fewer rows were written than decided: the facts had moved. Nothing was written."""


class Campaign:
    """A campaign's terms, its one code, and its slices in order. `layout`: not 0 of one that is cut into several."""

    def __init__(self, campaign_id: CampaignId, code: Code, limit: int, per_user_limit: int) -> None:
        self.limit = limit
        self.campaign_id = campaign_id
        self.code = code
        self.per_user_limit = per_user_limit
        self.status = CampaignStatus.ACTIVE
        self.parts: list[Slice] = []
        self.layout = 0
        self.facts = CodeFacts(1, code, campaign_id, "shared", None)

    @property
    def free(self) -> int:
        """Slots that nobody holds, in whichever slice."""
        return sum(part.budget - part.claimed for part in self.parts)

    def part_for(self, user: UserId) -> "Slice":
        """The slice that serves this user."""
        return self.parts[_slice_of(user, len(self.parts))]


class Slice:
    """A row of campaign_slices. `past`: what was free from which ledger row on, for the checks."""

    def __init__(self, campaign: Campaign, slice_no: int, partition_no: PartitionNo, budget: int) -> None:
        self.campaign = campaign
        self.slice_no = slice_no
        self.partition_no = partition_no
        self.budget = budget
        self.claimed = 0
        self.freed_at = -1e9
        self.past: list[tuple[int, int]] = [(0, budget)]


class Partition:
    """A row of partitions, and who holds its lock."""

    def __init__(self) -> None:
        self.owner: ShardId | None = None
        self.epoch = 0
        self.lease_until = -1e12
        self.incarnation: Incarnation | None = None
        self.cursor = "0-0"
        self.life_until = float("inf")
        self.last_seq = 0
        self.chain_head = GENESIS
        self.ledger: list[Row] = []
        self.holder: Transaction | None = None
        self.waiters: list[Task] = []


class Transaction:
    """What a client has open. `named`: the epoch it locked each partition with; `rows`: what it will write, by partition."""

    def __init__(self, host: Host, since: float) -> None:
        self.host = host
        self.starts = host.starts
        self.since = since
        self.over = False
        self.abandoned = False
        self.heads: dict[PartitionNo, Head] = {}
        self.named: dict[PartitionNo, int | None] = {}
        self.rows: dict[PartitionNo, list[Row]] = {}
        self.cursors: dict[PartitionNo, str] = {}
        self.granted: list[Redemption] = []
        self.released: list[Redemption] = []
        self.changes: list[Callable[[], None]] = []
        self.moves: dict[SliceKey, int] = {}

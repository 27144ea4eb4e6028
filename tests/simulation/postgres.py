"""Postgres as the protocol knows it: rows that are locked, transactions that are whole or not at all, constraints, a clock.

A transaction stages what it writes, and all of it happens at its commit, where the constraints judge it: they, not the code
that wrote, are what makes over-issue impossible, here as there. Whoever looks without a lock sees what is committed.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from shared.book import Head
from shared.domain.discount import Discount
from shared.domain.facts import Facts, Sibling, SliceFacts, SliceKey, Use
from shared.domain.ids import CampaignId, ClaimId, PartitionNo, ShardId, UserId
from shared.domain.ledger import Event, extend
from shared.domain.operations import SubmitClaim
from shared.domain.redemption import Redemption, State
from shared.domain.settlement import Counts, Settlement
from shared.errors import Fenced
from shared.redemptions import Standing
from tests.simulation.tables import DecideAgain, Partition, Slice, Transaction
from tests.simulation.world import Host, Process, Silence, Store, World

#: After how long a transaction that does nothing is ended, and its locks with it.
IDLE_S = 5.0

#: After which step of a transaction something happens, each call being one there and one back: mostly before it has its lock,
#: or when it has committed and has not heard of it.
_STEPS = (0, 0, 0, 1, 2, 3, 5, 6, 7, 7, 7)

_EPOCH = datetime(2026, 11, 27, tzinfo=UTC)
DISCOUNT = Discount("percent", 10)


class Postgres(Store):
    """The truth. `offset`: by how much its clock is wrong. `judge` sees every transaction at its commit."""

    def __init__(self, world: World, partitions: int) -> None:
        super().__init__("postgres")
        self.world = world
        self.offset = 0.0
        self.partitions = {PartitionNo(number): Partition() for number in range(partitions)}
        self.slices: dict[SliceKey, Slice] = {}
        self.parts: dict[tuple[PartitionNo, CampaignId], Slice] = {}
        self.redemptions: dict[ClaimId, Redemption] = {}
        self.active: dict[tuple[CampaignId, UserId], dict[int, Redemption]] = {}
        self.seen_until: dict[ShardId, float] = {}
        self.judge: Callable[[Transaction], None] = _unjudged
        self._open: list[Transaction] = []

    def clock(self) -> float:
        return self.world.now + self.offset

    def launch(self, part: Slice) -> None:
        """Add a slice of a campaign."""
        part.campaign.layout = int(bool(part.campaign.parts))
        part.campaign.parts.append(part)
        self.slices[part.campaign.campaign_id, part.slice_no] = part
        self.parts[part.partition_no, part.campaign.campaign_id] = part

    # Transactions.

    def begin(self, host: Host) -> Transaction:
        if host.tinder:
            host.tinder, host.fuse = False, self.world.chance.choice(_STEPS)
        transaction = Transaction(host, self.world.now)
        self._open.append(transaction)
        return transaction

    def lock(self, transaction: Transaction, number: PartitionNo, epoch: int | None = None) -> Process[Head]:
        """Wait for a partition's row; with an epoch, only of that one. Raises Fenced or Silence."""
        while not (yield from self.world.call(transaction.host, self, lambda: self._grants(transaction, number, epoch))):
            while (holder := self.holder(number)) is not None and self.world.running is not None:
                self.partitions[number].waiters.append(self.world.running)
                yield holder.since + IDLE_S - self.world.now
        return transaction.heads[number]

    def lock_free(self, transaction: Transaction, epochs: Mapping[PartitionNo, int]) -> dict[PartitionNo, Head]:
        """Lock those that are at these epochs and that nobody else has locked. Raises Silence."""
        for number, epoch in epochs.items():
            with suppress(Fenced):
                self._grants(transaction, number, epoch)
        return transaction.heads

    def holder(self, number: PartitionNo) -> Transaction | None:
        """Who has a partition's row locked. Who has said nothing for too long is hung up on."""
        held = self.partitions[number].holder
        if held is None:
            return None
        silent = self.world.now >= held.since + IDLE_S
        if silent or self._hears_of(held):
            self.end(held)
            if silent:
                self.world.note("a silent transaction was ended by Postgres")
            return None
        return held

    def _grants(self, transaction: Transaction, number: PartitionNo, epoch: int | None) -> bool:
        row = self.partitions[number]
        if transaction.over or self._hears_of(transaction):
            raise Silence
        if self.holder(number) not in (None, transaction):
            return False
        if epoch is not None and row.epoch != epoch:
            raise Fenced
        row.holder = transaction
        moment = _EPOCH + timedelta(seconds=self.clock())
        transaction.named[number] = epoch
        transaction.heads[number] = Head(number, row.epoch, row.incarnation, row.cursor, row.last_seq, row.chain_head, moment)
        return True

    def write(
        self,
        transaction: Transaction,
        number: PartitionNo,
        events: list[Event],
        granted: Sequence[Redemption] = (),
        cursor: str | None = None,
    ) -> tuple[dict[SliceKey, Counts], int]:
        """Stage rows, and tell what the slices and the ledger will then stand at."""
        if transaction.over:
            raise Silence
        head = transaction.heads[number]
        rows = extend(head.last_seq, head.chain_head, events)
        transaction.rows[number] = rows
        transaction.granted += granted
        if cursor is not None:
            transaction.cursors[number] = cursor
        moved: dict[SliceKey, Counts] = {}
        for each in granted:
            key = (each.campaign_id, each.slice_no)
            moved[key] = Counts((moved[key].claimed if key in moved else self.slices[key].claimed) + 1, 0)
        return moved, head.last_seq + len(rows)

    def commit(self, transaction: Transaction) -> None:
        """All of it, or DecideAgain. Raises Silence when the transaction was ended before."""
        if transaction.over:
            raise Silence
        try:
            self._object(transaction)
            self.judge(transaction)
            self._apply(transaction)
        finally:
            self.end(transaction)

    def end(self, transaction: Transaction) -> None:
        """Give back the locks; what was not committed has not happened."""
        if transaction.over:
            return
        transaction.over = True
        self._open.remove(transaction)
        for number in transaction.heads:
            row = self.partitions[number]
            if row.holder is transaction:
                row.holder = None
                waiters, row.waiters = row.waiters, []
                for task in waiters:
                    self.world.wake(task)

    def abandon(self, transaction: Transaction) -> None:
        """The client hangs up; Postgres does not hear of it through a link that is cut."""
        transaction.abandoned = True
        if self._hears_of(transaction):
            self.end(transaction)

    def _hears_of(self, transaction: Transaction) -> bool:
        """Whether Postgres has been told that nobody is there any more."""
        return transaction.abandoned and self.cut.get(transaction.host.name, 0.0) <= self.world.now

    def hang_up(self, host: Host | None = None) -> None:
        """End what is open: of a host that died, or, when it is Postgres that did, of everybody."""
        for transaction in [each for each in self._open if host in (None, each.host)]:
            self.end(transaction)

    def _object(self, transaction: Transaction) -> None:
        """The constraints."""
        slots: dict[SliceKey, int] = {}
        uses: set[tuple[CampaignId, UserId, int]] = set()
        for each in transaction.granted:
            key, use = (each.campaign_id, each.slice_no), (each.campaign_id, each.user_id, each.use_no)
            slots[key] = slots.get(key, 0) + 1
            part, others = self.slices[key], self.active.get(use[:2], {})
            taken = each.redemption_id in self.redemptions or each.use_no in others or use in uses
            if taken or not 1 <= each.use_no <= each.user_limit or part.partition_no not in transaction.heads:
                raise DecideAgain
            uses.add(use)
        for key in slots.keys() | transaction.moves.keys():
            part = self.slices[key]
            if part.claimed + slots.get(key, 0) > part.budget + transaction.moves.get(key, 0):
                raise DecideAgain
        if any(self.redemptions[each.redemption_id].state is not State.CLAIMED for each in transaction.released):
            raise DecideAgain
        for number, rows in transaction.rows.items():
            if rows and rows[0].seq != self.partitions[number].last_seq + 1:
                raise DecideAgain

    def _apply(self, transaction: Transaction) -> None:
        for each in transaction.granted:
            self.redemptions[each.redemption_id] = each
            self.active.setdefault((each.campaign_id, each.user_id), {})[each.use_no] = each
            self.slices[each.campaign_id, each.slice_no].claimed += 1
        for each in transaction.released:
            self.redemptions[each.redemption_id] = each
            del self.active[each.campaign_id, each.user_id][each.use_no]
            part = self.slices[each.campaign_id, each.slice_no]
            part.claimed -= 1
            part.freed_at = self.clock()
        for key, more in transaction.moves.items():
            self.slices[key].budget += more
        for change in transaction.changes:
            change()
        for number, rows in transaction.rows.items():
            row = self.partitions[number]
            row.ledger += rows
            if rows:
                row.last_seq, row.chain_head = rows[-1].seq, rows[-1].hash
        for number, cursor in transaction.cursors.items():
            self.partitions[number].cursor = cursor
        for part in self.slices.values():
            if part.partition_no in transaction.heads:
                part.past.append((self.partitions[part.partition_no].last_seq, part.budget - part.claimed))

    # What is read.

    def facts(self, transaction: Transaction, heads: Sequence[Head], claims: Sequence[SubmitClaim]) -> Facts:
        """What claims are decided on (see `claim_facts.sql`)."""
        holders = {(claim.campaign_id, claim.user_id) for claim in claims}
        known = (self.redemptions.get(claim.claim_id) for claim in claims)
        campaigns = dict.fromkeys(claim.campaign_id for claim in claims)
        parts = [self.parts.get((head.partition_no, campaign)) for head in heads for campaign in campaigns]
        here = [part for part in parts if part is not None]
        return Facts(
            now=max(head.now for head in heads),
            slices={(part.campaign.campaign_id, part.slice_no): _terms(part, transaction.moves) for part in here},
            redemptions={each.redemption_id: each for each in known if each is not None},
            uses={
                holder: tuple(Use(each.use_no, each.claimed_at) for each in self.active[holder].values())
                for holder in holders
                if self.active.get(holder)
            },
            codes={part.campaign.code: part.campaign.facts for part in here},
        )

    def standing(self, claim: SubmitClaim) -> Standing:
        """What is committed about a claim (see `known_claims.sql`)."""
        held = self.active.get((claim.campaign_id, claim.user_id), {})
        return Standing(self.redemptions.get(claim.claim_id), len(held), None, False, _EPOCH)

    def gate_facts(self, number: PartitionNo, campaigns: Collection[CampaignId]) -> list[Settlement]:
        """What gates are to be set to, but for their users."""
        parts = ((campaign, self.parts.get((number, campaign))) for campaign in campaigns)
        return [
            Settlement.of(
                campaign,
                self.partitions[number].last_seq,
                budget=sum(each.budget for each in part.campaign.parts),
                claimed=sum(each.claimed for each in part.campaign.parts),
                amount_budget=None,
                amount_claimed=0,
                per_user_limit=part.campaign.per_user_limit,
                status=part.campaign.status,
                users={},
                dry=False,
                layout=part.campaign.layout,
            )
            for campaign, part in parts
            if part is not None
        ]

    def freed_lately(self, number: PartitionNo, within_s: float) -> list[CampaignId]:
        """Campaigns of a partition of which something was given back lately."""
        since = self.clock() - within_s
        freed = dict.fromkeys(key[0] for key, part in self.slices.items() if part.freed_at > since)
        return [campaign for campaign in freed if (number, campaign) in self.parts]

    def gate_users(self, number: PartitionNo, campaign: CampaignId) -> dict[UserId, int]:
        """Everybody served here who holds or ever held something, with how many."""
        part = self.parts[number, campaign]
        held = {user: len(uses) for (of, user), uses in self.active.items() if of == campaign}
        return {user: n for user, n in held.items() if part.campaign.part_for(user) is part}

    def settlements_of(self, number: PartitionNo, claims: Collection[ClaimId]) -> list[Settlement]:
        """The gates that these concern, with what their users hold."""
        users: dict[CampaignId, dict[UserId, int]] = {}
        for won in (self.redemptions[claim] for claim in claims if claim in self.redemptions):
            held = self.active.get((won.campaign_id, won.user_id), {})
            users.setdefault(won.campaign_id, {})[won.user_id] = len(held)
        return [replace(each, users=users[each.campaign_id]) for each in self.gate_facts(number, users)]


def _unjudged(transaction: Transaction) -> None:
    pass


def _terms(part: Slice, moves: Mapping[SliceKey, int]) -> SliceFacts:
    of = part.campaign.campaign_id
    siblings = (
        Sibling(
            slice_no=each.slice_no,
            partition_no=each.partition_no,
            budget=each.budget + moves.get((of, each.slice_no), 0),
            claimed=each.claimed,
        )
        for each in part.campaign.parts
        if each is not part
    )
    return SliceFacts(
        partition_no=part.partition_no,
        siblings=tuple(siblings),
        layout=part.campaign.layout,
        budget=part.budget + moves.get((of, part.slice_no), 0),
        claimed=part.claimed,
        code=part.campaign.code,
        status=part.campaign.status,
        starts_at=None,
        ends_at=None,
        per_user_limit=part.campaign.per_user_limit,
        discount=DISCOUNT,
    )

"""What must always hold, looked at whenever something is committed, settled, certified or answered."""

from bisect import bisect_right

from shared.domain.ids import CampaignId, ClaimId, PartitionNo, UserId
from shared.domain.ledger import GENESIS, Kind, link
from shared.domain.operations import SubmitClaim
from shared.domain.outcomes import Granted, Outcome, Refusal, Refused, Replayed
from shared.domain.settlement import Settlement
from shared.gate import CERTIFICATE_MS
from tests.simulation.door import Answer, Door
from tests.simulation.postgres import Postgres
from tests.simulation.redis import Gate, Redis, Watcher
from tests.simulation.tables import Transaction

_NOBODY: set[UserId] = set()


class Violation(Exception):
    """Something happened that must not."""


class Checks(Watcher):
    """The judge of one history. Everything here is about Postgres as it is at the moment."""

    def __init__(self, postgres: Postgres, redis: Redis, doors: list[Door]) -> None:
        self._postgres = postgres
        self._redis = redis
        self._doors = doors
        self._acknowledged: dict[ClaimId, float] = {}
        self._claimed: set[ClaimId] = set()
        self._holders: dict[tuple[PartitionNo, CampaignId], set[UserId]] = {}
        self._full_until: dict[tuple[CampaignId, UserId], float] = {}
        postgres.judge = self._committing
        redis.watcher = self

    # What is written.

    def _committing(self, transaction: Transaction) -> None:
        postgres = self._postgres
        for number, epoch in transaction.named.items():
            row = postgres.partitions[number]
            _demand(epoch is None or epoch == row.epoch, "an owner that was fenced writes")
            _demand(row.holder is transaction, "somebody writes without holding the lock")
            _demand(transaction.heads[number].last_seq == row.last_seq, "the ledger moved under a lock")
        _demand(sum(transaction.moves.values()) == 0, "budget was made or lost")
        for each in transaction.granted:
            _demand(each.redemption_id not in self._claimed, "a redemption was claimed twice")
            self._claimed.add(each.redemption_id)
            place = (postgres.slices[each.campaign_id, each.slice_no].partition_no, each.campaign_id)
            self._holders.setdefault(place, set()).add(each.user_id)
        for each in transaction.released:
            self._full_until[each.campaign_id, each.user_id] = postgres.world.now

    # What the gates say.

    def certified(self, partition: PartitionNo, campaign: CampaignId, gate: Gate) -> None:
        """Whoever holds something must not be refused from memory: he is in the certificate's set."""
        gate.certified = True
        missing = self._holders.get((partition, campaign), _NOBODY) - gate.users.keys()
        if missing:
            raise Violation(f"a certificate knows nothing of {missing}")

    def settled(self, partition: PartitionNo, gate: Gate, to: Settlement) -> None:
        """A gate shows what was free at the ledger's row that it is at, whoever told it, however often and late."""
        at = gate.fields.get("seq")
        if not isinstance(at, int) or at > self._postgres.partitions[partition].last_seq:
            return  # Cold, or garbage, to be found by the owner's next tick.
        _demand(at >= gate.reached, "a gate went back")
        gate.reached = at
        for user in to.users:
            if (held := gate.users.get(user)) is not None:
                since = int(held.partition(":")[2])
                _demand(since >= gate.known.get(user, -1), "a gate forgot what it had known of a user")
                gate.known[user] = since
        part = self._postgres.parts[partition, to.campaign_id]
        if part.campaign.layout:
            return  # What is free in other slices has no place in this ledger.
        free = part.past[bisect_right(part.past, (at, 1 << 60)) - 1][1]
        if at == to.seq and gate.fields.get("free") != free:
            raise Violation(f"a gate shows {gate.fields} where {free} are free")

    # What people are told.

    def answered(self, claim: SubmitClaim, answer: Answer, asked_at: float) -> None:
        """An answer leaves a door that was asked for it at `asked_at`."""
        match answer:
            case Granted(redemption) | Replayed(redemption):
                known = self._postgres.redemptions.get(claim.claim_id)
                _demand(redemption.redemption_id == claim.claim_id, "a claim was answered with another one")
                _demand(known is not None and known.user_id == claim.user_id, "what was acknowledged is not committed")
            case Refused(reason):
                since = self._acknowledged.get(claim.claim_id)
                if since is not None and since <= asked_at and not self._jumped():
                    raise Violation(f"{claim.user_id} was refused after a success: {reason}")
                _demand(reason is not Refusal.ALREADY_REDEEMED or self._was_full(claim, asked_at), "a 409 without a redemption")

    def heard(self, claim: SubmitClaim, outcome: Outcome) -> None:
        """An answer has reached who asked. From a success on no door may refuse him, now or later."""
        if isinstance(outcome, Refused):
            return
        self._acknowledged.setdefault(claim.claim_id, self._postgres.world.now)
        part = self._postgres.slices[claim.campaign_id, claim.slice_no]
        for door in self._doors:
            refusal = door.certified(claim, part)
            if refusal is not None and door.up and not self._jumped():
                raise Violation(f"{door.name} would refuse {claim.user_id}, who has heard of his success: {refusal}")

    def _jumped(self) -> bool:
        """Whether Redis's clock has just jumped ahead: a certificate may outlast what its gate takes for half a second."""
        return self._postgres.world.now < self._redis.jumped_at + 2 * CERTIFICATE_MS / 1000

    def _was_full(self, claim: SubmitClaim, since: float) -> bool:
        """Whether the user held as much as he may at any time since then."""
        holder = (claim.campaign_id, claim.user_id)
        limit = self._postgres.slices[claim.campaign_id, claim.slice_no].campaign.per_user_limit
        return len(self._postgres.active.get(holder, {})) >= limit or self._full_until.get(holder, -1.0) >= since

    # What is left.

    def consistent(self) -> None:
        """The books, read from the first row to the last."""
        postgres = self._postgres
        for key, part in postgres.slices.items():
            rows = [row for uses in postgres.active.values() for row in uses.values()]
            held = sum((row.campaign_id, row.slice_no) == key for row in rows)
            _demand(held == part.claimed <= part.budget, f"{held} slots are held, {part.claimed} counted, of {part.budget}")
            campaign = part.campaign
            most = max((len(uses) for (of, _), uses in postgres.active.items() if of == key[0]), default=0)
            _demand(most <= campaign.per_user_limit, "a user holds more than he may")
            _demand(sum(each.budget for each in campaign.parts) == campaign.limit, "budget was made or lost")
        claimed: list[ClaimId] = []
        for row in postgres.partitions.values():
            head = GENESIS
            for seq, entry in enumerate(row.ledger, 1):
                _demand(entry.seq == seq and entry.prev_hash == head, "the ledger has a gap")
                head = link(entry.prev_hash, entry.seq, entry.kind, entry.redemption_id, entry.payload)
                _demand(entry.hash == head, "the ledger's chain is broken")
                if entry.kind is Kind.CLAIMED and entry.redemption_id is not None:
                    claimed.append(ClaimId(entry.redemption_id))
        _demand(sorted(claimed) == sorted(postgres.redemptions), "the ledger tells of other redemptions than there are")

    def at_rest(self) -> None:
        """Nobody waits for anything any more: no entry, no reservation."""
        for (number, name), life in self._redis.lives.items():
            if self._redis.pointers.get(number) == name:
                _demand(not life.mail, "an entry is left in a mailbox")
                _demand(not life.reservations and not life.reserved, "a reservation has leaked")


def _demand(held: bool, otherwise: str) -> None:
    if not held:
        raise Violation(otherwise)

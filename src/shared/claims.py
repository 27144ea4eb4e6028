"""Claims in Postgres: what a batch is decided on, and what the decision writes.

Both run under the lock on the partition's row (see `book`). The counter of a slice moves in the statement that inserts the
rows, by as many as were inserted; constraints, not this code, make over-issue and double issue impossible.
"""

from collections.abc import Sequence

import msgspec

from shared.book import Head, append
from shared.domain.decide import Decision, Facts, Holder, SliceFacts, SliceKey
from shared.domain.ids import CampaignId, PartitionNo, UserId
from shared.domain.ledger import Event, Kind
from shared.domain.operations import SubmitClaim
from shared.domain.outcomes import Granted, Refused, Replayed
from shared.domain.redemption import Redemption
from shared.domain.settlement import Settlement, settlements
from shared.errors import ShortWrite
from shared.postgres import Connection
from shared.statements import statement


class _SliceRow(SliceFacts, frozen=True, kw_only=True):
    campaign_id: CampaignId
    slice_no: int


_redemptions = msgspec.json.Decoder(list[Redemption])
_slices = msgspec.json.Decoder(list[_SliceRow])
_uses = msgspec.json.Decoder(list[tuple[CampaignId, UserId, int]])


async def read_facts(connection: Connection, head: Head, claims: Sequence[SubmitClaim]) -> Facts:
    """What is committed about these claims, their users and their campaigns."""
    [(redemptions, slices, uses)] = await connection.fetch(
        statement("claim_facts"),
        [claim.claim_id for claim in claims],
        [claim.campaign_id for claim in claims],
        [claim.user_id for claim in claims],
        head.partition_no,
    )
    taken: dict[Holder, set[int]] = {}
    for campaign, user, use_no in _uses.decode(uses or "[]"):
        taken.setdefault((campaign, user), set()).add(use_no)
    return Facts(
        now=head.now,
        slices={(terms.campaign_id, terms.slice_no): terms for terms in _slices.decode(slices or "[]")},
        redemptions={known.redemption_id: known for known in _redemptions.decode(redemptions or "[]")},
        uses={holder: frozenset(numbers) for holder, numbers in taken.items()},
    )


async def write_decisions(
    connection: Connection, head: Head, facts: Facts, decisions: Sequence[Decision], cursor: str | None
) -> list[Settlement]:
    """Write what was decided, once, and return what the gates are to be set to after COMMIT.

    Raises ShortWrite when fewer rows were written than decided; asyncpg's errors when a constraint objects.
    """
    granted = [decision.outcome.redemption for decision in decisions if isinstance(decision.outcome, Granted)]
    claimed = await _write_redemptions(connection, head.partition_no, granted) if granted else {}
    seq = await append(connection, head, [event for decision in decisions if (event := _event(decision))], cursor=cursor)
    return settlements(facts, decisions, claimed, seq)


async def _write_redemptions(
    connection: Connection, partition_no: PartitionNo, granted: list[Redemption]
) -> dict[SliceKey, int]:
    rows = sorted(granted, key=lambda redemption: redemption.redemption_id.int)
    moved = await connection.fetch(
        statement("write_claims"),
        partition_no,
        [row.redemption_id for row in rows],
        [row.campaign_id for row in rows],
        [row.slice_no for row in rows],
        [row.code_id for row in rows],
        [row.code for row in rows],
        [row.user_id for row in rows],
        [row.use_no for row in rows],
        [row.user_limit for row in rows],
        [row.order_id for row in rows],
        [row.discount_applied for row in rows],
        [row.idempotency_key for row in rows],
        [row.body_hash for row in rows],
        rows[0].claimed_at,
    )
    if sum(slots for *_, slots in moved) != len(rows):
        raise ShortWrite
    return {(CampaignId(campaign), slice_no): claimed for campaign, slice_no, claimed, _ in moved}


def _event(decision: Decision) -> Event | None:
    match decision.outcome:
        case Granted(redemption):
            return Event(Kind.CLAIMED, redemption.redemption_id, msgspec.json.encode(redemption).decode())
        case Refused(reason):
            return Event(Kind.REFUSED, decision.claim.claim_id, _refusal_story(decision.claim, reason))
        case Replayed():
            return None


def _refusal_story(claim: SubmitClaim, reason: str) -> str:
    story = {
        "reason": reason,
        "campaign_id": claim.campaign_id,
        "user_id": claim.user_id,
        "code": claim.code,
        "order_id": claim.order_id,
        "idempotency_key": claim.idempotency_key,
    }
    return msgspec.json.encode(story).decode()

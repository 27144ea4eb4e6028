"""Claims in Postgres: what a batch is decided on, and what the decision writes.

Both run under the locks on the partitions' rows (see `book`). The counters of a slice move in the statement that inserts the
rows, by as much as was inserted; constraints, not this code, make over-issue and double issue impossible.

An order's codes may live in several partitions, whose batches run at the same time. So while any campaign with stacking rules
may give something, a batch locks the orders it claims for before it looks at what they hold. What an order holds of a
campaign that is over binds all the same, and needs no lock: nothing is added to it.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TypeVar

import msgspec

from shared.book import Head, Page, append_each
from shared.domain.decide import Decision
from shared.domain.facts import CodeFacts, Facts, SliceFacts, SliceKey, Use
from shared.domain.ids import CampaignId, ClaimId, PartitionNo, UserId
from shared.domain.ledger import Event, Kind
from shared.domain.operations import SubmitClaim
from shared.domain.outcomes import Granted, Misrouted, Refusal, Refused, Replayed
from shared.domain.redemption import Redemption
from shared.domain.settlement import Counts, Settlement, settlements
from shared.domain.stacking import Stacked
from shared.errors import ShortWrite
from shared.postgres import Connection
from shared.statements import statement

K = TypeVar("K")
V = TypeVar("V")


class _SliceRow(SliceFacts, frozen=True, kw_only=True):
    campaign_id: CampaignId
    slice_no: int


_redemptions = msgspec.json.Decoder(list[Redemption])
_slices = msgspec.json.Decoder(list[_SliceRow])
_uses = msgspec.json.Decoder(list[tuple[CampaignId, UserId, Use]])
_codes = msgspec.json.Decoder(list[CodeFacts])
_orders = msgspec.json.Decoder(list[tuple[str, Stacked]])


async def read_facts(connection: Connection, heads: Sequence[Head], claims: Sequence[SubmitClaim]) -> Facts:
    """What is committed about these claims, their users, their codes and their campaigns; of their orders, if it matters."""
    [(redemptions, slices, uses, codes, free_codes, ruled, stacks)] = await connection.fetch(
        statement("claim_facts"),
        [claim.claim_id for claim in claims],
        [claim.campaign_id for claim in claims],
        [claim.user_id for claim in claims],
        [head.partition_no for head in heads],
        list({claim.code for claim in claims}),
    )
    now = max(head.now for head in heads)
    free = _codes.decode(free_codes or "[]")
    return Facts(
        now=now,
        slices={(terms.campaign_id, terms.slice_no): terms for terms in _slices.decode(slices or "[]")},
        redemptions={known.redemption_id: known for known in _redemptions.decode(redemptions or "[]")},
        uses=_grouped(((campaign, user), use) for campaign, user, use in _uses.decode(uses or "[]")),
        codes={code.code: code for code in _codes.decode(codes or "[]")},
        free_codes=_grouped((code.campaign_id, code) for code in free),
        orders=await _read_orders(connection, now, claims, locked=stacks) if ruled else None,
    )


async def _read_orders(
    connection: Connection, now: datetime, claims: Sequence[SubmitClaim], *, locked: bool
) -> dict[str, tuple[Stacked, ...]]:
    """What the claims' orders hold. `locked`: until this transaction ends, whichever partitions claim for them meanwhile."""
    orders = sorted({claim.order_id for claim in claims})
    if locked:
        await connection.execute(statement("hold_orders"), orders, now)
    held = await connection.fetchval(statement("order_facts"), orders, now)
    return _grouped(_orders.decode(held or "[]"))


def _grouped(pairs: Iterable[tuple[K, V]]) -> dict[K, tuple[V, ...]]:
    groups: dict[K, list[V]] = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return {key: tuple(values) for key, values in groups.items()}


class Verdicts(msgspec.Struct, frozen=True):
    """What claims of the partition that `head` is locked at came to, in their order; its owner moves its `cursor` with them."""

    head: Head
    decisions: Sequence[Decision]
    cursor: str | None = None


async def write_decisions(
    connection: Connection, facts: Facts, verdicts: Sequence[Verdicts]
) -> dict[PartitionNo, list[Settlement]]:
    """Write what was decided, once, and return what the gates are to be set to after COMMIT, by where they are.

    Raises ShortWrite when fewer rows were written than decided; asyncpg's errors when a constraint objects.
    """
    decisions = [decision for each in verdicts for decision in each.decisions]
    granted = [(decision.claim, decision.outcome.redemption) for decision in decisions if isinstance(decision.outcome, Granted)]
    moved = await _write_redemptions(connection, [each.head.partition_no for each in verdicts], granted) if granted else {}
    seqs = await append_each(connection, [_page(each, facts) for each in verdicts])
    return settlements(facts, decisions, moved, seqs)


def _page(verdicts: Verdicts, facts: Facts) -> Page:
    events = [event for decision in verdicts.decisions if (event := _event(decision, facts))]
    return Page(verdicts.head, events, verdicts.cursor)


async def _write_redemptions(
    connection: Connection, partitions: Sequence[PartitionNo], granted: list[tuple[SubmitClaim, Redemption]]
) -> dict[SliceKey, Counts]:
    granted = sorted(granted, key=lambda each: each[1].redemption_id.int)
    claims, rows = [claim for claim, _ in granted], [row for _, row in granted]
    moved = await connection.fetch(
        statement("write_claims"),
        partitions,
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
        [row.amount for row in rows],
        [row.single_use for row in rows],
        [row.hold_expires_at for row in rows],
        [row.spelling for row in rows],
        rows[0].claimed_at,
        [claim.ip for claim in claims],
        [claim.typed or claim.code for claim in claims],
        [claim.door for claim in claims],
    )
    if sum(slots for *_, slots, _ in moved) != len(rows) or moved[0]["codes"] != sum(row.single_use for row in rows):
        raise ShortWrite
    return {
        (CampaignId(campaign), slice_no): Counts(claimed, amount_claimed)
        for campaign, slice_no, claimed, amount_claimed, *_ in moved
    }


def _event(decision: Decision, facts: Facts) -> Event | None:
    asked = facts.codes.get(decision.claim.code)
    spelling = None if asked is None else asked.spelling
    match decision.outcome:
        case Granted(redemption):
            return Event(Kind.CLAIMED, redemption.redemption_id, msgspec.json.encode(redemption).decode())
        case Refused(reason, about):
            return Event(Kind.REFUSED, decision.claim.claim_id, _refusal_story(decision.claim, spelling, reason, about=about))
        case Replayed(hold, Refusal() as reason):
            # Written down, or who polls for this claim would find nothing.
            story = _refusal_story(decision.claim, spelling, reason, shown=hold.redemption_id)
            return Event(Kind.REFUSED, decision.claim.claim_id, story)
        case Replayed() | Misrouted():
            return None


def _refusal_story(
    claim: SubmitClaim, spelling: str | None, reason: Refusal, *, about: str | None = None, shown: ClaimId | None = None
) -> str:
    story = {
        "reason": reason,
        "about": about,
        "shown": shown,
        "campaign_id": claim.campaign_id,
        "user_id": claim.user_id,
        "code": claim.code,
        "spelling": spelling,
        "order_id": claim.order_id,
        "idempotency_key": claim.idempotency_key,
    }
    return msgspec.json.encode(story).decode()

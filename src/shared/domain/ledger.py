"""The ledger of a partition: a gapless sequence of rows, each carrying the hash of the one before it.

The chain is pure: whoever holds the lock on the partition's row extends it from the head that the row shows, and
whoever audits it walks it with the same function.
"""

from enum import StrEnum
from hashlib import sha256
from uuid import UUID

import msgspec

GENESIS = bytes(32)


class Kind(StrEnum):
    """What a row of the ledger says happened."""

    CAMPAIGN_CREATED = "campaign_created"
    CAMPAIGN_CHANGED = "campaign_changed"
    PAUSED_BY_GUARD = "paused_by_guard"
    CODES_MINTED = "codes_minted"
    CLAIMED = "claimed"
    REFUSED = "refused"
    REDEEMED = "redeemed"
    RELEASED = "released"
    DEAD_LETTERED = "dead_lettered"
    CORRECTED = "corrected"
    ADMISSION_HELD = "admission_held"
    SLICES_MOVED = "slices_moved"
    BUDGET_MOVED = "budget_moved"


class Event(msgspec.Struct, frozen=True, gc=False):
    """Something to be written down: its kind, the redemption it speaks of (None for a campaign's own events), its story."""

    kind: Kind
    redemption_id: UUID | None
    payload: str


class Row(msgspec.Struct, frozen=True, gc=False):
    """An event with its place in the chain."""

    seq: int
    kind: Kind
    redemption_id: UUID | None
    payload: str
    prev_hash: bytes
    hash: bytes


def link(prev_hash: bytes, seq: int, kind: str, redemption_id: UUID | None, payload: str) -> bytes:
    """SHA-256 over everything a row says and the hash of the row before it."""
    subject = "-" if redemption_id is None else redemption_id.hex
    return sha256(prev_hash + f"{seq}|{kind}|{subject}|{payload}".encode()).digest()


def extend(last_seq: int, chain_head: bytes, events: list[Event]) -> list[Row]:
    """The rows that continue a chain whose last row is `last_seq` with hash `chain_head`."""
    rows: list[Row] = []
    for seq, event in enumerate(events, start=last_seq + 1):
        digest = link(chain_head, seq, event.kind, event.redemption_id, event.payload)
        rows.append(Row(seq, event.kind, event.redemption_id, event.payload, chain_head, digest))
        chain_head = digest
    return rows

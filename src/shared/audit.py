"""The proof, read from the live database, that what must always hold holds.

Everything is read in one REPEATABLE READ snapshot, so it may run beside a burst: the invariants hold in every committed
snapshot, not only in quiet ones. The chain is walked with the function that extends it, through a cursor, so memory does
not grow with the ledger. Each check reports its first bad row, which is where to start looking.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from shared.clock import monotonic
from shared.domain.ledger import GENESIS, link
from shared.domain.redemption import TRANSITIONS, State, Step
from shared.postgres import Connection
from shared.statements import statement

#: A session that only reads. Its statements may take as long as the ledger is long; a silent auditor gives its snapshot up.
_SERVER_SETTINGS = {
    "application_name": "lastslot audit",
    "default_transaction_read_only": "on",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "60s",
    "jit": "off",
}
_ROWS_AT_A_TIME = 2_000


class FaultKind(StrEnum):
    """What does not hold."""

    LEDGER_HAS_A_GAP = "ledger_has_a_gap"
    CHAIN_IS_BROKEN = "chain_is_broken"
    HEAD_IS_ASTRAY = "head_is_astray"
    ROW_IS_STRAY = "row_is_stray"
    SLICE_IS_MISCOUNTED = "slice_is_miscounted"
    SLICE_IS_OVERDRAWN = "slice_is_overdrawn"
    BUDGETS_MISS_THE_LIMIT = "budgets_miss_the_limit"
    MONEY_IS_MISCOUNTED = "money_is_miscounted"
    CODES_ARE_MISCOUNTED = "codes_are_miscounted"
    CODE_IS_MISSTATED = "code_is_misstated"
    CAMPAIGN_IS_OVER_ISSUED = "campaign_is_over_issued"
    USER_IS_OVER_LIMIT = "user_is_over_limit"
    HISTORY_IS_ILLEGAL = "history_is_illegal"
    CLAIM_WAS_ALTERED = "claim_was_altered"
    TRANSITIONS_DIFFER = "transitions_differ"


class Fault(msgspec.Struct, frozen=True):
    """One thing that does not hold: `where` names the first bad row, `detail` what is wrong with it."""

    kind: FaultKind
    where: str
    detail: str


class AuditReport(msgspec.Struct, frozen=True):
    """What was audited and what was found. `users` are distinct holders; no faults means that every invariant held."""

    campaigns: int
    redemptions: int
    users: int
    ledger_rows: int
    seconds: float
    faults: tuple[Fault, ...]

    @property
    def clean(self) -> bool:
        return not self.faults


class CampaignProof(msgspec.Struct, frozen=True):
    """One campaign's numbers: `active` rows held by `users` distinct users; `claimed` and `budget` of its slices.

    `budget` None: unlimited. `chain_intact` speaks of the whole ledger of every partition that has a slice of the campaign.
    """

    campaign_id: UUID
    redemptions: int
    active: int
    users: int
    claimed: int
    budget: int | None
    chain_intact: bool


async def audit(dsn: str) -> AuditReport:
    """Prove every invariant on the live database at `dsn`."""
    began = monotonic()
    async with snapshot(dsn) as connection:
        [totals] = await connection.fetch(statement("audit_totals"))
        faults = [fault async for fault in _faults(connection)]
    return AuditReport(**dict(totals), seconds=monotonic() - began, faults=tuple(faults))


async def audit_campaign(dsn: str, campaign_id: UUID) -> CampaignProof | None:
    """The small proof for one campaign; None when there is no such campaign."""
    async with snapshot(dsn) as connection:
        row = await connection.fetchrow(statement("audit_campaign"), campaign_id)
        if row is None or row["partitions"] is None:
            return None
        numbers = dict(row)
        faults = [fault async for fault in _chain_faults(connection, numbers.pop("partitions"))]
    return CampaignProof(campaign_id, **numbers, chain_intact=not faults)


def render(report: AuditReport) -> str:
    """The report as a person reads it."""
    lines = [
        f"{report.campaigns:,} campaigns, {report.redemptions:,} redemptions of {report.users:,} users, "
        f"{report.ledger_rows:,} ledger rows audited in {report.seconds:.2f} s"
    ]
    lines += [f"  {fault.kind}: {fault.where}: {fault.detail}" for fault in report.faults]
    lines.append("every invariant holds" if report.clean else f"{len(report.faults)} invariants do not hold")
    return "\n".join(lines)


@asynccontextmanager
async def snapshot(dsn: str) -> AsyncIterator[Connection]:
    """A connection that sees one committed state of the database, and changes nothing."""
    connection = await asyncpg.connect(dsn, timeout=10, server_settings=_SERVER_SETTINGS)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            yield connection
    finally:
        await connection.close(timeout=5)


async def _faults(connection: Connection) -> AsyncIterator[Fault]:
    async for fault in _chain_faults(connection, None):
        yield fault
    for kind, name, *arguments in _CHECKS:
        first = await connection.fetchrow(statement(name), *arguments)
        if first is not None:
            yield _first_fault(kind, *first)
    for kind, name in _DRIFTS:
        first = await connection.fetchrow(statement(name), 1)
        if first is not None:
            _, campaign, subject, expected, found, drifts = first
            yield _first_fault(
                kind, f"campaign {campaign}, {subject}", f"{found}, where {expected} follows from the rows", drifts
            )
    known = {tuple(row) for row in await connection.fetch(statement("audit_transitions"))}
    for transition in sorted(known ^ {(state, step, reached) for (state, step), reached in TRANSITIONS.items()}):
        yield Fault(FaultKind.TRANSITIONS_DIFFER, "redemption_transitions", " ".join(transition))


def _first_fault(kind: FaultKind, place: str, detail: str, faults: int) -> Fault:
    return Fault(kind, place, detail if faults == 1 else f"{detail} (the first of {faults})")


async def _chain_faults(connection: Connection, partitions: list[int] | None) -> AsyncIterator[Fault]:
    for partition_no, last_seq, chain_head in await connection.fetch(statement("audit_partitions"), partitions):
        fault = await _chain_fault(connection, partition_no, last_seq, chain_head)
        if fault is not None:
            yield fault


async def _chain_fault(connection: Connection, partition_no: int, last_seq: int, chain_head: bytes) -> Fault | None:
    """The first fault of a partition's ledger. What follows a broken link says nothing, so the walk ends there."""
    expected, head = 0, GENESIS
    async for row in connection.cursor(statement("audit_chain"), partition_no, prefetch=_ROWS_AT_A_TIME):
        seq, kind, redemption_id, payload, prev_hash, digest = row
        where = f"partition {partition_no}, seq {seq}"
        expected += 1
        if seq != expected:
            return Fault(FaultKind.LEDGER_HAS_A_GAP, where, f"expected seq {expected}")
        if prev_hash != head:
            return Fault(FaultKind.CHAIN_IS_BROKEN, where, "prev_hash is not the hash of the row before")
        if digest != link(prev_hash, seq, kind, redemption_id, payload):
            return Fault(FaultKind.CHAIN_IS_BROKEN, where, "hash is not the hash of what the row says")
        head = digest
    if (expected, head) != (last_seq, chain_head):
        detail = f"the partition's row says seq {last_seq} and {chain_head.hex()}, its ledger {expected} and {head.hex()}"
        return Fault(FaultKind.HEAD_IS_ASTRAY, f"partition {partition_no}", detail)
    return None


def _legal_histories() -> tuple[list[str], list[str | None], list[str]]:
    """What TRANSITIONS allows to have happened: state reached, reason of its release, kinds of the ledger rows on the way."""
    states, reasons, stories = zip(*_histories_from(State.CLAIMED, None, State.CLAIMED.value), strict=True)
    return list(states), list(reasons), list(stories)


def _histories_from(state: State, step: Step | None, story: str) -> Iterator[tuple[str, str | None, str]]:
    yield state, step.value if step is not None and state is State.RELEASED else None, story
    for (before, next_step), after in TRANSITIONS.items():
        if before is state:
            yield from _histories_from(after, next_step, f"{story} {after}")


#: The checks that reconciliation makes too (see `reconciling`), which tells of every row.
_DRIFTS = (
    (FaultKind.SLICE_IS_MISCOUNTED, "drift_slots"),
    (FaultKind.MONEY_IS_MISCOUNTED, "drift_money"),
    (FaultKind.CODES_ARE_MISCOUNTED, "drift_minted"),
    (FaultKind.CODE_IS_MISSTATED, "drift_codes"),
)

#: The checks that are one statement each: the kind of fault its row is, its name, its arguments.
_CHECKS: tuple[tuple[Any, ...], ...] = (
    (FaultKind.ROW_IS_STRAY, "audit_stray_rows"),
    (FaultKind.SLICE_IS_OVERDRAWN, "audit_slice_budgets"),
    (FaultKind.BUDGETS_MISS_THE_LIMIT, "audit_campaign_limits"),
    (FaultKind.CAMPAIGN_IS_OVER_ISSUED, "audit_over_issue"),
    (FaultKind.USER_IS_OVER_LIMIT, "audit_user_limits"),
    (FaultKind.HISTORY_IS_ILLEGAL, "audit_histories", *_legal_histories()),
    (FaultKind.CLAIM_WAS_ALTERED, "audit_stories"),
)

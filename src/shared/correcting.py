"""Setting right what the stores say differently: gates out of Postgres, and Postgres's counters out of its redemptions.

A gate is only made cold, because its owner seeds what is cold by himself. A counter follows from rows that are there: it is set
under the lock of its partition, and the ledger says so. What does not follow from anything (more redemptions than slots, codes
that are missing) is for a person to look at.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any

import msgspec
import structlog

from shared.book import DECIDE_AGAIN, append, decided, lock_partition
from shared.domain.drift import OF_GATES, Drift, DriftKind
from shared.domain.ids import CampaignId, PartitionNo
from shared.domain.ledger import Event, Kind
from shared.errors import ShortWrite
from shared.gate import Gate
from shared.postgres import Connection, Pool
from shared.statements import statement

log = structlog.get_logger()


async def make_anew(gate: Gate, drifts: Iterable[Drift]) -> None:
    """Have the gates that drifted seeded by their owners. Raises RedisUnavailable."""
    wrong: dict[PartitionNo, set[CampaignId]] = {}
    for drift in drifts:
        if drift.kind in OF_GATES and drift.partition_no is not None and drift.campaign_id is not None:
            wrong.setdefault(drift.partition_no, set()).add(drift.campaign_id)
    for partition, campaigns in wrong.items():
        incarnation = await gate.living(partition)
        if incarnation is not None:
            await gate.make_cold(partition, incarnation, sorted(campaigns))


async def correct(pool: Pool, drifts: Iterable[Drift], by: str) -> None:
    """Set the counters and codes that drifted to what the redemptions say, in the name of `by`; what cannot be, stays."""
    subjects: dict[tuple[str, tuple[Any, ...]], None] = {}
    for drift in drifts:
        match drift.kind:
            case DriftKind.SLOTS_MISCOUNTED | DriftKind.MONEY_MISCOUNTED:
                subjects["slice", (drift.campaign_id, int(drift.subject.rpartition(" ")[2]))] = None
            case DriftKind.CODE_MISSTATED:
                subjects["code", (drift.subject.removeprefix("code "),)] = None
    for kind, named in subjects:
        try:
            await decided(pool, partial(_correct, kind=kind, named=named, by=by))
        except DECIDE_AGAIN as error:
            log.error("drift_not_corrected", subject=kind, named=[str(name) for name in named], error=str(error))


async def _correct(connection: Connection, kind: str, named: tuple[Any, ...], by: str) -> None:
    read, write = ("slice_as_counted", "correct_slice") if kind == "slice" else ("code_as_used", "correct_code")
    seen = await connection.fetch(statement(read), *named)
    if len(seen) != 1:
        return
    head = await lock_partition(connection, PartitionNo(seen[0]["partition_no"]))
    # What was read before the lock may have moved since.
    [(partition, campaign, before, after)] = await connection.fetch(statement(read), *named)
    if partition != head.partition_no:
        raise ShortWrite
    if before == after:
        return
    await connection.execute(statement(write), *named, after)
    story = {
        "subject": f"{kind} {named[-1]}",
        "campaign": msgspec.Raw(campaign.encode()),
        "before": msgspec.Raw(before.encode()),
        "after": msgspec.Raw(after.encode()),
        "by": by,
    }
    await append(connection, head, [Event(Kind.CORRECTED, None, msgspec.json.encode(story).decode())])

"""What is counted, declared once for every process.

Prometheus's counters cost more than a microsecond each once several processes share them (a label look-up and a memory
map), which is too much for something that happens ten times in a request. So the busy ones are tallied in a dictionary and
folded into Prometheus's four times a second. With PROMETHEUS_MULTIPROC_DIR set, any process shows what all have counted.
"""

import asyncio
from collections.abc import Callable

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

FOLD_INTERVAL_S = 0.25

_tallies: list["Tally"] = []


class Tally:
    """A counter that is cheap to add to; Prometheus hears of it at the next fold."""

    def __init__(self, name: str, documentation: str, labels: tuple[str, ...] = ()) -> None:
        self._counter = Counter(name, documentation, labels)
        self._counts: dict[tuple[str, ...], int] = {}
        _tallies.append(self)

    def add(self, *labels: str, n: int = 1) -> None:
        counts = self._counts
        counts[labels] = counts.get(labels, 0) + n

    def fold(self) -> None:
        counts, self._counts = self._counts, {}
        for labels, n in counts.items():
            (self._counter.labels(*labels) if labels else self._counter).inc(n)


# The front door.
ANSWERS = Tally("lastslot_answers", "Answers given, by call and by the machine code of the answer.", ("call", "code"))
GATE_CALLS = Tally("lastslot_gate_calls", "Calls of the gate's admit script; each carries a batch.")
GATE_CLAIMS = Tally("lastslot_gate_claims", "Claims that were carried to the gate.")
CERTIFICATE_ANSWERS = Tally("lastslot_certificate_answers", "Refusals answered from memory under a certificate.")
LIMIT_CALLS = Tally("lastslot_limit_calls", "Calls of the limiter's script; each carries a batch.")
OUTCOME_MESSAGES = Tally("lastslot_outcome_messages", "Messages heard on the outcome feed; each carries a batch.")
FALLBACK_LOOKUPS = Tally("lastslot_fallback_lookups", "Claims looked up in Postgres because no outcome was heard.")
FILTER_MISSES = Tally("lastslot_filter_misses", "Codes that were known not to exist without asking anybody.")
FILTER_DOORS = Gauge(
    "lastslot_filter_doors", "Front doors that know which codes there are, and are ready.", multiprocess_mode="livesum"
)
FILTER_SNAPSHOT_CODES = Gauge(
    "lastslot_filter_snapshot_codes", "Codes in the snapshot that a front door has mapped.", multiprocess_mode="livemax"
)
FILTER_OVERLAY_CODES = Gauge(
    "lastslot_filter_overlay_codes", "Codes that a front door added to its filter by itself.", multiprocess_mode="livemax"
)
FILTER_LATE = Gauge(
    "lastslot_filter_late",
    "1 when another snapshot was due long ago: what builds it fails or is stuck.",
    multiprocess_mode="livemax",
)
ATTEMPTS_SHIPPED = Tally("lastslot_attempts_shipped", "Attempts written to Postgres by the doors.")
ATTEMPTS_SPILLED = Tally("lastslot_attempts_spilled", "Attempts not kept, because too many were waiting to be written.")
DIRECT_CLAIMS = Tally("lastslot_direct_claims", "Claims decided by front doors while Redis was away, by outcome.", ("outcome",))
DIRECT_TURNS = Tally("lastslot_direct_turns", "Gates that front doors took to be away (entered), or back (left).", ("turn",))
GATES_AWAY = Gauge(
    "lastslot_gates_away", "Gates that front doors take to be away, each door for itself.", multiprocess_mode="livesum"
)
PENDING_WAITERS = Gauge(
    "lastslot_pending_waiters", "Requests that wait for their claim's outcome.", multiprocess_mode="livesum"
)

# The claim workers.
COMMITS = Counter("lastslot_commits", "Batches committed.")
CLAIMS_COMMITTED = Counter("lastslot_claims_committed", "Claims decided and committed, by outcome.", ("outcome",))
BATCH_SIZE = Histogram("lastslot_batch_size", "Claims in a batch.", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024))
COMMIT_SECONDS = Histogram(
    "lastslot_commit_seconds",
    "From the first look at a batch to the end of COMMIT, however often it was decided.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
)
SETTLE_CALLS = Counter("lastslot_settle_calls", "Calls of the gate's settle script.")
DEAD_LETTERS = Counter("lastslot_dead_letters", "Entries set aside because no transaction could hold them.")
DEAD_LETTERS_WAITING = Gauge(
    "lastslot_dead_letters_waiting", "Entries set aside that nobody has dealt with.", multiprocess_mode="mostrecent"
)
LEASES_HELD = Gauge("lastslot_leases_held", "Partitions owned.", multiprocess_mode="livesum")
FENCED = Counter("lastslot_fenced", "Commits refused because the partition had a newer owner.")
STANDSTILLS = Counter("lastslot_standstills", "Partitions given up because their consumer got nowhere.")
GUARD_PAUSES = Counter("lastslot_guard_pauses", "Campaigns paused by the velocity guard.")
DRIFTS_FOUND = Counter("lastslot_drifts_found", "Differences found between the stores, by type.", ("kind",))
ALERTS_NOT_TAKEN = Counter("lastslot_alerts_not_taken", "Alerts that the webhook did not take; they are tried again.")

# The jobs.
AUDIT_FAULTS = Gauge("lastslot_audit_faults", "Invariants that the last audit found broken.", multiprocess_mode="mostrecent")
AUDITED_AT = Gauge("lastslot_audited_at_seconds", "When the last audit ended, in Unix time.", multiprocess_mode="mostrecent")

DRIFTS_LEFT = Gauge(
    "lastslot_drifts_left",
    "Differences between the stores that the last reconciliation left to be looked at, by type.",
    ("kind",),
    multiprocess_mode="mostrecent",
)
RECONCILED_AT = Gauge(
    "lastslot_reconciled_at_seconds", "When the last reconciliation ended, in Unix time.", multiprocess_mode="mostrecent"
)


def fold() -> None:
    """Let Prometheus hear of everything that was tallied."""
    for tally in _tallies:
        tally.fold()


async def keep_folding(waiting: Callable[[], int]) -> None:
    """Fold, and look how many are `waiting`, until cancelled; then fold once more."""
    try:
        while True:
            await asyncio.sleep(FOLD_INTERVAL_S)
            PENDING_WAITERS.set(waiting())
            fold()
    finally:
        fold()


def exposition() -> tuple[bytes, str]:
    """The metrics in Prometheus's text format, and its content type."""
    fold()
    return generate_latest(_registry()), CONTENT_TYPE_LATEST


def _registry() -> CollectorRegistry:
    shared = CollectorRegistry()
    try:
        MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
    except ValueError:  # how it says that no directory is shared
        return REGISTRY
    return shared

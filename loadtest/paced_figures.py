"""What an open loop measured, as tables, and where it broke."""

from collections.abc import Sequence
from statistics import median

import msgspec

from loadtest.figures import medians_of
from loadtest.grids import Grid
from loadtest.records import OpenLoop, Step

#: A rate is kept up with while nothing fails, as much is answered as is asked, and hardly anybody waits.
_ANSWERED_SHARE = 0.97
_P99_S = 0.1

_WORDS = {0: "connection lost", -1: "no answer", -2: "never sent", 202: "202", 429: "shed 429", 503: "shed 503"}


class Summary(msgspec.Struct, frozen=True):
    """Medians over the rounds of a step. Latencies in ms."""

    achieved: float
    p50: float
    p99: float
    p999: float
    client_us: float
    late_p99: float
    failed: int
    fates: str


def summary(step: Step) -> Summary:
    rounds = step.rounds
    return Summary(
        achieved=median(run.achieved for run in rounds),
        p50=median(run.p50 for run in rounds) * 1e3,
        p99=median(run.p99 for run in rounds) * 1e3,
        p999=median(run.p999 for run in rounds) * 1e3,
        client_us=median(run.client_us for run in rounds),
        late_p99=median(run.late_p99 for run in rounds) * 1e3,
        failed=sum(run.failed for run in rounds),
        fates=_fates(step),
    )


def _fates(step: Step) -> str:
    """What became of those who did not get what they came for, in all rounds."""
    totals = {status: sum(run.statuses.get(status, 0) for run in step.rounds) for status in _WORDS}
    return ", ".join(f"{_WORDS[status]} {count:,}" for status, count in totals.items() if count)


def keeps_up(step: Step) -> bool:
    seen = summary(step)
    return not seen.failed and seen.achieved >= _ANSWERED_SHARE * step.offered and seen.p99 <= _P99_S * 1e3


def breaking_points(steps: Sequence[Step]) -> list[str]:
    """A line for each call and contestant: the highest rate that it kept up with, and the lowest that it did not."""
    lines = []
    for call, contestant in dict.fromkeys((step.call, step.contestant) for step in steps):
        own = [step for step in steps if (step.call, step.contestant) == (call, contestant)]
        kept = max((step.offered for step in own if keeps_up(step)), default=0)
        broke = min((step.offered for step in own if not keeps_up(step) and step.offered > kept), default=None)
        end = "the highest rate offered" if broke is None else f"not with {broke:,}/s"
        lines.append(f"{call}: {contestant} keeps up with {kept:,}/s, {end}")
    return lines


def calls_of(loop: OpenLoop) -> dict[str, list[Step]]:
    """Its steps by call."""
    return {
        call: [step for step in loop.steps if step.call == call] for call in dict.fromkeys(step.call for step in loop.steps)
    }


def steps_grid(call: str, steps: Sequence[Step]) -> Grid:
    """One call, Lastslot and bare aiohttp at every rate."""
    rows = []
    for step in sorted(steps, key=lambda step: (step.offered, step.contestant)):
        seen = summary(step)
        figures = (f"{figure:,.1f}" for figure in (seen.p50, seen.p99, seen.p999))
        client = f"{seen.client_us:.0f}", f"{seen.late_p99:.2f}"
        rows.append((f"{step.offered:,}/s", step.contestant, f"{seen.achieved:,.0f}", *figures, *client, seen.fates))
    head = ("offered", "to", "answered/s", "p50 ms", "p99 ms", "p99.9 ms", "client µs", "client late ms", "not as hoped")
    return Grid(f"{call} at given rates ({medians_of(steps[0].rounds)})", head, rows, words=2, remark=True)

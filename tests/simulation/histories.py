"""Many histories at once, and what must have been seen among them. One that goes wrong is named by its seed."""

import gc
import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context

import msgspec

from tests.simulation.checks import Violation
from tests.simulation.history import CLAIMS, FAULTS, History, Report

#: Histories that one process plays in a row; and by how much those who yield are nicer than others.
_ROW = 250
_YIELDING = 10

#: What happens in some histories only, and is what they are for.
SOMETIMES = {
    "budget moved",
    "certificate answered",
    "clock jump expired a lease",
    "fenced mid-batch",
    "freed slot given out after its certificate",
    "decided by the direct path",
    "direct path entered",
    "direct path left",
    "gate not believed",
    "incarnation begun",
    "life ended",
    "made good what was committed and never settled",
    "nobody behind the gate",
    "left out of a turn",
    "several partitions in one transaction",
    "takeover",
    "turn taken apart",
    "unknown commit resolved",
}


class Played(msgspec.Struct, frozen=True):
    """What came of histories. `broken`: what went wrong, by seed; `seen`: in how many each event was."""

    histories: int
    claims: int
    faults: int
    broken: list[str]
    seen: Counter[str]


def play(seeds: range, *, yielding: bool = False) -> Played:
    """Play histories, as many side by side as there are cores. `yielding`: with what others leave of them."""
    rows = [seeds[n : n + _ROW] for n in range(0, len(seeds), _ROW)]
    # Not forked: whoever asks may have threads.
    start = get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), start, initializer=os.nice, initargs=(_YIELDING * yielding,)) as processes:
        played = list(processes.map(_play, rows))
    seen = sum((each.seen for each in played), Counter[str]())
    histories, claims, faults = (sum(each) for each in zip(*((p.histories, p.claims, p.faults) for p in played), strict=True))
    return Played(histories, claims, faults, [line for each in played for line in each.broken], seen)


def _play(seeds: range) -> Played:
    seen: Counter[str] = Counter()
    broken: list[str] = []
    claims, faults = 0, 0
    with _seldom_swept():
        for seed in seeds:
            try:
                report = play_one(seed)
            except Violation as violation:
                broken.append(f"{violation} (python -m tests.simulation --seed {seed})")
                print(broken[-1], flush=True)
                continue
            seen.update(report.seen)
            claims, faults = claims + report.claims, faults + report.faults
    return Played(len(seeds), claims, faults, broken, seen)


@contextmanager
def _seldom_swept() -> Iterator[None]:
    """A history is garbage as a whole, once it is over: there is none to be found in its midst, nor anywhere else meanwhile."""
    often = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(20_000)
    try:
        yield
    finally:
        gc.set_threshold(*often)
        gc.unfreeze()


def play_one(seed: int) -> Report:
    """Play one history. Raises Violation, also when there was too little in it."""
    report = History(seed).run()
    if report.claims < CLAIMS or report.faults < FAULTS:
        raise Violation(f"only {report.claims} claims and {report.faults} faults")
    return report

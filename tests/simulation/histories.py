"""Many histories at once, and what must have been seen among them. One that goes wrong is named by its seed."""

import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from tests.simulation.checks import Violation
from tests.simulation.history import CLAIMS, FAULTS, History, Report

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


def play(first: int, number: int) -> Counter[str]:
    """Play so many histories, and count in how many of them each event was seen. Raises Violation, with the seed."""
    seen: Counter[str] = Counter()
    with seldom_swept():
        for seed in range(first, first + number):
            try:
                seen.update(play_one(seed).seen)
            except Violation as violation:
                raise Violation(f"{violation} (python -m tests.simulation --seed {seed})") from violation
    return seen


@contextmanager
def seldom_swept() -> Iterator[None]:
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

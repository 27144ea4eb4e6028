"""Play histories: `--seed 7`, one, told step by step; or `--count 1000 --first 0`, many, and what was seen among them."""

import argparse
import os
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from time import perf_counter

import msgspec

from tests.simulation.checks import Violation
from tests.simulation.histories import SOMETIMES, play_one, seldom_swept
from tests.simulation.history import History

#: Histories that one process plays in a row, and from which number on all that is seen sometimes must have been seen.
_ROW = 250
_ENOUGH = 5_000


class _Played(msgspec.Struct, frozen=True):
    histories: int
    claims: int
    faults: int
    broken: list[str]
    seen: Counter[str]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    told = parser.parse_args()
    if told.seed is not None:
        print(History(told.seed, print).run())
        return 0
    return _many(range(told.first, told.first + told.count))


def _many(seeds: range) -> int:
    began, rows = perf_counter(), [seeds[n : n + _ROW] for n in range(0, len(seeds), _ROW)]
    with ProcessPoolExecutor(os.cpu_count()) as processes:
        played = list(processes.map(_play, rows))
    seen: Counter[str] = sum((each.seen for each in played), Counter())
    broken = [line for each in played for line in each.broken]
    histories, claims, faults = (sum(each) for each in zip(*((p.histories, p.claims, p.faults) for p in played), strict=True))
    print(f"{histories} histories of {claims} claims and {faults} faults, {len(broken)} broken; {perf_counter() - began:.0f} s")
    for event, number in seen.most_common():
        print(f"{number:8}  {event}")
    missed = SOMETIMES - seen.keys() if histories >= _ENOUGH else set()
    for event in sorted(missed):
        print(f"   never  {event}")
    return 1 if broken or missed else 0


def _play(seeds: range) -> _Played:
    seen: Counter[str] = Counter()
    broken: list[str] = []
    claims, faults = 0, 0
    with seldom_swept():
        for seed in seeds:
            try:
                report = play_one(seed)
            except Violation as violation:
                broken.append(f"seed {seed}: {violation}")
                print(broken[-1], flush=True)
                continue
            seen.update(report.seen)
            claims, faults = claims + report.claims, faults + report.faults
    return _Played(len(seeds), claims, faults, broken, seen)


if __name__ == "__main__":
    sys.exit(main())

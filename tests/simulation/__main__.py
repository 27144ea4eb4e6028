"""Play histories: `--seed 7`, one, told step by step; or `--count 1000 --first 0`, many, and what was seen among them."""

import argparse
import sys
from time import perf_counter

from tests.simulation.histories import SOMETIMES, play
from tests.simulation.history import History

#: From which number on all that is seen sometimes must have been seen.
_ENOUGH = 5_000


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
    began, played = perf_counter(), play(seeds)
    told = f"{played.histories} histories of {played.claims} claims and {played.faults} faults, {len(played.broken)} broken"
    print(f"{told}; {perf_counter() - began:.0f} s")
    for event, number in played.seen.most_common():
        print(f"{number:8}  {event}")
    missed = SOMETIMES - played.seen.keys() if played.histories >= _ENOUGH else set()
    for event in sorted(missed):
        print(f"   never  {event}")
    return 1 if played.broken or missed else 0


if __name__ == "__main__":
    sys.exit(main())

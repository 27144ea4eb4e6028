"""python -m tests.soak --minutes N: play all scenarios in turn, for so long; write the table; fail if anything was wrong."""

import argparse
import asyncio
import random
import secrets
import sys
from collections.abc import Iterator, Sequence

from shared.clock import monotonic
from tests.soak import table
from tests.soak.result import Result
from tests.soak.runs import Scenario, play
from tests.soak.scenarios import SCENARIOS
from tests.soak.stage import stage


async def soak(seconds: float, seed: int, scenarios: Sequence[Scenario]) -> list[Result]:
    """Play `scenarios` again and again, in an order drawn each time, until the time is over."""
    ends = monotonic() + seconds
    results: list[Result] = []
    async with stage() as made:
        for number, scenario in enumerate(_drawn(scenarios, random.Random(seed))):
            if monotonic() > ends:
                break
            results.append(await play(made, scenario, seed + number))
            _tell(results[-1])
    return results


def _drawn(scenarios: Sequence[Scenario], dice: random.Random) -> Iterator[Scenario]:
    while True:
        yield from dice.sample(scenarios, len(scenarios))


def _tell(result: Result) -> None:
    word = "WRONG" if not result.clean else "missed" if result.missed else "ok"
    times = " ".join(f"{seconds:.2f}" for seconds in (*result.takeover_s, *result.recovery_s))
    print(f"{word:6} {result.seconds:5.1f} s  {result.scenario} [{times}]", flush=True)
    if not result.clean:
        print(f"      {result}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**9))
    parser.add_argument("--only", default="", help="only scenarios whose name holds this")
    parser.add_argument("--write", action="store_true", help="write the table into docs/reliability.md")
    told = parser.parse_args()
    scenarios = [scenario for scenario in SCENARIOS if told.only in scenario.name]
    print(f"seed {told.seed}, {len(scenarios)} scenarios", flush=True)
    results = asyncio.run(soak(60 * told.minutes, told.seed, scenarios))
    table.keep(results, told.seed)
    said = table.table(results, [scenario.name for scenario in scenarios], told.seed)
    print(said)
    if told.write:
        table.write(said)
    wrong = [result for result in results if not result.clean]
    print(f"{len(results)} runs, {len(wrong)} wrong; seed {told.seed}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()

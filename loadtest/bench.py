"""The bursts of `make bench`: Lastslot and its peers, in turn in the same run, several rounds, medians. A wrong fast run fails.

python -m loadtest.bench [--scenario burst …] [--rounds N] [--frontdoors 2] [--workers 2]
"""

import gc
from argparse import ArgumentParser, Namespace
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from secrets import token_hex

from rich.console import Console

from lastslot.running import Stack, own_stack
from loadtest.ceiling import Ceiling, ceiling
from loadtest.contestants import Contestant, contestants
from loadtest.demands import print_verdicts
from loadtest.figures import CEILING, notes, scenario_grid
from loadtest.grids import in_terminal
from loadtest.machine import machine_line
from loadtest.processes import memory_mb
from loadtest.records import Bench, Measured, Taken, save, taken
from loadtest.running import run
from loadtest.scenarios import SCENARIOS
from loadtest.timeline import timeline
from loadtest.trial import Scenario, measure


async def bench(console: Console, given: Namespace) -> None:
    """Run the scenarios that were asked for. Raises Wrong at the first answer that is not what it must be."""
    scenarios = [SCENARIOS[name] for name in given.scenario or SCENARIOS]
    names = {name for scenario in scenarios for name in scenario.contestants}
    async with own_stack("--frontdoors", str(given.frontdoors), "--workers", str(given.workers)) as stack:
        when = taken(await machine_line(stack, given.frontdoors, given.workers))
        console.print(when.machine, highlight=False, soft_wrap=True)
        async with contestants(stack, names, given.frontdoors) as entered:
            for scenario in scenarios:
                chosen = [entered[name] for name in scenario.contestants]
                rounds = await _rounds(console, scenario, chosen, stack, given.rounds or scenario.rounds)
                _tell(console, Bench(when, scenario.name, scenario.title, rounds, memory_mb()))
                if scenario.drawn:
                    await _draw(scenario, entered["lastslot"], stack, when)
    print_verdicts(console, [scenario.name for scenario in scenarios])


async def _rounds(
    console: Console, scenario: Scenario, chosen: Sequence[Contestant], stack: Stack, rounds: int
) -> dict[str, list[Measured]]:
    """Every contestant once a round; the first round warms everything up and is thrown away."""
    results: dict[str, list[Measured]] = {contestant.name: [] for contestant in chosen}
    run_name = token_hex(3)
    with console.status(scenario.title) as status:
        async with _committing(scenario, stack) as committing:
            for number in range(rounds + 1):
                for place, contestant in enumerate(chosen):
                    status.update(f"{scenario.title}: {contestant.name}, round {number} of {rounds}")
                    trial = await scenario.prepare(contestant, f"{run_name}-{number}-{place}", stack.jwt_secret)
                    results[contestant.name].append(await measure(contestant, trial))
                    gc.collect()
                if committing is not None:
                    claims = await committing.measure(scenario.commits, f"{run_name}-{number}")
                    results.setdefault(CEILING, []).append(claims)
    return {name: measured[1:] for name, measured in results.items()}


@asynccontextmanager
async def _committing(scenario: Scenario, stack: Stack) -> AsyncIterator[Ceiling | None]:
    if not scenario.commits:
        yield None
        return
    async with ceiling(stack) as committing:
        yield committing


def _tell(console: Console, measured: Bench) -> None:
    save(measured.name, measured)
    console.print(in_terminal(scenario_grid(measured)))
    for line in notes(measured):
        console.print(line, highlight=False)


async def _draw(scenario: Scenario, contestant: Contestant, stack: Stack, when: Taken) -> None:
    trial = await scenario.prepare(contestant, f"drawn-{token_hex(3)}", stack.jwt_secret)
    save("timeline", await timeline(contestant, trial, stack.postgres_dsn, when))


def _arguments() -> Namespace:
    parser = ArgumentParser()
    parser.add_argument("--scenario", action="append", choices=tuple(SCENARIOS), help="only this one (may be repeated)")
    parser.add_argument("--rounds", type=int, help="of each scenario, instead of its own number")
    parser.add_argument("--frontdoors", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    run(bench, _arguments())

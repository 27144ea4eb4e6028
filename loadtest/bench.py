"""`make bench`: Lastslot and its peers, in turn in the same run, several rounds, medians. A wrong fast run fails.

python -m loadtest.bench [--scenario burst …] [--rounds 5] [--frontdoors 2] [--workers 2]
"""

import gc
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from secrets import token_hex
from statistics import median

import uvloop
from rich.console import Console
from rich.table import Table

from lastslot.running import own_stack
from loadtest.contestants import Contestant, contestants
from loadtest.machine import machine_line
from loadtest.scenarios import SCENARIOS
from loadtest.trial import Measured, Scenario, Wrong, measure

Results = dict[str, list[Measured]]


async def bench(console: Console, given: Namespace) -> None:
    """Run the scenarios that were asked for. Raises Wrong at the first answer that is not what it must be."""
    scenarios = [SCENARIOS[name] for name in given.scenario or SCENARIOS]
    names = {name for scenario in scenarios for name in scenario.contestants}
    async with own_stack("--frontdoors", str(given.frontdoors), "--workers", str(given.workers)) as stack:
        console.print(await machine_line(stack, given.frontdoors, given.workers), highlight=False, soft_wrap=True)
        async with contestants(stack, names, given.frontdoors) as entered:
            for scenario in scenarios:
                chosen = [entered[name] for name in scenario.contestants]
                results = await _rounds(console, scenario, chosen, stack.jwt_secret, given.rounds)
                console.print(_table(scenario, results, given.rounds))
                for line in _meter_lines(results["lastslot"]):
                    console.print(line, highlight=False)


async def _rounds(console: Console, scenario: Scenario, chosen: Sequence[Contestant], secret: str, rounds: int) -> Results:
    """Every contestant once a round; the first round warms everything up and is thrown away."""
    results: Results = {contestant.name: [] for contestant in chosen}
    run = token_hex(3)
    with console.status(scenario.title) as status:
        for number in range(rounds + 1):
            for place, contestant in enumerate(chosen):
                status.update(f"{scenario.title}: {contestant.name}, round {number} of {rounds}")
                trial = await scenario.prepare(contestant, f"{run}-{number}-{place}", secret)
                measured = await measure(contestant, trial)
                if number:
                    results[contestant.name].append(measured)
                gc.collect()
    return results


def _table(scenario: Scenario, results: Results, rounds: int) -> Table:
    table = Table(title=f"\n{scenario.title} (medians of {rounds})", title_justify="left", title_style="bold")
    table.add_column(scenario.name)
    for column in ("seconds", "per second", "p50 ms", "p99 ms", "time × bare", "p99 × bare", "lastslot faster ×", "client µs"):
        table.add_column(column, justify="right")
    bare, lastslot = results["bare"], results["lastslot"]
    for name, measured in results.items():
        table.add_row(
            name,
            f"{median(m.seconds for m in measured):.3f}",
            f"{median(m.per_second for m in measured):,.0f}",
            f"{median(m.p50 for m in measured) * 1e3:.1f}",
            f"{median(m.p99 for m in measured) * 1e3:.1f}",
            f"{_ratio(measured, bare):.2f}",
            f"{median(m.p99 / b.p99 for m, b in zip(measured, bare, strict=True)):.2f}",
            f"{_ratio(measured, lastslot):.2f}",
            f"{median(m.client_us for m in measured):.0f}",
        )
    return table


def _ratio(measured: list[Measured], other: list[Measured]) -> float:
    """Times as long as the other, round by round, for the machine's mood changes between rounds."""
    return median(m.seconds / o.seconds for m, o in zip(measured, other, strict=True))


def _meter_lines(measured: list[Measured]) -> list[str]:
    """How much was shared: what one script call and one commit carried."""

    def total(name: str) -> float:
        return sum(m.meters.get(f"lastslot_{name}_total", 0.0) for m in measured)

    lines = []
    if total("gate_calls"):
        lines.append(f"gate script calls per 1,000 answers: {total('gate_calls') / total('answers') * 1e3:.1f}")
    if total("commits"):
        lines.append(f"commits per 1,000 claims committed: {total('commits') / total('claims_committed') * 1e3:.1f}")
    return lines


def _arguments() -> Namespace:
    parser = ArgumentParser()
    parser.add_argument("--scenario", action="append", choices=tuple(SCENARIOS), help="only this one (may be repeated)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--frontdoors", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    return parser.parse_args()


def main() -> int:
    # The client's own pauses are not the servers' latency; garbage is collected between the trials.
    gc.disable()
    console = Console(width=max(Console().width, 120))
    try:
        uvloop.run(bench(console, _arguments()))
    except Wrong as wrong:
        console.print(f"[bold red]WRONG:[/] {wrong}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

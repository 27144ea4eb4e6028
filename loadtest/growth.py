"""What is left of the throughput, and what is taken of the machine, when things grow.

python -m loadtest.growth [--only campaigns …] [--rounds 5] [--people 10000] [--codes 10000000] [--redemptions 1000000]

Every round is checked: exactly those won who came, each once. TMPDIR says where the stacks live; ten million codes take 5 GB.
"""

import gc
from argparse import ArgumentParser, Namespace

from rich.console import Console

from loadtest.demands import print_verdicts
from loadtest.figures import growth_grid
from loadtest.grids import in_terminal
from loadtest.growths import GROWTHS
from loadtest.growths.rounds import Size
from loadtest.records import save
from loadtest.running import run


async def growth(console: Console, given: Namespace) -> None:
    """Grow what was asked for. Raises Wrong."""
    size = Size(given.people, given.rounds, given.codes, given.redemptions, given.within_s)
    chosen = given.only or list(GROWTHS)
    for name in chosen:
        with console.status(f"growing {name}"):
            grown = await GROWTHS[name](size)
        save(f"growth-{name}", grown)
        console.print(grown.taken.machine, highlight=False, soft_wrap=True)
        console.print(in_terminal(growth_grid(grown)))
        gc.collect()
    print_verdicts(console, [f"growth-{name}" for name in chosen])


def _arguments() -> Namespace:
    parser = ArgumentParser()
    parser.add_argument("--only", action="append", choices=tuple(GROWTHS), help="only this (may be repeated)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--people", type=int, default=10_000)
    parser.add_argument("--codes", type=int, default=10**7, help="codes in the end")
    parser.add_argument("--redemptions", type=int, default=10**6, help="redemptions in the fullest campaign")
    parser.add_argument("--within-s", type=float, default=900.0, help="give up minting codes after so many seconds")
    return parser.parse_args()


if __name__ == "__main__":
    run(growth, _arguments())

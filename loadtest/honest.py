"""What honest shoppers notice of guessers and of people who only stand in the door.

    python -m loadtest.honest [--rate 20] [--seconds 10] [--rounds 3]

Shoppers come at random moments (Poisson, seeded), look at a code and redeem it, each as a user of their own; latency counts
from the moment at which each call was due. In turn, round after round: undisturbed; while bots guess codes at a hundred times
that rate from other addresses and as other users; and while 10,000 sockets are silent, or say their request a byte at a time.
With rate limits, as they are by default. Nobody honest may fail, and p99 may be 1.2 times what it is undisturbed.
"""

import asyncio
import gc
import sys
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from random import Random
from secrets import token_hex

import msgspec
import uvloop
from rich.console import Console
from rich.table import Table

from lastslot.crowd import open_campaign
from lastslot.running import Stack, address, own_stack
from loadtest.machine import machine_line
from loadtest.pacer import Replied, pace, poisson
from loadtest.spread import at_percent
from loadtest.trial import redeems, validates

BOTS_FOR_EACH = 100
SILENT = 10_000
WORSE_AT_MOST = 1.2
CONNECTIONS = 64

#: Starts what disturbs, for as long as it is entered; gives what came of it so far when it is left.
Disturbance = Callable[[Stack, Namespace], AbstractAsyncContextManager[Counter[str]]]


class Felt(msgspec.Struct):
    """What honest shoppers felt under one disturbance, over all rounds. `seconds`: latencies of those who were served."""

    seconds: list[float]
    failed: int = 0
    heard: Counter[str] = msgspec.field(default_factory=Counter)


@asynccontextmanager
async def undisturbed(stack: Stack, given: Namespace) -> AsyncIterator[Counter[str]]:
    """Nobody else is there."""
    yield Counter()


@asynccontextmanager
async def guessed(stack: Stack, given: Namespace) -> AsyncIterator[Counter[str]]:
    """Bots guess."""
    heard: Counter[str] = Counter()
    rate = 2 * given.rate * BOTS_FOR_EACH
    async with _besieged(stack, "bots", stack.jwt_secret, str(rate), str(given.seconds)) as bots:
        _tell(bots, b"go\n")
        yield heard
        heard.update(msgspec.json.decode(await _line(bots), type=dict[str, int]))


@asynccontextmanager
async def crowded(stack: Stack, given: Namespace) -> AsyncIterator[Counter[str]]:
    """Sockets stand in the door."""
    async with _besieged(stack, "silent", str(given.silent)):
        yield Counter()


DISTURBANCES: Mapping[str, Disturbance] = {"undisturbed": undisturbed, "bots guess": guessed, "sockets are silent": crowded}


async def honest(console: Console, given: Namespace) -> bool:
    """Measure; whether all is as it must be."""
    felt = {name: Felt([]) for name in DISTURBANCES}
    dice = Random(given.seed)
    async with own_stack("--frontdoors", str(given.frontdoors), "--workers", str(given.workers)) as stack:
        console.print(await machine_line(stack, given.frontdoors, given.workers), highlight=False, soft_wrap=True)
        await _shop(stack, poisson(given.rate, 2.0, dice))
        for _ in range(given.rounds):
            due = poisson(given.rate, given.seconds, dice)
            for name, disturb in DISTURBANCES.items():
                async with disturb(stack, given) as heard:
                    replied = await _shop(stack, due)
                felt[name].heard.update(heard)
                _feel(felt[name], replied)
                gc.collect()
    console.print(_table(felt, given))
    return _as_it_must_be(felt)


async def _shop(stack: Stack, due: Sequence[float]) -> Replied:
    """Everyone looks at a code, and redeems it a moment later."""
    named = token_hex(4)
    code = f"HONEST-{named}".upper()
    await open_campaign(stack, code, None)
    looks, takes = (kind(stack.jwt_secret, code, len(due), named) for kind in (validates, redeems))
    calls = sorted([*zip(due, looks, strict=True), *((at + 0.05, take) for at, take in zip(due, takes, strict=True))])
    _, port = address(stack.base_url)
    return await asyncio.to_thread(pace, port, [call for _, call in calls], [at for at, _ in calls], CONNECTIONS)


def _feel(felt: Felt, replied: Replied) -> None:
    served = [status in (200, 201) for status in replied.statuses]
    felt.failed += served.count(False)
    felt.seconds += [seconds for seconds, well in zip(replied.seconds, served, strict=True) if well]


@asynccontextmanager
async def _besieged(stack: Stack, *words: str) -> AsyncIterator[asyncio.subprocess.Process]:
    _, port = address(stack.base_url)
    kind, *given = words
    pipe = asyncio.subprocess.PIPE
    arguments = ("-m", "loadtest.siege", kind, str(port), *given)
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdin=pipe, stdout=pipe)
    try:
        if await _line(process) != b"ready\n":
            raise RuntimeError(f"no {kind} came")
        yield process
        _tell(process, None)
        await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _line(process: asyncio.subprocess.Process) -> bytes:
    return b"" if process.stdout is None else await process.stdout.readline()


def _tell(process: asyncio.subprocess.Process, line: bytes | None) -> None:
    """Say a line; None: that there is no more to be said."""
    if process.stdin is None:
        return
    if line is None:
        process.stdin.close()
    else:
        process.stdin.write(line)


def _table(felt: Mapping[str, Felt], given: Namespace) -> Table:
    calls, bots = 2 * given.rate, 2 * given.rate * BOTS_FOR_EACH
    title = f"{calls} honest calls a second, {bots:,} guesses a second, {given.silent:,} sockets"
    table = Table(title=f"\n{title}; {given.rounds} rounds of {given.seconds:g} s", title_justify="left", title_style="bold")
    table.add_column("honest shoppers, while")
    for column in ("calls", "failed", "p50 ms", "p99 ms", "p99 × undisturbed", "the others heard"):
        table.add_column(column, justify="right")
    for name, each in felt.items():
        ordered = sorted(each.seconds)
        said = ", ".join(f"{status} × {count:,}" for status, count in sorted(each.heard.items()))
        p50, p99 = (f"{at_percent(ordered, percent) * 1e3:.1f}" for percent in (50, 99))
        table.add_row(name, f"{len(ordered):,}", str(each.failed), p50, p99, f"{_worse(each, felt):.2f}", said)
    return table


def _worse(each: Felt, felt: Mapping[str, Felt]) -> float:
    return at_percent(sorted(each.seconds), 99) / at_percent(sorted(felt["undisturbed"].seconds), 99)


def _as_it_must_be(felt: Mapping[str, Felt]) -> bool:
    return all(not each.failed and _worse(each, felt) <= WORSE_AT_MOST for each in felt.values())


def _arguments() -> Namespace:
    parser = ArgumentParser()
    parser.add_argument("--rate", type=int, default=20, help="shoppers a second, who make two calls each")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--silent", type=int, default=SILENT)
    parser.add_argument("--frontdoors", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def main() -> int:
    gc.disable()
    console = Console(width=max(Console().width, 120))
    return 0 if uvloop.run(honest(console, _arguments())) else 1


if __name__ == "__main__":
    sys.exit(main())

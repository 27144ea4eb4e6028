"""How every benchmark runs: with no pauses of its own, on stacks as they are shipped, and failing when wrong."""

import gc
import sys
from argparse import Namespace
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

import uvloop
from rich.console import Console

from loadtest.trial import Wrong

Benchmark: TypeAlias = Callable[[Console, Namespace], Coroutine[Any, Any, None]]


def run(benchmark: Benchmark, given: Namespace) -> None:
    """Run it to its end, and the process with it: exit code 1 when something was answered, or written, wrongly."""
    # The client's own pauses are not the servers' latency; garbage is collected between the trials.
    gc.disable()
    console = Console(width=max(Console().width, 140))
    try:
        uvloop.run(benchmark(console, given))
    except Wrong as wrong:
        console.print(f"[bold red]WRONG:[/] {wrong}")
        sys.exit(1)

"""What the processes of a stack take of the machine, by kind: CPU and memory, read from the kernel."""

from collections import defaultdict
from collections.abc import Mapping

import msgspec
import psutil

KINDS = ("frontdoor", "worker", "jobs", "postgres", "redis")


class Taking(msgspec.Struct, frozen=True):
    """CPU seconds so far of all processes of a kind; memory in MB of the largest one.

    `pss_mb` counts a page that several processes share once, in parts; `rss_mb` counts it in each of them.
    """

    cpu_s: float
    pss_mb: float
    rss_mb: float


def takings() -> Mapping[str, Taking]:
    """Of every kind of process that was started from here, at any remove."""
    found: defaultdict[str, list[Taking]] = defaultdict(list)
    for process in psutil.Process().children(recursive=True):
        try:
            kind = _kind(process.cmdline())
            if kind is not None:
                found[kind].append(_taking(process))
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue  # it ended, as Postgres's processes do, or is another's
    return {
        kind: Taking(sum(one.cpu_s for one in each), max(one.pss_mb for one in each), max(one.rss_mb for one in each))
        for kind, each in found.items()
    }


def memory_mb() -> dict[str, float]:
    """MB (PSS) of the largest front door and of the largest worker."""
    return {kind: taking.pss_mb for kind, taking in takings().items() if kind in ("frontdoor", "worker")}


def _taking(process: psutil.Process) -> Taking:
    spent, memory = process.cpu_times(), process.memory_full_info()
    return Taking(spent.user + spent.system, memory.pss / 2**20, memory.rss / 2**20)


def _kind(command: list[str]) -> str | None:
    """Of a command line: `python -m lastslot worker`, `…/redis-server …`, `postgres: walwriter`."""
    if command[1:3] == ["-m", "lastslot"]:
        return command[3] if command[3] in KINDS else None
    server = command[0].rpartition("/")[2] if command else ""
    return next((kind for kind in ("postgres", "redis") if server.startswith(kind)), None)

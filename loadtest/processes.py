"""What the processes of a stack take of the machine, by kind: CPU and memory, read from the kernel."""

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import msgspec
import psutil

KINDS = ("frontdoor", "worker", "jobs", "postgres", "redis")


class Taking(msgspec.Struct, frozen=True):
    """CPU seconds so far of all processes of a kind; memory in MB of the largest one.

    `pss_mb`, now: a page that several processes share counts in parts. `peak_mb`, ever: there it counts in each of them.
    """

    cpu_s: float
    pss_mb: float
    peak_mb: float


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
        kind: Taking(sum(one.cpu_s for one in each), max(one.pss_mb for one in each), max(one.peak_mb for one in each))
        for kind, each in found.items()
    }


def memory_mb() -> dict[str, float]:
    """MB (PSS) of the largest front door and of the largest worker."""
    return {kind: taking.pss_mb for kind, taking in takings().items() if kind in ("frontdoor", "worker")}


def _taking(process: psutil.Process) -> Taking:
    spent = process.cpu_times()
    return Taking(spent.user + spent.system, process.memory_full_info().pss / 2**20, _peak_mb(process.pid))


def _peak_mb(process: int) -> float:
    """The most that was ever resident; 0 for a process that is gone."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0.0
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


def _kind(command: list[str]) -> str | None:
    """Of a command line: `python -m lastslot worker`, `…/redis-server …`, `postgres: walwriter`."""
    if command[1:3] == ["-m", "lastslot"]:
        return command[3] if command[3] in KINDS else None
    server = command[0].rpartition("/")[2] if command else ""
    return next((kind for kind in ("postgres", "redis") if server.startswith(kind)), None)

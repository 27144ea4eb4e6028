"""Front doors that share one snapshot of codes: how soon they are ready, and what memory they take together."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
import psutil

from lastslot.ports import free_port

_READY_WITHIN_S = 120.0
_MIB = 2**20


class StartedDoor(msgspec.Struct):
    """A front door process, and after how many seconds it answered at all, and was ready."""

    pid: int
    url: str
    heard_s: float = 0.0
    ready_s: float = 0.0


@contextmanager
def doors(count: int, stores: tuple[str, str], directory: Path) -> Iterator[list[StartedDoor]]:
    """So many front doors, started at once and ready; stopped afterwards."""
    with ExitStack() as stack:
        began = time.monotonic()
        # All on one port for administrators, as a machine's front doors are.
        admin_port = free_port()
        started = [stack.enter_context(_door(stores, directory, admin_port)) for _ in range(count)]
        while waiting := [each for each in started if not each.ready_s]:
            if time.monotonic() - began > _READY_WITHIN_S:
                raise SystemExit("the front doors are not ready")
            for each in waiting:
                _look_at(each, began)
            time.sleep(0.01)
        yield started


@contextmanager
def _door(stores: tuple[str, str], directory: Path, admin_port: int) -> Iterator[StartedDoor]:
    port = free_port()
    environment = {
        "LASTSLOT_POSTGRES_DSN": stores[0],
        "LASTSLOT_REDIS_URL": stores[1],
        "LASTSLOT_JWT_SECRET": "only-for-load-tests" * 2,
        "LASTSLOT_PORT": str(port),
        "LASTSLOT_ADMIN_PORT": str(admin_port),
        "LASTSLOT_FILTER_DIR": str(directory),
        "LASTSLOT_LOG_LEVEL": "warning",
    }
    process = subprocess.Popen([sys.executable, "-m", "lastslot", "frontdoor"], env={**os.environ, **environment})
    try:
        yield StartedDoor(process.pid, f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait()


def _look_at(door: StartedDoor, began: float) -> None:
    try:
        with urllib.request.urlopen(f"{door.url}/readyz", timeout=5):
            door.ready_s = time.monotonic() - began
    except urllib.error.HTTPError:
        pass
    except OSError:
        return
    door.heard_s = door.heard_s or time.monotonic() - began


def shared_memory(started: Sequence[StartedDoor], file: Path) -> str:
    """What the processes take: each page counted once (Pss), and once a process (Rss); of it the file."""
    processes = [psutil.Process(door.pid) for door in started]
    whole = [process.memory_full_info() for process in processes]
    mapped = [area for process in processes for area in process.memory_maps() if area.path == str(file)]
    return (
        f"memory    {len(started)} front doors: the file of {file.stat().st_size / _MIB:.1f} MiB takes "
        f"{sum(area.pss for area in mapped) / _MIB:.1f} MiB (Pss) of all together, and would look like "
        f"{sum(area.rss for area in mapped) / _MIB:.1f} (Rss); in all {sum(each.pss for each in whole) / _MIB:.0f} MiB Pss, "
        f"{sum(each.rss for each in whole) / _MIB:.0f} Rss"
    )

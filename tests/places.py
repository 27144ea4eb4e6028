"""Where servers of tests keep their data."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: How much memory must be left for servers to be kept in it; a session's take a tenth of that.
_ROOMY_BYTES = 4 * 2**30


@contextmanager
def directory_for_servers() -> Iterator[Path]:
    """Not below pytest's own, which it closes to others: as root, Postgres runs as another account and must pass through.

    In memory where there is plenty: databases are made again and again, and a slow disk would take most of the time.
    """
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > _ROOMY_BYTES
    directory = Path(tempfile.mkdtemp(prefix="lastslot-tests-", dir=memory if roomy else None))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)

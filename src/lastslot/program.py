"""A program that is run as a child: what to start, as whom, and how it is asked to stop.

A child gets a session of its own, so that Ctrl-C in the terminal reaches only us and we stop things in order. It is also tied
to our life: were we killed with no chance to stop anything, the kernel would signal it in our place (Linux).
"""

import ctypes
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """One child process as it is to be started; `environment` is added to ours, and `log` receives what it prints.

    It hears `stop_signal` to stop in order, `insist_signal` when that took too long, `orphan_signal` when we died.
    """

    name: str
    argv: tuple[str, ...]
    log: Path
    environment: Mapping[str, str] = msgspec.field(default_factory=dict)
    account: str | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    insist_signal: signal.Signals = signal.SIGKILL
    orphan_signal: signal.Signals = signal.SIGKILL

    def options(self) -> dict[str, Any]:
        """How to start it, in the words that `subprocess` and `asyncio` share, but for where its output goes."""
        return {
            "stdin": subprocess.DEVNULL,
            "start_new_session": True,
            "env": {**os.environ, **self.environment},
            "preexec_fn": _tether(self.orphan_signal),
            **_identity(self.account),
        }

    def last_words(self) -> str:
        """The end of its log."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-8:])


def _identity(account: str | None) -> dict[str, Any]:
    if account is None:
        return {}
    entry = pwd.getpwnam(account)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _tether(orphan_signal: signal.Signals) -> Callable[[], None] | None:
    if _LIBC is None:
        return None
    libc, parent = _LIBC, os.getpid()

    def tie_to_parent() -> None:
        # Runs after the change of user, which would undo it. A parent that died in between is seen by its number.
        libc.prctl(_PR_SET_PDEATHSIG, int(orphan_signal), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return tie_to_parent

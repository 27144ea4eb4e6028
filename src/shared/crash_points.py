"""Points at which a process can be told to die, so that it can be shown what its death there costs.

A killed process runs no handler and flushes nothing, so this is what a power cut at that line would be. Where nothing is
armed, which is everywhere but in tests, passing a point is one look at an empty dict, once a batch.
"""

import os
import signal

from shared.errors import SettingInvalid

#: What is true where a process dies. F: front door, M: one that moves a campaign, W: worker. What is missing between them is
#: a reply that was lost: no line of ours runs there, and a proxy makes it (F2: the gate's, F4: the door's own, W4: that
#: to COMMIT).
POINTS = {
    "F1": "before the gate is asked",
    "F3": "admitted, and nobody waits",
    "M1": "a campaign held, and not moved",
    "M2": "moved, and nobody told",
    "W0": "lease won, nothing read",
    "W1": "read, no transaction",
    "W2": "fence held",
    "W3": "rows inserted, before COMMIT",
    "W5": "committed, nobody told",
    "W6": "outcomes on their way, no gate settled",
    "W7": "outcomes published, mailbox perhaps not trimmed",
    "W8": "lease renewed, not known to be",
    "W9": "a gate half rebuilt",
}

_left: dict[str, int] = {}


def arm(told: str | None) -> None:
    """Die at the point `told`: `W3` when it is first reached, `W3:5` at the fifth time. None: nowhere.

    Raises SettingInvalid when there is no such point.
    """
    _left.clear()
    if told is None:
        return
    label, _, times = told.partition(":")
    if label not in POINTS:
        raise SettingInvalid(f"LASTSLOT_CRASH_AT: there is no point {label}, but {', '.join(POINTS)}")
    _left[label] = int(times or 1)


def crash_point(label: str) -> None:
    """Die here if told to."""
    if not _left or label not in _left:
        return
    _left[label] -= 1
    if _left[label] == 0:
        os.kill(os.getpid(), signal.SIGKILL)

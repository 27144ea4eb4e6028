"""The connections of a door: how many one address (of IPv6: one /64) may have, and how long one may keep it waiting.

aiohttp has a deadline for idle connections only: a socket that sends half a request line, or reads none of its answers, would
stay for ever. A timer each would cost every request; a look at all of them once a second costs those who wait. The look takes
that second, a few at a time: those who came together are overdue together, and who is shown out may stand there again at once.
"""

import asyncio
from collections import Counter
from typing import Protocol

from shared.domain.limits import Subject, of_address

#: How long the head of a request may take from its first byte to its last, and then its body, at the wicket.
HEAD_WITHIN_S = 10.0
#: How long an answer may lie unread.
READ_WITHIN_S = 30.0

_LOOK_EVERY_S = 1.0
#: To look at so many, to tell each that it is overdue, and to let as many in again, holds the loop for some two milliseconds.
_AT_A_TIME = 25


class Connection(Protocol):
    """One of them, as far as it can be overdue. `begun_at`: when a request of it began that is not whole yet, or 0.

    `unread_since`: since when its other side has not been reading what it was sent, or 0; the looks set it.
    """

    ip: str
    begun_at: float
    unread_since: float

    def is_unread(self) -> bool:
        """Whether what it was sent waits for the other side."""

    def end_if_silent(self, now: float) -> None:
        """End without a word when nothing has been asked for too long."""

    def tell_overdue(self) -> None:
        """Say that the request did not come in time, and end."""

    def abort(self) -> None:
        """End without a word."""


class Connections:
    """Those of one port in one process. At most `per_ip` (0: any number) come from one address, or one /64."""

    def __init__(self, per_ip: int) -> None:
        self._per_ip = per_ip
        self._of: Counter[Subject] = Counter()
        self._open: set[Connection] = set()
        self._next_look: asyncio.Handle | None = None

    def admits(self, connection: Connection) -> bool:
        """Take it in, unless its address has as many as it may."""
        line = of_address(connection.ip)
        if self._per_ip and self._of[line] >= self._per_ip:
            return False
        self._of[line] += 1
        self._open.add(connection)
        if self._next_look is None:
            self._look_later([], _LOOK_EVERY_S)
        return True

    def left(self, connection: Connection) -> None:
        """Forget it."""
        if connection not in self._open:
            return
        self._open.discard(connection)
        line = of_address(connection.ip)
        self._of[line] -= 1
        if not self._of[line]:
            del self._of[line]

    def _look_later(self, left: list[Connection], pause_s: float) -> None:
        self._next_look = asyncio.get_running_loop().call_later(pause_s, self._look, left, pause_s)

    def _look(self, left: list[Connection], pause_s: float) -> None:
        """End those of the next few that are overdue; others are served in between, however many came to be so at once."""
        self._next_look = None
        if not left:
            left = list(self._open)
            pause_s = _LOOK_EVERY_S / max(1, -(-len(left) // _AT_A_TIME))
        now = asyncio.get_running_loop().time()
        for connection in left[-_AT_A_TIME:]:
            if connection in self._open:
                _judge(connection, now)
        del left[-_AT_A_TIME:]
        if left or self._open:
            self._look_later(left, pause_s)


def _judge(connection: Connection, now: float) -> None:
    if not connection.is_unread():
        connection.unread_since = 0.0
    elif not connection.unread_since:
        connection.unread_since = now
    elif now - connection.unread_since > READ_WITHIN_S:
        connection.abort()
    if not connection.begun_at:
        connection.end_if_silent(now)
    elif now - connection.begun_at > HEAD_WITHIN_S:
        connection.tell_overdue()

"""Every code that was issued up to a position of the code log, as filters: a snapshot, if there is one, and what came since."""

import asyncio
from uuid import UUID

from shared.domain.code import Code
from shared.domain.code_filter import CodeFilter, shape_for, words_of
from shared.errors import LastslotError
from shared.filter_file import Snapshot
from shared.postgres import Pool, for_a_look
from shared.statements import statement

#: Codes read and added at a time: the loop is held for a few milliseconds.
PAGE = 1_500

#: A filter for codes that come later has at least so much room, and at least twice as much as the last.
_ROOM = 200_000


class LogLost(LastslotError):
    """The code log is not the one that was read so far: the database was restored, or is another."""


class IssuedCodes:
    """Codes, and how far in the log they go: to `position`, whose mark is `mark`. Before anything was read: nowhere.

    `mapped` codes are in the snapshot, `added` ones were read from the log.
    """

    def __init__(self, snapshot: Snapshot | None = None) -> None:
        self.position = -1 if snapshot is None else snapshot.position
        self.mark: UUID | None = None if snapshot is None else snapshot.mark
        self.mapped = 0 if snapshot is None else snapshot.codes.count
        self.added = 0
        self._filters = [] if snapshot is None else [snapshot.codes]
        self._overlay: CodeFilter | None = None

    def lack(self, code: Code) -> bool:
        """Whether the code is certainly not among them."""
        words = words_of(code)
        return not any(each.holds(words) for each in self._filters)

    async def catch_up(self, pool: Pool) -> bool:
        """Read the log to its end; whether there was anything to read. Raises LogLost, and what NO_ANSWER names."""
        async with for_a_look(pool) as connection:
            since = await connection.fetchrow(statement("codes_since"), self.position, self.mark)
        if since is None:
            raise LogLost
        if since["position"] == self.position:
            return False
        added, filters, overlay = self.added, len(self._filters), self._overlay
        held = 0 if overlay is None else overlay.count
        try:
            await self._read(pool, since["first_code_id"], since["last_code_id"])
        except BaseException:
            # They are read again from the first on, and must not be given room again each time.
            self.added, self._overlay = added, overlay
            del self._filters[filters:]
            if overlay is not None:
                overlay.count = held
            raise
        self.position, self.mark = since["position"], since["mark"]
        return True

    async def _read(self, pool: Pool, first: int, last: int) -> None:
        expected, before = last - first + 1, first - 1
        while before < last:
            async with for_a_look(pool) as connection:
                page = await connection.fetch(statement("codes_between"), before, last, PAGE)
            if not page:
                return
            self._with_room_for(max(expected, len(page))).add([row["code"].encode() for row in page])
            self.added += len(page)
            expected, before = expected - len(page), page[-1]["code_id"]
            await asyncio.sleep(0)

    def _with_room_for(self, codes: int) -> CodeFilter:
        """The newest filter of our own, if so many more go into it, or another."""
        newest = self._overlay
        if newest is None or newest.count + codes > newest.shape.capacity:
            twice = 0 if newest is None else 2 * newest.shape.capacity
            newest = self._overlay = CodeFilter(shape_for(max(codes, _ROOM, twice)))
            self._filters.append(newest)
        return newest

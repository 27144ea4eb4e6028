"""Every code that was issued up to a position of the code log, as filters: of the beginning, and of what came since."""

import asyncio
from uuid import UUID

from shared.domain.code import Code
from shared.domain.code_filter import CodeFilter, shape_for, words_of
from shared.errors import LastslotError
from shared.postgres import Pool, for_a_look
from shared.statements import statement

#: Codes read and added at a time: the loop is held for a few milliseconds.
PAGE = 1_500

#: Filters for codes that come later have at least so much room, and then twice as much as the last.
_ROOM = 200_000


class LogLost(LastslotError):
    """The code log is not the one that was read so far: the database was restored, or is another."""


class IssuedCodes:
    """Codes, and how far in the log they go: to `position`, whose mark is `mark`. Before anything was read: nowhere."""

    def __init__(self) -> None:
        self.position = -1
        self.mark: UUID | None = None
        self.added = 0
        self._filters: list[CodeFilter] = []

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
        await self._read(pool, since["first_code_id"], since["last_code_id"])
        self.position, self.mark = since["position"], since["mark"]
        return True

    async def _read(self, pool: Pool, first: int, last: int) -> None:
        self._make_room(last - first + 1)
        before = first - 1
        while before < last:
            async with for_a_look(pool) as connection:
                page = await connection.fetch(statement("codes_between"), before, last, PAGE)
            if not page:
                return
            self._add([row["code"].encode() for row in page])
            before = page[-1]["code_id"]
            await asyncio.sleep(0)

    def _make_room(self, codes: int) -> None:
        newest = self._filters[-1] if self._filters else None
        room = 0 if newest is None else newest.shape.capacity - newest.count
        if codes > room:
            twice = 0 if newest is None else 2 * newest.shape.capacity
            self._filters.append(CodeFilter(shape_for(max(codes, _ROOM, twice))))

    def _add(self, codes: list[bytes]) -> None:
        self._make_room(len(codes))
        self._filters[-1].add(codes)
        self.added += len(codes)

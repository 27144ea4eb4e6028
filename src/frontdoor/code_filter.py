"""Which codes a front door knows not to exist, without asking anybody.

It maps the machine's snapshot, if there is one, and follows the code log from there: Redis rings the bell, and Postgres is
asked twice a second in any case. Whoever adds codes waits until every door has said that it has read of them (see
`shared.code_log`). So a door may only answer for what is lacking while it is waited for, and it trusts in that like in a lease:
counted from before it said so, less a margin. What it had not read by the time its name was down it reads before it trusts. A
door that cannot say, or is busy reading, looks codes up as if it had no filter.
"""

import asyncio
import contextlib
from pathlib import Path

import asyncpg
import structlog

from frontdoor.issued_codes import IssuedCodes, LogLost
from shared import clock, filter_file, metrics
from shared.code_log import TTL_S
from shared.domain.code import Code
from shared.domain.filter_growth import late_from
from shared.domain.ids import DoorId
from shared.domain.lease import trusted_until
from shared.filter_file import Identity, SnapshotRefused
from shared.postgres import NO_ANSWER, Pool, for_a_look
from shared.statements import statement

EVERY_S = 0.5
_PAUSE_S = 0.2
_NEVER = float("-inf")

log = structlog.get_logger()


class CodeFilter:
    """What one door knows of all codes. `keep_following` has to be running while it is used.

    `directory`: where this machine's snapshots are; without one all of the log is read.
    """

    def __init__(self, door_id: DoorId, pool: Pool, directory: str | None = None) -> None:
        self._door_id = door_id
        self._pool = pool
        self._directory = None if directory is None else Path(directory)
        self._seen: Identity | None = None
        self._issued = IssuedCodes()
        self._trusted_until = _NEVER
        self._bell = asyncio.Event()
        self._late = False

    @property
    def trusted(self) -> bool:
        """Whether it may answer for codes that do not exist."""
        return clock.monotonic() < self._trusted_until

    def lacks(self, code: Code) -> bool:
        """Whether there is certainly no such code; False when there may be, or when that is not known now."""
        lacking = self.trusted and self._issued.lack(code)
        if lacking:
            metrics.FILTER_MISSES.add()
        return lacking

    def hear(self, message: bytes = b"") -> None:
        """There may be something new in the log."""
        self._bell.set()

    async def keep_following(self) -> None:
        """Read the log and say how far, until cancelled, through any failure of the stores."""
        try:
            while True:
                await self._follow()
        finally:
            self._trusted_until = _NEVER

    async def leave(self) -> None:
        """Have nobody wait for this door any more, which has stopped following."""
        try:
            async with for_a_look(self._pool) as connection:
                await connection.execute(statement("door_farewell"), self._door_id)
        except (asyncpg.PostgresError, *NO_ANSWER) as error:
            log.warning("door_still_waited_for", error=repr(error), for_s=TTL_S)

    async def _follow(self) -> None:
        self._bell.clear()
        try:
            news = await self._turn()
        except LogLost as error:
            log.error("code_log_lost", position=self._issued.position, error=str(error))
            self._trusted_until, self._issued, self._seen = _NEVER, IssuedCodes(), None
        except (asyncpg.PostgresError, *NO_ANSWER) as error:
            log.warning("code_log_not_read", error=repr(error))
            # Codes that exist cannot be looked up either: who heard of the others that they do not would know which are which.
            self._trusted_until = _NEVER
            await asyncio.sleep(_PAUSE_S)
        else:
            if not news:
                await self._rung(EVERY_S)
        self._tell()

    async def _turn(self) -> bool:
        """Read; say how far, and for how long to wait for us; read what came meanwhile; trust. Whether anything did come."""
        await self._look_for_snapshot()
        await self._issued.catch_up(self._pool)
        began = clock.monotonic()
        await self._say_seen()
        news = await self._issued.catch_up(self._pool)
        self._trusted_until = trusted_until(began, TTL_S)
        return news

    async def _say_seen(self) -> None:
        async with for_a_look(self._pool) as connection:
            said = await connection.fetchval(
                statement("seen_door"), self._door_id, self._issued.position, self._issued.mark, TTL_S
            )
        if said is None:
            raise LogLost

    async def _look_for_snapshot(self) -> None:
        """Go on from a snapshot that is new, once what came since is added to it; one that is refused is looked at once."""
        if self._directory is None or (there := filter_file.identity(self._directory)) == self._seen:
            return
        if there is not None and (issued := await self._mapped(self._directory)) is not None:
            self._issued = issued
            log.info("filter_snapshot_mapped", codes=issued.mapped, added=issued.added, position=issued.position)
        self._seen = there

    async def _mapped(self, directory: Path) -> IssuedCodes | None:
        try:
            issued = IssuedCodes(await asyncio.to_thread(filter_file.load, directory))
        except (SnapshotRefused, OSError) as error:
            log.error("filter_snapshot_refused", directory=str(directory), error=str(error))
            return None
        try:
            await issued.catch_up(self._pool)
        except LogLost as error:
            log.error("filter_snapshot_refused", directory=str(directory), error=str(error))
            return None
        return issued

    async def _rung(self, within_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._bell.wait(), within_s)

    def _tell(self) -> None:
        """Show how it stands; that another snapshot is overdue is said once."""
        issued = self._issued
        late = self._directory is not None and issued.added > late_from(issued.mapped)
        if late and not self._late:
            log.error("filter_snapshot_late", mapped=issued.mapped, added=issued.added, directory=str(self._directory))
        self._late = late
        metrics.FILTER_DOORS.set(self.trusted)
        metrics.FILTER_SNAPSHOT_CODES.set(issued.mapped)
        metrics.FILTER_OVERLAY_CODES.set(issued.added)
        metrics.FILTER_LATE.set(late)

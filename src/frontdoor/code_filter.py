"""Which codes a front door knows not to exist, without asking anybody.

It follows the code log: Redis rings the bell, and Postgres is asked twice a second in any case. Whoever adds codes waits until
every door has said that it has read of them (see `shared.code_log`). So a door may only answer for what is lacking while it is
waited for, and it trusts in that like in a lease: counted from before it said so, less a margin. What it had not read by the
time its name was down it reads before it trusts. A door that cannot say, or is busy reading, looks
codes up as if it had no filter.
"""

import asyncio
import contextlib

import asyncpg
import structlog

from frontdoor.issued_codes import IssuedCodes, LogLost
from shared import clock, metrics
from shared.domain.code import Code
from shared.domain.ids import DoorId
from shared.domain.lease import trusted_until
from shared.postgres import NO_ANSWER, Pool, for_a_look
from shared.statements import statement

#: For how long those who add codes wait for a door that is silent.
TTL_S = 2.5
EVERY_S = 0.5
_PAUSE_S = 0.2

log = structlog.get_logger()


class CodeFilter:
    """What one door knows of all codes. `keep_following` has to be running while it is used."""

    def __init__(self, door_id: DoorId, pool: Pool) -> None:
        self._door_id = door_id
        self._pool = pool
        self._issued = IssuedCodes()
        self._trusted_until = float("-inf")
        self._bell = asyncio.Event()

    @property
    def trusted(self) -> bool:
        """Whether it may answer for codes that do not exist."""
        return clock.monotonic() < self._trusted_until

    def lacks(self, code: Code) -> bool:
        """Whether there is certainly no such code; False when there may be, or when that is not known now."""
        return self.trusted and self._issued.lack(code)

    def hear(self, message: bytes = b"") -> None:
        """There may be something new in the log."""
        self._bell.set()

    async def keep_following(self) -> None:
        """Read the log and say how far, until cancelled, through any failure of the stores."""
        try:
            while True:
                await self._follow()
        finally:
            self._trusted_until = float("-inf")

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
            self._trusted_until, self._issued = float("-inf"), IssuedCodes()
        except (asyncpg.PostgresError, *NO_ANSWER) as error:
            log.warning("code_log_not_read", error=repr(error))
            await asyncio.sleep(_PAUSE_S)
        else:
            metrics.FILTER_OVERLAY_CODES.set(self._issued.added)
            if not news:
                await self._rung(EVERY_S)

    async def _turn(self) -> bool:
        """Say how far the log was read, and for how long to wait for us; read on; trust. Whether there was anything to read."""
        if not self.trusted:
            # Nobody needs to wait while we have much to read.
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

    async def _rung(self, within_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._bell.wait(), within_s)

"""Keeping the keys of an issuer as they are published: read from a file or a URL at the start, and again as the door serves.

A set that cannot be read changes nothing: the keys of before stay, and it is tried again. A set that was read counts whole:
what is not in it any more is not accepted any more.
"""

import asyncio
from math import inf
from pathlib import Path
from typing import Protocol

import aiohttp
import structlog

from frontdoor.jwks import JwksInvalid, KeyRing, read_keys
from shared import clock
from shared.errors import LastslotError

log = structlog.get_logger()

MAX_BYTES = 256 * 1024
_PATIENCE = aiohttp.ClientTimeout(total=5.0)
#: How long a caller may wait for a key that was not known.
_WAIT_S = 2.0


class KeysUnread(LastslotError):
    """The key set cannot be read."""


class KeySource(Protocol):
    """Where a key set is published: it is looked at every `period_s` seconds.

    `first_pause_s` and `longest_pause_s` bound the time between looks for keys that are not known, or after a failure.
    """

    period_s: float
    first_pause_s: float
    longest_pause_s: float

    async def read(self) -> bytes | None:
        """The set; None when it is still the one that was read last. Raises KeysUnread."""
        ...


class KeyFile:
    """A set in a file, which is read again when it has changed."""

    period_s = longest_pause_s = 1.0
    first_pause_s = 0.05

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None

    async def read(self) -> bytes | None:
        return await asyncio.to_thread(self._read)

    def _read(self) -> bytes | None:
        try:
            facts = self._path.stat()
            seen = facts.st_mtime_ns, facts.st_size, facts.st_ino
            if seen == self._seen:
                return None
            with self._path.open("rb") as file:
                document = _bounded(file.read(MAX_BYTES + 1))
        except OSError as error:
            raise KeysUnread(str(error)) from None
        # As it was before it was read: what is written to it meanwhile is seen the next time.
        self._seen = seen
        return document


class KeyUrl:
    """A set behind an http or https URL."""

    first_pause_s = 1.0
    longest_pause_s = 60.0

    def __init__(self, url: str, period_s: float) -> None:
        self.period_s = period_s
        self._url = url

    async def read(self) -> bytes | None:
        try:
            async with (
                aiohttp.ClientSession(timeout=_PATIENCE) as session,
                session.get(self._url, allow_redirects=False) as answer,
            ):
                if answer.status != 200:
                    raise KeysUnread(f"its server answers {answer.status}")
                document = b""
                while len(document) <= MAX_BYTES and (piece := await answer.content.readany()):
                    document += piece
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise KeysUnread(f"{error or 'it takes too long'}") from None
        return _bounded(document)


def source_of(told: str, period_s: float) -> KeySource:
    """The source that a setting names: a path, or an http or https URL, which is looked at every `period_s` seconds."""
    return KeyUrl(told, period_s) if told.startswith(("http://", "https://")) else KeyFile(Path(told))


class KeyKeeper:
    """Keeps `ring` as the source has it."""

    def __init__(self, ring: KeyRing, source: KeySource) -> None:
        self.ring = ring
        self._source = source
        self._looking: asyncio.Task[None] | None = None
        self._failed_s, self._fault = 0.0, ""
        self._pause_s = source.first_pause_s
        self._asked_at = -inf

    async def begin(self) -> None:
        """The first look. Raises LastslotError when it is a file that cannot be read; the server of a URL may come later."""
        try:
            await self._read()
        except (KeysUnread, JwksInvalid) as error:
            if isinstance(self._source, KeyFile):
                raise LastslotError(f"the key set of LASTSLOT_JWKS cannot be used: {error}") from None
            self._note_failure(error)

    async def keep(self) -> None:
        """Look every period, and sooner after a failure, until cancelled."""
        while True:
            await asyncio.sleep(min(self._failed_s or self._source.period_s, self._source.period_s))
            await asyncio.shield(self._look())

    async def look_again(self) -> None:
        """Look now, for a key that is not known, and wait for it a little: it may have been published a moment ago.

        Such names may be made up, so each look pauses those that follow, longer each time unless it brought something.
        """
        if self._looking is not None or self._may_ask():
            await asyncio.wait([self._look()], timeout=_WAIT_S)

    def _may_ask(self) -> bool:
        now = clock.monotonic()
        since_s = now - self._asked_at
        if since_s < self._pause_s:
            return False
        first_s, longest_s = self._source.first_pause_s, self._source.longest_pause_s
        self._pause_s = first_s if since_s > 2 * longest_s else min(2 * self._pause_s, longest_s)
        self._asked_at = now
        return True

    def _look(self) -> asyncio.Task[None]:
        if self._looking is None:
            self._looking = asyncio.create_task(self._look_once())
        return self._looking

    async def _look_once(self) -> None:
        try:
            await self._read()
            self._failed_s, self._fault = 0.0, ""
        except (KeysUnread, JwksInvalid) as error:
            self._note_failure(error)
        finally:
            self._looking = None

    async def _read(self) -> None:
        document = await self._source.read()
        if document is None:
            return
        if self.ring.replace(await asyncio.to_thread(read_keys, document)):
            self._pause_s = self._source.first_pause_s
            log.info("keys_read", names=sorted(str(name) for name in self.ring.keys or ()))

    def _note_failure(self, error: LastslotError) -> None:
        self._failed_s = min(2 * self._failed_s or self._source.first_pause_s, self._source.longest_pause_s)
        if self._fault != str(error):
            self._fault = str(error)
            log.error("keys_not_read", error=self._fault, known=len(self.ring.keys or ()))


def _bounded(document: bytes) -> bytes:
    if len(document) > MAX_BYTES:
        raise KeysUnread(f"it is larger than {MAX_BYTES} bytes")
    return document

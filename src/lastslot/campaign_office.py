"""The admin API as the command line asks it: one call at a time, and a refusal is one line."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from uuid import UUID

import aiohttp
import click
import msgspec

from frontdoor.campaign_shapes import CampaignPage
from frontdoor.shapes import ProblemDetails
from lastslot.datadir import stack_of
from shared.errors import LastslotError

T = TypeVar("T")

_PATIENCE = aiohttp.ClientTimeout(total=15)
#: Of a list on its way, in either direction: it may take as long as it likes, but not fall silent.
_PATIENCE_WITH_LISTS = aiohttp.ClientTimeout(total=None, sock_connect=15, sock_read=60)


class Refused(LastslotError):
    """The admin API refused, or did not answer."""


class Office(msgspec.Struct, frozen=True):
    """Where the admin API is served, and the token it is asked with. Paths are those below `room`."""

    url: str
    token: str
    room: str = "campaigns"

    def ask(self, shape: type[T], method: str, path: str = "", **request: Any) -> T:
        """The answer, read as `shape`. Raises Refused, in the problem's own words, also when no answer came."""
        return asyncio.run(self._asked(lambda session: self._ask(session, shape, method, path, request)))

    def send(self, shape: type[T], method: str, path: str, text: BinaryIO) -> T:
        """The answer to a CSV file, which passes through piece by piece. Raises Refused."""
        request = {"data": text, "headers": {"Content-Type": "text/csv"}}
        return asyncio.run(self._asked(lambda session: self._ask(session, shape, method, path, request), _PATIENCE_WITH_LISTS))

    def fetch(self, path: str, into: BinaryIO) -> None:
        """Have an answer that is no JSON written `into` a file, piece by piece. Raises Refused."""
        asyncio.run(self._asked(lambda session: self._fetch(session, path, into), _PATIENCE_WITH_LISTS))

    def path_of(self, named: str) -> str:
        """The path of the campaign that has this id or this code."""
        try:
            return f"/{UUID(named)}"
        except ValueError:
            page = self.ask(CampaignPage, "GET", params={"code": named})
        if not page.campaigns:
            raise Refused(f"No campaign has the code {named}.")
        return f"/{page.campaigns[0].campaign_id}"

    async def _asked(
        self, ask: Callable[[aiohttp.ClientSession], Coroutine[Any, Any, T]], patience: aiohttp.ClientTimeout = _PATIENCE
    ) -> T:
        headers = {"Authorization": f"Bearer {self.token}"}
        try:
            async with aiohttp.ClientSession(f"{self.url.rstrip('/')}/", headers=headers, timeout=patience) as session:
                return await ask(session)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise Refused(f"{self.url} does not answer: {error or 'it takes too long'}") from None

    async def _ask(self, session: aiohttp.ClientSession, shape: type[T], method: str, path: str, request: dict[str, Any]) -> T:
        async with session.request(method, f"api/v1/{self.room}{path}", **request) as answer:
            return _read(shape, answer.status, await answer.read())

    async def _fetch(self, session: aiohttp.ClientSession, path: str, into: BinaryIO) -> None:
        async with session.get(f"api/v1/{self.room}{path}") as answer:
            if answer.status >= 400:
                _read(ProblemDetails, answer.status, await answer.read())
            async for piece in answer.content.iter_any():
                into.write(piece)


def find_office(data_dir: Path, url: str | None, token: str | None) -> Office:
    """The office named by `url` and `token`; what is not given is taken from the stack of `data_dir`. Raises NoStack."""
    if url is not None and token is not None:
        return Office(url, token)
    stack = stack_of(data_dir)
    return Office(url or stack.admin_url, token or stack.admin_token)


def with_office(room: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the office to ask, by options of its own, as its first argument."""

    def give(command: Callable[..., None]) -> Callable[..., None]:
        @click.option(
            "--data-dir", type=click.Path(path_type=Path), default="data", show_default=True, help="The stack's directory."
        )
        @click.option("--url", help="The admin API; by default that of the directory's stack.")
        @click.option("--token", help="An administrator's token; by default that of the directory's stack.")
        @wraps(command)
        def asking(*, data_dir: Path, url: str | None, token: str | None, **options: Any) -> None:
            command(msgspec.structs.replace(find_office(data_dir, url, token), room=room), **options)

        return asking

    return give


def _read(shape: type[T], status: int, raw: bytes) -> T:
    try:
        if status < 400:
            return msgspec.json.decode(raw, type=shape)
        problem = msgspec.json.decode(raw, type=ProblemDetails)
    except msgspec.DecodeError:
        raise Refused(f"What answers there (status {status}) is not Lastslot.") from None
    raise Refused(f"{problem.title}: {problem.detail}")

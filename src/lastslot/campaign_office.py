"""The admin API as this side of it is asked: one call at a time, and a refusal is one line."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from uuid import UUID, uuid4

import aiohttp
import click
import msgspec

from frontdoor.campaign_shapes import CampaignPage, CampaignShown
from frontdoor.shapes import ProblemDetails
from lastslot.datadir import stack_of
from lastslot.running import Stack
from shared.errors import LastslotError

T = TypeVar("T")

_PATIENCE = aiohttp.ClientTimeout(total=15)
#: Of a list on its way, in either direction: it may take as long as it likes, but not fall silent.
_PATIENCE_WITH_LISTS = aiohttp.ClientTimeout(total=None, sock_connect=15, sock_read=600)
#: Before a call that nobody answered is sent again.
_PAUSES_S = (0.5, 1.0, 2.0, 4.0)


class Refused(LastslotError):
    """The admin API refused, or did not answer."""


class Unanswered(Refused):
    """No answer came, or none that says what was done."""


class Office(msgspec.Struct, frozen=True):
    """Where the admin API is served, and the token it is asked with. Paths are those below `room`. All calls raise Refused."""

    url: str
    token: str
    room: str = "campaigns"

    async def create(self, code: str, **terms: Any) -> CampaignShown:
        """A new campaign for `code`, active at once; `terms` are the further fields of the call."""
        campaign = {"name": code, "type": "shared", "code": code, **terms}
        return await self.insist(CampaignShown, "", str(uuid4()), json=campaign)

    async def find(self, code: str) -> CampaignShown | None:
        """The campaign of a code; None when no campaign has it."""
        page = await self.ask(CampaignPage, "GET", params={"code": code})
        return page.campaigns[0] if page.campaigns else None

    async def path_of(self, named: str) -> str:
        """The path of the campaign that has this id or this code."""
        try:
            return f"/{UUID(named)}"
        except ValueError:
            campaign = await self.find(named)
        if campaign is None:
            raise Refused(f"No campaign has the code {named}.")
        return f"/{campaign.campaign_id}"

    async def ask_about(self, named: str, shape: type[T], method: str, path: str = "", **request: Any) -> T:
        """As `ask`, of the campaign that has this id or this code; `path` goes on from its own."""
        return await self.ask(shape, method, f"{await self.path_of(named)}{path}", **request)

    async def ask(self, shape: type[T], method: str, path: str = "", **request: Any) -> T:
        """The answer, read as `shape`; refused in the problem's own words, also when no answer came."""
        return await self._asked(lambda session: self._ask(session, shape, method, path, request))

    async def insist(self, shape: type[T], path: str, key: str, **request: Any) -> T:
        """As `ask`, to do something: while no answer comes, the same call is sent again, which does it once."""
        headers = {"Idempotency-Key": key, **request.pop("headers", {})}
        for pause_s in _PAUSES_S:
            try:
                return await self.ask(shape, "POST", path, headers=headers, **request)
            except Unanswered:
                await asyncio.sleep(pause_s)
        return await self.ask(shape, "POST", path, headers=headers, **request)

    async def send(self, shape: type[T], method: str, path: str, text: BinaryIO) -> T:
        """The answer to a CSV file, which passes through piece by piece."""
        request = {"data": text, "headers": {"Content-Type": "text/csv"}}
        return await self._asked(lambda session: self._ask(session, shape, method, path, request), _PATIENCE_WITH_LISTS)

    async def fetch(self, path: str, into: BinaryIO) -> None:
        """Have an answer that is no JSON written `into` a file, piece by piece."""
        await self._asked(lambda session: self._fetch(session, path, into), _PATIENCE_WITH_LISTS)

    async def _asked(
        self, ask: Callable[[aiohttp.ClientSession], Coroutine[Any, Any, T]], patience: aiohttp.ClientTimeout = _PATIENCE
    ) -> T:
        headers = {"Authorization": f"Bearer {self.token}"}
        try:
            async with aiohttp.ClientSession(f"{self.url.rstrip('/')}/", headers=headers, timeout=patience) as session:
                return await ask(session)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise Unanswered(f"{self.url} does not answer: {error or 'it takes too long'}") from None

    async def _ask(self, session: aiohttp.ClientSession, shape: type[T], method: str, path: str, request: dict[str, Any]) -> T:
        async with session.request(method, f"api/v1/{self.room}{path}", **request) as answer:
            return _read(shape, answer.status, await answer.read())

    async def _fetch(self, session: aiohttp.ClientSession, path: str, into: BinaryIO) -> None:
        async with session.get(f"api/v1/{self.room}{path}") as answer:
            if answer.status >= 400:
                _read(ProblemDetails, answer.status, await answer.read())
            async for piece in answer.content.iter_any():
                into.write(piece)


def office_of(stack: Stack) -> Office:
    """The office of a stack."""
    return Office(stack.admin_url, stack.admin_token)


def find_office(data_dir: Path, url: str | None, token: str | None) -> Office:
    """The office named by `url` and `token`; what is not given is taken from the stack of `data_dir`. Raises NoStack."""
    if url is not None and token is not None:
        return Office(url, token)
    office = office_of(stack_of(data_dir))
    return Office(url or office.url, token or office.token)


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
    raise (Unanswered if status >= 500 else Refused)(f"{problem.title}: {problem.detail}")

"""The admin API as the command line asks it: one call at a time, and a refusal is one line."""

import asyncio
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import aiohttp
import msgspec

from frontdoor.campaign_shapes import CampaignPage
from frontdoor.shapes import ProblemDetails
from lastslot.datadir import stack_of
from shared.errors import LastslotError

T = TypeVar("T")

_PATIENCE = aiohttp.ClientTimeout(total=15)


class Refused(LastslotError):
    """The admin API refused, or did not answer."""


class Office(msgspec.Struct, frozen=True):
    """Where the admin API is served, and the token it is asked with."""

    url: str
    token: str

    def ask(self, shape: type[T], method: str, path: str = "", **request: Any) -> T:
        """The answer, read as `shape`. Raises Refused, in the problem's own words, also when no answer came."""
        return asyncio.run(self._ask(shape, method, f"{self.url.rstrip('/')}/api/v1/campaigns{path}", request))

    def path_of(self, named: str) -> str:
        """The path of the campaign that has this id or this code."""
        try:
            return f"/{UUID(named)}"
        except ValueError:
            page = self.ask(CampaignPage, "GET", params={"code": named})
        if not page.campaigns:
            raise Refused(f"No campaign has the code {named}.")
        return f"/{page.campaigns[0].campaign_id}"

    async def _ask(self, shape: type[T], method: str, url: str, request: dict[str, Any]) -> T:
        headers = {"Authorization": f"Bearer {self.token}"}
        try:
            async with (
                aiohttp.ClientSession(headers=headers, timeout=_PATIENCE) as session,
                session.request(method, url, **request) as answer,
            ):
                return _read(shape, answer.status, await answer.read())
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise Refused(f"{self.url} does not answer: {error or 'it takes too long'}") from None


def find_office(data_dir: Path, url: str | None, token: str | None) -> Office:
    """The office named by `url` and `token`; what is not given is taken from the stack of `data_dir`. Raises NoStack."""
    if url is not None and token is not None:
        return Office(url, token)
    stack = stack_of(data_dir)
    return Office(url or stack.admin_url, token or stack.admin_token)


def _read(shape: type[T], status: int, raw: bytes) -> T:
    try:
        if status < 400:
            return msgspec.json.decode(raw, type=shape)
        problem = msgspec.json.decode(raw, type=ProblemDetails)
    except msgspec.DecodeError:
        raise Refused(f"What answers there (status {status}) is not Lastslot.") from None
    raise Refused(f"{problem.title}: {problem.detail}")

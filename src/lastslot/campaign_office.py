"""The admin API as this side of it is asked: one call at a time, and a refusal is one line."""

from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import aiohttp
import msgspec

from frontdoor.campaign_shapes import CampaignPage, CampaignShown
from frontdoor.shapes import ProblemDetails
from lastslot.datadir import stack_of
from lastslot.running import Stack
from shared.errors import LastslotError

T = TypeVar("T")

_PATIENCE = aiohttp.ClientTimeout(total=15)


class Refused(LastslotError):
    """The admin API refused, or did not answer."""


class Office(msgspec.Struct, frozen=True):
    """Where the admin API is served, and the token it is asked with."""

    url: str
    token: str

    async def create(self, code: str, **terms: Any) -> CampaignShown:
        """A new campaign for `code`, active at once; `terms` are the further fields of the call."""
        campaign = {"name": code, "type": "shared", "code": code, **terms}
        return await self.ask(CampaignShown, "POST", json=campaign)

    async def find(self, code: str) -> CampaignShown | None:
        """The campaign of a code; None when no campaign has it."""
        page = await self.ask(CampaignPage, "GET", params={"code": code})
        return page.campaigns[0] if page.campaigns else None

    async def ask_about(self, named: str, shape: type[T], method: str, path: str = "", **request: Any) -> T:
        """As `ask`, of the campaign that has this id or this code; `path` goes on from its own."""
        return await self.ask(shape, method, f"/{await self._id_of(named)}{path}", **request)

    async def ask(self, shape: type[T], method: str, path: str = "", **request: Any) -> T:
        """The answer, read as `shape`. Raises Refused, in the problem's own words, also when no answer came."""
        url = f"{self.url.rstrip('/')}/api/v1/campaigns{path}"
        headers = {"Authorization": f"Bearer {self.token}"}
        try:
            async with (
                aiohttp.ClientSession(headers=headers, timeout=_PATIENCE) as session,
                session.request(method, url, **request) as answer,
            ):
                return _read(shape, answer.status, await answer.read())
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise Refused(f"{self.url} does not answer: {error or 'it takes too long'}") from None

    async def _id_of(self, named: str) -> UUID:
        try:
            return UUID(named)
        except ValueError:
            campaign = await self.find(named)
        if campaign is None:
            raise Refused(f"No campaign has the code {named}.")
        return campaign.campaign_id


def office_of(stack: Stack) -> Office:
    """The office of a stack."""
    return Office(stack.admin_url, stack.admin_token)


def find_office(data_dir: Path, url: str | None, token: str | None) -> Office:
    """The office named by `url` and `token`; what is not given is taken from the stack of `data_dir`. Raises NoStack."""
    if url is not None and token is not None:
        return Office(url, token)
    office = office_of(stack_of(data_dir))
    return Office(url or office.url, token or office.token)


def _read(shape: type[T], status: int, raw: bytes) -> T:
    try:
        if status < 400:
            return msgspec.json.decode(raw, type=shape)
        problem = msgspec.json.decode(raw, type=ProblemDetails)
    except msgspec.DecodeError:
        raise Refused(f"What answers there (status {status}) is not Lastslot.") from None
    raise Refused(f"{problem.title}: {problem.detail}")

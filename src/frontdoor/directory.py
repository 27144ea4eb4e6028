"""From what was typed to the campaign it leads to, in two steps: what the code is for ever, and what its campaign is now."""

from collections.abc import Callable

import msgspec

from frontdoor.campaign_cache import CampaignCache
from frontdoor.code_cache import CodeCache
from shared.catalogue import KnownCode
from shared.domain.campaign import Campaign
from shared.domain.code import Code, normal_form, spelling
from shared.domain.ids import UserId

#: Not in normal form, so nobody has it.
_NO_CODE = Code("no code")


class Found(msgspec.Struct, frozen=True, gc=False):
    """A code that was typed as it has to be, and its campaign."""

    code: KnownCode
    campaign: Campaign

    def is_for(self, user: UserId | None) -> bool:
        """Whether the code exists for this user (None: nobody in particular): one that was made for another does not."""
        return self.code.intended_user is None or self.code.intended_user == user


class Directory:
    """Looks codes up as they were typed. An exact campaign's code that is not spelt as it has to be is not known."""

    def __init__(self, codes: CodeCache, campaigns: CampaignCache, lacks: Callable[[Code], bool]) -> None:
        """`lacks`: whether there is certainly no such code (see `code_filter`)."""
        self._codes = codes
        self._campaigns = campaigns
        self._lacks = lacks

    def peek(self, typed: str) -> Found | None:
        """Where it leads, if all of that is in memory."""
        code = normal_form(typed)
        known = None if code is None else self._codes.peek(code)
        if known is None or not _spelt(known, typed):
            return None
        campaign = self._campaigns.peek(known.campaign_id)
        return None if campaign is None else Found(known, campaign)

    def unknown(self, typed: str) -> bool:
        """Whether there is certainly no such code; False when it has to be looked up."""
        code = normal_form(typed)
        return code is None or self._lacks(code)

    async def look_in_vain(self) -> None:
        """Look up what is no code, as what may be one is looked up. Raises what `shared.postgres.NO_ANSWER` names."""
        await self._codes.find(_NO_CODE)

    async def find(self, typed: str) -> Found | None:
        """Where it leads; None when there is no such code. Raises what `shared.postgres.NO_ANSWER` names."""
        code = normal_form(typed)
        found = None if code is None else await self.of(code)
        return found if found is not None and _spelt(found.code, typed) else None

    async def of(self, code: Code) -> Found | None:
        """Where a code leads, however it was spelt. Raises the same."""
        known = self._codes.peek(code)
        if known is None and not self._lacks(code):
            known = await self._codes.find(code)
        campaign = None if known is None else await self._campaigns.find(known.campaign_id)
        return None if known is None or campaign is None else Found(known, campaign)


def _spelt(known: KnownCode, typed: str) -> bool:
    return known.spelling is None or known.spelling == spelling(typed)

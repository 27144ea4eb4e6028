"""Which codes may stand together on one order.

Rules bind both ways: it is enough that one of two codes does not want the other, whichever was there first.
"""

from collections.abc import Iterable
from fnmatch import fnmatchcase

import msgspec

from shared.domain.campaign import StackingRules
from shared.domain.code import Code
from shared.domain.ids import CampaignId, UserId

_NO_DEMANDS = StackingRules()


class Stacked(msgspec.Struct, frozen=True):
    """One of an order's codes. `campaign_code`: what it was asked for by, where that is another (a pool's public code).

    `campaign_id` and `user_id`: where it comes from and who redeemed it, where that is known. `spelling`: where that matters.
    """

    code: Code
    campaign_code: Code | None
    rules: StackingRules | None
    campaign_id: CampaignId | None = None
    user_id: UserId | None = None
    spelling: str | None = None

    @property
    def written(self) -> str:
        """The code as it was made."""
        return self.spelling or self.code


def conflict(wanted: Stacked, others: Iterable[Stacked]) -> Stacked | None:
    """The first of `others` that `wanted` cannot be combined with; None when it goes with all of them.

    How often an order may have the same code is for the limits of its campaign to say, and codes of one campaign stand
    together unless they are exclusive.
    """
    return next((other for other in others if _apart(wanted, other)), None)


def _of_one_campaign(one: Stacked, other: Stacked) -> bool:
    return one.campaign_id is not None and one.campaign_id == other.campaign_id


def _apart(one: Stacked, other: Stacked) -> bool:
    ours, theirs = one.rules or _NO_DEMANDS, other.rules or _NO_DEMANDS
    if _of_one_campaign(one, other):
        return ours.exclusive and one.code != other.code
    return (
        ours.exclusive
        or theirs.exclusive
        or (ours.category is not None and ours.category == theirs.category)
        or _excludes(ours, other)
        or _excludes(theirs, one)
    )


def _excludes(rules: StackingRules, other: Stacked) -> bool:
    codes = [code for code in (other.code, other.campaign_code) if code is not None]
    return any(_fits(code, glob) for glob in rules.excludes for code in codes)


def _fits(code: Code, glob: str) -> bool:
    """Only * and ? are wild: a code may itself hold a bracket, which `fnmatch` would take for the beginning of a set."""
    return fnmatchcase(code, glob.replace("[", "[[]"))

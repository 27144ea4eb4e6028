"""Which codes may stand together on one order.

Rules bind both ways: it is enough that one of two codes does not want the other, whichever was there first.
"""

from collections.abc import Iterable
from fnmatch import fnmatchcase

import msgspec

from shared.domain.campaign import StackingRules
from shared.domain.code import Code

_NO_DEMANDS = StackingRules()


class Stacked(msgspec.Struct, frozen=True):
    """One of an order's codes. `campaign_code`: what it was asked for by, where that is another (a pool's public code)."""

    code: Code
    campaign_code: Code | None
    rules: StackingRules | None


def conflict(wanted: Stacked, others: Iterable[Stacked]) -> Code | None:
    """The first code of `others` that `wanted` cannot be combined with; None when it goes with all of them."""
    return next((other.code for other in others if _apart(wanted, other)), None)


def _apart(one: Stacked, other: Stacked) -> bool:
    ours, theirs = one.rules or _NO_DEMANDS, other.rules or _NO_DEMANDS
    return (
        ours.exclusive
        or theirs.exclusive
        or (ours.category is not None and ours.category == theirs.category)
        or _excludes(ours, other)
        or _excludes(theirs, one)
    )


def _excludes(rules: StackingRules, other: Stacked) -> bool:
    codes = [code for code in (other.code, other.campaign_code) if code is not None]
    return any(fnmatchcase(code, glob) for glob in rules.excludes for code in codes)

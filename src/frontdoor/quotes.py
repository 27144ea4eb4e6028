"""What `validate` answers, out of all that is known. Pure.

First what is so for good (it is unknown, or for others, or over), then what the cart can mend: nobody should fill a cart for a
code that gives nothing.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from frontdoor import eligibility
from frontdoor.directory import Found
from frontdoor.eligibility import Person, Segments
from frontdoor.problems import REFUSALS, Problem
from frontdoor.render import invalid, valid
from frontdoor.shapes import Invalid, Valid
from shared.domain import discount
from shared.domain.campaign import Campaign, closed_by_status, closed_by_subtotal, closed_by_window
from shared.domain.code import Code
from shared.domain.outcomes import Refusal
from shared.domain.redemption import Redemption, is_overdue
from shared.domain.stacking import Stacked, conflict


class Cart(msgspec.Struct, frozen=True, gc=False):
    """What the caller's order is, as far as it was told.

    `subtotal` in minor units. `beside`: the other codes on it. `held`: those of its redemptions that stand, as far as
    the caller may see them.
    """

    subtotal: int | None
    beside: Sequence[Stacked]
    held: Sequence[Redemption]


class Circumstances(msgspec.Struct, frozen=True, gc=False):
    """Who asks (None: nobody in particular), and what is known besides.

    `used`: the code was good for one claim, which has been made. `nothing`: why the campaign gave nothing when its gate was
    last asked. `first_order`: what nobody in particular says of the order; nothing is promised, so it is believed.
    """

    who: Person | None
    segments: Segments
    used: bool
    nothing: Refusal | None
    now: datetime
    first_order: bool | None = None


def quote(found: Found, cart: Cart, known: Circumstances) -> Problem | Valid | Invalid:
    """What the code would give to this cart now, or why it gives nothing."""
    campaign = found.campaign
    for held in cart.held:
        if _is_of(found, held):
            return valid(campaign, _written(found), held.discount_applied, known.now, kept=True)
    refusal = _refusal(found, known)
    if refusal is not None:
        return REFUSALS[refusal]
    unmet = closed_by_subtotal(campaign.discount, campaign.amount_limit, campaign.minimum_subtotal, cart.subtotal)
    if unmet is not None:
        return invalid(_written(found), unmet, campaign.minimum_subtotal)
    other = _other(found, cart) if cart.beside else None
    if other is not None:
        return invalid(_written(found), Refusal.NOT_STACKABLE, other=other)
    return valid(campaign, _written(found), discount.apply(campaign.discount, cart.subtotal), known.now)


def stands(redemption: Redemption, now: datetime) -> bool:
    """Whether its slot is held: a hold whose time has run out is over, though nobody may have given it back yet."""
    return redemption.released_at is None and not is_overdue(redemption, now)


def stacked(found: Found) -> Stacked:
    """The code as the rules of other codes see it."""
    campaign, code = found.campaign, found.code
    return Stacked(code.code, campaign.code, campaign.stacking_rules, campaign.campaign_id, spelling=code.spelling)


def unruled(code: Code) -> Stacked:
    """A code of which nothing is known but that it is there: it has no demands of its own."""
    return Stacked(code, None, None)


def _refusal(found: Found, known: Circumstances) -> Refusal | None:
    campaign = found.campaign
    unfit = None if eligibility.for_everybody(campaign) else _unfit(campaign, known)
    closed = closed_by_status(campaign.status) or closed_by_window(campaign.starts_at, campaign.ends_at, known.now)
    return unfit or closed or (Refusal.CODE_USED if known.used else None) or known.nothing


def _unfit(campaign: Campaign, known: Circumstances) -> Refusal | None:
    """Whoever does not say who they are is not told of codes for others; a first order is what they say it is, if they do."""
    if known.who is not None:
        return eligibility.unfit(campaign, known.who, known.segments, known.now)
    if not eligibility.in_audience(campaign, None, known.segments, known.now):
        return Refusal.UNKNOWN_CODE
    return Refusal.NOT_FIRST_ORDER if campaign.first_order_only and known.first_order is False else None


def _other(found: Found, cart: Cart) -> str | None:
    """The code that this one does not go with; it may be on the cart itself already."""
    other = conflict(stacked(found), (each for each in cart.beside if each.code != found.code.code))
    return None if other is None else other.written


def _is_of(found: Found, held: Redemption) -> bool:
    """Whether this redemption came of this code; any of a campaign's may have come of the code that everybody types."""
    of_campaign = held.campaign_id == found.campaign.campaign_id
    return of_campaign and (held.code == found.code.code or not found.code.single_use)


def _written(found: Found) -> str:
    return found.code.spelling or found.code.code

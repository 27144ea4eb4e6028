"""Whom a call is for, and whether a campaign is for them: its audience, and whether it is their first order. Pure.

What is said of a user is believed of those who may say it: the token itself, or a service that acts for the user.
"""

from collections.abc import Mapping
from datetime import date, datetime
from functools import lru_cache
from typing import Any

import msgspec

from frontdoor.problems import SCOPE_REQUIRED, USER_MISMATCH, Problem
from frontdoor.tokens import SERVICE, Identity
from shared.domain import audience
from shared.domain.campaign import Campaign
from shared.domain.ids import UserId
from shared.domain.outcomes import Refusal

#: The segments a user belongs to, and since when, where that is known.
Segments = Mapping[str, date | None]

NO_SEGMENTS: Segments = {}


class Person(msgspec.Struct, frozen=True, gc=False):
    """The user a call is for, and what is said of them."""

    user_id: UserId
    attrs: dict[str, Any]
    first_order: bool


def person(
    identity: Identity, named: UserId | None, attrs: dict[str, Any] | None, first_order: bool | None
) -> Person | Problem:
    """Whom the holder of a token speaks for: the token's own user, or, as a service, whom the body names and describes."""
    if named is None and attrs is None and first_order is None:
        return Person(identity.user_id, identity.attrs, identity.attrs.get("first_order") is True)
    if SERVICE not in identity.scopes:
        if named is not None and named != identity.user_id:
            return USER_MISMATCH
        if attrs is not None or first_order is not None:
            return SCOPE_REQUIRED.carrying(scope=SERVICE)
    user = named or identity.user_id
    if attrs is None:
        # What a service's token says is said of the service.
        attrs = identity.attrs if user == identity.user_id else {}
    return Person(user, attrs, first_order is True or attrs.get("first_order") is True)


def for_everybody(campaign: Campaign) -> bool:
    """Whether it does not matter who asks."""
    return campaign.audience_filter is None and not campaign.first_order_only


def reads_segments(campaign: Campaign) -> bool:
    """Whether the user's segments have to be known to tell."""
    return campaign.audience_filter is not None and _filter_reads_segments(campaign)


@lru_cache(maxsize=10_000)
def _filter_reads_segments(campaign: Campaign) -> bool:
    return audience.segments_named(campaign.audience_filter)


def unfit(campaign: Campaign, who: Person, segments: Segments, now: datetime) -> Refusal | None:
    """Why the campaign is not for this user; None when it is."""
    if not in_audience(campaign, who, segments, now):
        return Refusal.AUDIENCE_MISMATCH
    return Refusal.NOT_FIRST_ORDER if campaign.first_order_only and not who.first_order else None


def in_audience(campaign: Campaign, who: Person | None, segments: Segments, now: datetime) -> bool:
    """Whether the campaign's filter holds for the user; of nobody in particular (None) nothing is known."""
    if campaign.audience_filter is None:
        return True
    user, attrs = ("", {}) if who is None else (who.user_id, who.attrs)
    return audience.matches(campaign.audience_filter, audience.known(user, attrs, dict(segments), now))

"""Redemptions as they stand in Postgres, read in batches."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from shared.domain.ids import CampaignId, ClaimId, UserId
from shared.domain.outcomes import Outcome, Refusal, Refused, Replayed
from shared.domain.redemption import Redemption
from shared.postgres import Connection
from shared.statements import statement

_redemption = msgspec.json.Decoder(Redemption)


class Standing(msgspec.Struct, frozen=True):
    """What is committed about a claim: the redemption it is, if any, and how many its user holds of the campaign.

    `hold`: one of those that can still be confirmed. It never blocks its owner: it is shown instead of a refusal. `overdue`:
    whether others cannot, whose slots have yet to be given back. `now`: Postgres's clock.
    """

    redemption: Redemption | None
    active: int
    hold: Redemption | None
    overdue: bool
    now: datetime


class Told(msgspec.Struct, frozen=True):
    """What became of a claim, and whose it is."""

    user_id: UserId
    outcome: Outcome


class _RefusalStory(msgspec.Struct, frozen=True):
    user_id: UserId
    reason: Refusal = Refusal.CLAIM_REJECTED
    about: str | None = None


async def standings(
    connection: Connection, asked: Sequence[tuple[ClaimId, CampaignId, UserId]]
) -> dict[tuple[ClaimId, CampaignId, UserId], Standing]:
    """The standing of each claim asked for."""
    rows = await connection.fetch(statement("known_claims"), *(list(column) for column in zip(*asked, strict=True)))
    return {
        (ClaimId(claim), CampaignId(campaign), UserId(user)): Standing(_read(redemption), active, _read(hold), overdue, now)
        for claim, campaign, user, redemption, active, hold, overdue, now in rows
    }


async def outcomes(connection: Connection, claims: Sequence[ClaimId]) -> dict[ClaimId, Told]:
    """What became of those claims of which anything is written down."""
    told: dict[ClaimId, Told] = {}
    for claim, document, kind, payload in await connection.fetch(statement("claim_outcomes"), list(claims)):
        redemption = _read(document)
        if redemption is not None:
            told[ClaimId(claim)] = Told(redemption.user_id, Replayed(redemption))
        elif kind is not None:
            story = msgspec.json.decode(payload, type=_RefusalStory)
            told[ClaimId(claim)] = Told(story.user_id, Refused(story.reason, story.about))
    return told


async def by_order(connection: Connection, orders: Sequence[str]) -> dict[str, list[Redemption]]:
    """All redemptions of each order, oldest first."""
    return await _of_orders(connection, "redemptions_of_orders", orders)


async def standing_by_order(connection: Connection, orders: Sequence[str]) -> dict[str, list[Redemption]]:
    """Those redemptions of each order that have not been released, oldest first: few, however often it was claimed for."""
    return await _of_orders(connection, "standing_of_orders", orders)


async def _of_orders(connection: Connection, name: str, orders: Sequence[str]) -> dict[str, list[Redemption]]:
    found: dict[str, list[Redemption]] = {order: [] for order in orders}
    for order, document in await connection.fetch(statement(name), list(orders)):
        found[order].append(_redemption.decode(document))
    return found


def _read(document: str | None) -> Redemption | None:
    return None if document is None else _redemption.decode(document)

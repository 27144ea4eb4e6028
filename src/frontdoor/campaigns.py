"""Campaigns over HTTP, for administrators: create, list, read, change, pause, resume, end, count.

An answer means committed, and that every front door knows of a new code. What else follows the commit (the gate, the copies of
the campaign everywhere) is told at once but not waited for beyond Redis's patience: owners and front doors find out for
themselves within a second.
"""

import asyncio
from typing import assert_never
from uuid import uuid4

from aiohttp import web

from frontdoor import parse
from frontdoor.administration import administrator, call_named, campaign_named, faulty
from frontdoor.bodies import read_body
from frontdoor.campaign_shapes import CampaignPage, ChangeBody, DraftBody, shown
from frontdoor.context import Door
from frontdoor.launches import read_in_full
from frontdoor.problems import (
    CAMPAIGN_ENDED,
    CAMPAIGN_UNKNOWN,
    CODE_TAKEN,
    LIMIT_BELOW_CLAIMED,
    REFUSALS,
    Problem,
    ProblemRaised,
    accepted,
)
from frontdoor.replies import refuse, reply
from frontdoor.strict_json import decode, field_problem
from shared import campaign_reading, campaigns
from shared.answered import KeyReused
from shared.campaign_reading import Known
from shared.campaigns import (
    AmountLimitBelowClaimed,
    CampaignEnded,
    CampaignUnknown,
    ChangeRefused,
    CodeTaken,
    Committed,
    Faulty,
    LimitBelowClaimed,
)
from shared.catalogue import codes_by_code
from shared.domain.campaign import Campaign, CampaignStatus
from shared.domain.code import normal_form, spelling
from shared.domain.draft import planned
from shared.domain.ids import CampaignId
from shared.domain.outcomes import Refusal
from shared.postgres import Connection

routes = web.RouteTableDef()

PAGE_SIZE = 50
MAX_PAGE_SIZE = 200


@routes.post("/api/v1/campaigns")
async def create_campaign(request: web.Request) -> web.Response:
    """A new campaign, active at once (its window may lie ahead); that one again for the same Idempotency-Key."""
    door, by = administrator(request)
    draft = accepted(decode(accepted(await read_body(request)), DraftBody))
    plan = planned(draft, CampaignId(uuid4()))
    if not isinstance(plan, Campaign):
        return refuse(faulty(plan))
    made = await campaigns.create(door.pool, plan, by, spelling(draft.code or ""), call_named(request, by, draft))
    if isinstance(made, CodeTaken):
        return refuse(CODE_TAKEN)
    if isinstance(made, KeyReused):
        return refuse(REFUSALS[Refusal.KEY_REUSED])
    await asyncio.gather(door.warm(made.campaign), door.codes_added())
    location = f"/api/v1/campaigns/{made.campaign.campaign_id}"
    return reply(shown(made), 201, {"Location": location})


@routes.get("/api/v1/campaigns")
async def list_campaigns(request: web.Request) -> web.Response:
    """A page of campaigns, the newest first; `?after=` goes on behind one, `?code=` finds the one of a code."""
    door, _ = administrator(request)
    size = _page_size(request.query.get("limit"))
    after = _after(request.query.get("after"))
    typed = request.query.get("code")
    async with door.pool.acquire(timeout=1) as connection:
        if typed is not None:
            listed, more = await _of_code(connection, typed), None
        else:
            listed = await campaign_reading.page(connection, after, size)
            more = listed[-1].campaign.campaign_id if len(listed) == size else None
    return reply(CampaignPage([shown(each) for each in listed], more))


@routes.get("/api/v1/campaigns/{campaign_id}")
async def read_campaign(request: web.Request) -> web.Response:
    """A campaign as committed, with what is held of it and what is announced for it."""
    door, _ = administrator(request)
    named = campaign_named(request)
    async with door.pool.acquire(timeout=1) as connection:
        known = await campaign_reading.read(connection, named)
        return refuse(CAMPAIGN_UNKNOWN) if known is None else reply(await read_in_full(connection, known))


@routes.get("/api/v1/campaigns/{campaign_id}/stats")
async def campaign_stats(request: web.Request) -> web.Response:
    """A campaign's numbers in one snapshot of Postgres."""
    door, _ = administrator(request)
    named = campaign_named(request)
    async with door.pool.acquire(timeout=1) as connection:
        counted = await campaign_reading.stats(connection, named)
    return refuse(CAMPAIGN_UNKNOWN) if counted is None else reply(counted)


@routes.patch("/api/v1/campaigns/{campaign_id}")
async def change_campaign(request: web.Request) -> web.Response:
    """The campaign with what the body names put in place of what was there; the rest stays."""
    door, by = administrator(request)
    named = campaign_named(request)
    asked = accepted(decode(accepted(await read_body(request)), ChangeBody))
    return await _changed(door, await campaigns.change(door.pool, named, asked, by))


@routes.post("/api/v1/campaigns/{campaign_id}/pause")
async def pause_campaign(request: web.Request) -> web.Response:
    """Gives nothing until it is resumed; what is held stays held."""
    return await _put(request, CampaignStatus.PAUSED)


@routes.post("/api/v1/campaigns/{campaign_id}/resume")
async def resume_campaign(request: web.Request) -> web.Response:
    """Goes on giving after a pause."""
    return await _put(request, CampaignStatus.ACTIVE)


@routes.post("/api/v1/campaigns/{campaign_id}/end")
async def end_campaign(request: web.Request) -> web.Response:
    """Gives nothing any more; there is no way back."""
    return await _put(request, CampaignStatus.ENDED)


async def _of_code(connection: Connection, typed: str) -> list[Known]:
    code = normal_form(typed)
    found = {} if code is None else await codes_by_code(connection, [code])
    known = [await campaign_reading.read(connection, each.campaign_id) for each in found.values()]
    return [each for each in known if each is not None]


async def _put(request: web.Request, status: CampaignStatus) -> web.Response:
    door, by = administrator(request)
    return await _changed(door, await campaigns.set_status(door.pool, campaign_named(request), status, by))


async def _changed(door: Door, made: Committed | ChangeRefused) -> web.Response:
    if not isinstance(made, Committed):
        return refuse(_problem(made))
    await asyncio.gather(door.settle_all(made.settlements), door.campaigns.changed(made.campaign))
    return reply(shown(made))


def _after(text: str | None) -> CampaignId | None:
    if text is None:
        return None
    named = parse.path_id(text)
    if named is None:
        raise ProblemRaised(field_problem("after", "must be a campaign id"))
    return CampaignId(named)


def _page_size(text: str | None) -> int:
    if text is None:
        return PAGE_SIZE
    if not (size := parse.whole_number(text, MAX_PAGE_SIZE)):
        raise ProblemRaised(field_problem("limit", f"must be between 1 and {MAX_PAGE_SIZE}"))
    return size


def _problem(refused: ChangeRefused) -> Problem:
    match refused:
        case CampaignUnknown():
            return CAMPAIGN_UNKNOWN
        case CampaignEnded():
            return CAMPAIGN_ENDED
        case LimitBelowClaimed(claimed):
            return LIMIT_BELOW_CLAIMED.saying(f"{claimed} slots are held; no limit can be below that.").carrying(
                claimed=claimed
            )
        case AmountLimitBelowClaimed(amount):
            return LIMIT_BELOW_CLAIMED.saying(f"{amount} minor units are given; no limit can be below that.").carrying(
                amount_claimed=amount
            )
        case Faulty(faults):
            return faulty(faults)
        case _:
            assert_never(refused)

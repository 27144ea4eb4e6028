"""Validate: what a code would give, without taking anything. Answered from memory when the campaign is known."""

from aiohttp import web
from multidict import CIMultiDictProxy

from frontdoor import parse
from frontdoor.bodies import read_body
from frontdoor.context import DOOR, Door
from frontdoor.problems import REFUSALS, Problem, accepted
from frontdoor.render import valid
from frontdoor.replies import refuse, reply
from frontdoor.shapes import Valid
from shared import clock
from shared.domain.campaign import Campaign, closed_by_status, closed_by_window

routes = web.RouteTableDef()


@routes.post("/api/v1/coupons/validate")
async def validate(request: web.Request) -> web.Response:
    """What the code gives now, or why it gives nothing. It promises nothing: only a redeem takes a slot."""
    door = request.app[DOOR]
    body = _asked(door, request.headers, accepted(await read_body(request)))
    campaign = accepted(await door.campaign_of(body.code))
    await door.availability.learn(campaign)
    shown = _shown(door, campaign, body)
    return refuse(shown) if isinstance(shown, Problem) else reply(shown)


def at_once(door: Door, headers: CIMultiDictProxy[str], raw: bytes) -> Problem | Valid | None:
    """The same from memory; None when the gate, or Postgres, has to be asked. Raises ProblemRaised."""
    body = _asked(door, headers, raw)
    campaign = door.known_campaign_of(body.code)
    return _shown(door, campaign, body) if campaign is not None and door.availability.knows(campaign) else None


def _asked(door: Door, headers: CIMultiDictProxy[str], raw: bytes) -> parse.ValidateBody:
    body = accepted(parse.validate_body(raw))
    if "Authorization" in headers:
        door.identify(headers)
    return body


def _shown(door: Door, campaign: Campaign, body: parse.ValidateBody) -> Problem | Valid:
    now = clock.utc_now()
    closed = closed_by_status(campaign.status) or closed_by_window(campaign.starts_at, campaign.ends_at, now)
    reason = closed or door.availability.refusal(campaign)
    return valid(campaign, body.subtotal, now) if reason is None else REFUSALS[reason]

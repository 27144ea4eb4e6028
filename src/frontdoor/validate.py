"""Validate: what a code would give, without taking anything. Answered from memory when the campaign is known."""

from aiohttp import web

from frontdoor import parse
from frontdoor.bodies import read_body
from frontdoor.context import DOOR
from frontdoor.problems import REFUSALS, Problem
from frontdoor.render import encode, valid
from frontdoor.replies import refuse
from shared import clock, metrics
from shared.domain.campaign import closed_by_status, closed_by_window
from shared.domain.code import normal_form
from shared.domain.outcomes import Refusal

routes = web.RouteTableDef()


@routes.post("/api/v1/coupons/validate")
async def validate(request: web.Request) -> web.Response:
    """What the code gives now, or why it gives nothing. It promises nothing: only a redeem takes a slot."""
    door = request.app[DOOR]
    raw = await read_body(request)
    body = raw if isinstance(raw, Problem) else parse.validate_body(raw)
    if isinstance(body, Problem):
        return _refused(body)
    if "Authorization" in request.headers:
        door.identify(request)
    code = normal_form(body.code)
    campaign = None if code is None else door.campaigns.peek(code) or await door.campaigns.find(code)
    if campaign is None:
        return _refused(REFUSALS[Refusal.UNKNOWN_CODE])
    now = clock.utc_now()
    closed = closed_by_status(campaign.status) or closed_by_window(campaign.starts_at, campaign.ends_at, now)
    reason = closed or await door.availability.refusal(campaign)
    if reason is not None:
        return _refused(REFUSALS[reason])
    metrics.ANSWERS.add("validate", "valid")
    return web.Response(body=encode(valid(campaign, body.subtotal, now)), content_type="application/json")


def _refused(problem: Problem) -> web.Response:
    metrics.ANSWERS.add("validate", problem.code)
    return refuse(problem)

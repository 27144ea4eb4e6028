"""Validate: what a code would give, without taking anything. Answered from memory when the campaign is known."""

from aiohttp import web

from frontdoor import parse
from frontdoor.bodies import read_body
from frontdoor.context import DOOR
from frontdoor.problems import REFUSALS, accepted
from frontdoor.render import valid
from frontdoor.replies import refuse, reply
from shared import clock
from shared.domain.campaign import closed_by_status, closed_by_window

routes = web.RouteTableDef()


@routes.post("/api/v1/coupons/validate")
async def validate(request: web.Request) -> web.Response:
    """What the code gives now, or why it gives nothing. It promises nothing: only a redeem takes a slot."""
    door = request.app[DOOR]
    body = accepted(parse.validate_body(accepted(await read_body(request))))
    if "Authorization" in request.headers:
        door.identify(request)
    campaign = accepted(await door.campaign_of(body.code))
    now = clock.utc_now()
    closed = closed_by_status(campaign.status) or closed_by_window(campaign.starts_at, campaign.ends_at, now)
    reason = closed or await door.availability.refusal(campaign)
    if reason is not None:
        return refuse(REFUSALS[reason])
    return reply(valid(campaign, body.subtotal, now))

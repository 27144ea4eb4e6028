"""Confirm and release: what the shop's back end says of a redemption once checkout went through, or did not."""

from aiohttp import web

from frontdoor import parse
from frontdoor.bodies import read_body
from frontdoor.context import DOOR
from frontdoor.problems import HOLD_EXPIRED, NOT_CLAIMED, NOT_REDEEMED, REDEMPTION_UNKNOWN, RELEASE_NOT_ALLOWED, Problem
from frontdoor.render import encode, redemption
from frontdoor.replies import refuse
from frontdoor.tokens import SERVICE
from shared import lifecycle, metrics
from shared.domain.redemption import Stay, Step

routes = web.RouteTableDef()

_STAYS = {
    Stay.NOT_ALLOWED: RELEASE_NOT_ALLOWED,
    Stay.NOT_CLAIMED: NOT_CLAIMED,
    Stay.NOT_REDEEMED: NOT_REDEEMED,
    Stay.HOLD_EXPIRED: HOLD_EXPIRED,
}


@routes.post("/api/v1/redemptions/{redemption_id}/confirm")
async def confirm(request: web.Request) -> web.Response:
    """Checkout is done. Idempotent."""
    request.app[DOOR].identify_with_scope(request, SERVICE)
    return await _take(request, "confirm", Step.CONFIRM)


@routes.post("/api/v1/redemptions/{redemption_id}/release")
async def release(request: web.Request) -> web.Response:
    """Checkout failed, or was refunded: the slot is given back if the campaign does so. Idempotent."""
    request.app[DOOR].identify_with_scope(request, SERVICE)
    raw = await read_body(request)
    body = raw if isinstance(raw, Problem) else parse.release_body(raw)
    if isinstance(body, Problem):
        return refuse(body)
    return await _take(request, "release", Step(body.reason))


async def _take(request: web.Request, call: str, step: Step) -> web.Response:
    door = request.app[DOOR]
    named = parse.path_id(request.match_info["redemption_id"])
    taken = None if named is None else await lifecycle.take(door.pool, named, step)
    if taken is None:
        return refuse(REDEMPTION_UNKNOWN)
    if isinstance(taken, Stay):
        return refuse(_STAYS[taken])
    if taken.settlement is not None:
        await door.settle(taken.partition_no, [taken.settlement])
    metrics.ANSWERS.add(call, taken.redemption.state)
    return web.Response(body=encode(redemption(taken.redemption)), content_type="application/json")

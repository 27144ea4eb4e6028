"""Confirm, release, refund: what the shop's back end says once checkout went through, or did not, or was undone."""

from aiohttp import web

from frontdoor import parse
from frontdoor.bodies import read_body
from frontdoor.context import DOOR
from frontdoor.problems import HOLD_EXPIRED, NOT_CLAIMED, NOT_REDEEMED, REDEMPTION_UNKNOWN, RELEASE_NOT_ALLOWED, accepted
from frontdoor.render import redemption
from frontdoor.replies import refuse, reply
from frontdoor.shapes import Kept, OrderRefunded
from frontdoor.tokens import SERVICE
from shared import lifecycle
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
    return await _take(request, Step.CONFIRM)


@routes.post("/api/v1/redemptions/{redemption_id}/release")
async def release(request: web.Request) -> web.Response:
    """Checkout failed, or was refunded: the slot is given back if the campaign does so. Idempotent."""
    body = accepted(parse.release_body(accepted(await read_body(request))))
    return await _take(request, Step(body.reason))


async def _take(request: web.Request, step: Step) -> web.Response:
    door = request.app[DOOR]
    door.identify_with_scope(request, SERVICE)
    named = parse.path_id(request.match_info["redemption_id"])
    taken = None if named is None else await lifecycle.take(door.pool, named, step)
    if taken is None:
        return refuse(REDEMPTION_UNKNOWN)
    if isinstance(taken, Stay):
        return refuse(_STAYS[taken])
    if taken.settlement is not None:
        await door.settle(taken.partition_no, [taken.settlement])
    return reply(redemption(taken.redemption))


@routes.post("/api/v1/orders/{order_id:[^/]+}/refunded")
async def refund_order(request: web.Request) -> web.Response:
    """The order was refunded: whatever its campaigns give back then is given back. Idempotent."""
    door = request.app[DOOR]
    door.identify_with_scope(request, SERVICE)
    order_id = accepted(parse.path_order_id(request.match_info["order_id"]))
    refunded = await lifecycle.refund(door.pool, order_id)
    await door.settle_all(refunded.settlements)
    kept = [Kept(each.redemption_id, each.stay) for each in refunded.kept]
    return reply(OrderRefunded(order_id, [redemption(each) for each in refunded.redemptions], kept))

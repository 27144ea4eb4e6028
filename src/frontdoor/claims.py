"""Polling: what became of a claim that was answered 202, and what an order holds."""

import asyncio

from aiohttp import web

from frontdoor import parse
from frontdoor.context import DOOR, Door
from frontdoor.problems import CLAIM_UNKNOWN, REFUSALS, Problem
from frontdoor.render import encode, pending, redemption
from frontdoor.replies import refuse
from frontdoor.tokens import SERVICE, Identity
from shared import clock, redemptions
from shared.domain.ids import PARTITIONS, ClaimId, PartitionNo, UserId
from shared.domain.outcomes import Granted, Refused, Replayed
from shared.errors import RedisUnavailable
from shared.redemptions import Told

routes = web.RouteTableDef()

#: How often a long poll looks again.
_LOOK_AGAIN_S = 0.1


@routes.get("/api/v1/claims/{claim_id}")
async def read_claim(request: web.Request) -> web.Response:
    """The claim's outcome, waited for as long as `?wait=` says. Only its own user (or a service) may ask."""
    door = request.app[DOOR]
    identity = door.identify(request)
    wait_s = parse.wait_query(request.query.get("wait"))
    if isinstance(wait_s, Problem):
        return refuse(wait_s)
    named, partition = parse.path_id(request.match_info["claim_id"]), _partition(request.query.get("partition"))
    if named is None:
        return refuse(CLAIM_UNKNOWN)
    claim = ClaimId(named)
    deadline = clock.monotonic() + wait_s
    while True:
        # Pending first: whatever leaves the mailbox has been committed before.
        holder = await _pending_holder(door, partition, claim)
        told = await door.outcomes.get(claim)
        if told is not None and (holder is None or not isinstance(told.outcome, Refused)):
            return _told(identity, told)
        if holder is None:
            return refuse(CLAIM_UNKNOWN)
        if not _may_see(identity, holder):
            return refuse(CLAIM_UNKNOWN)
        if clock.monotonic() >= deadline:
            return _json(202, pending(claim, request.path_qs.partition("&wait")[0]), {"Retry-After": "1"})
        await asyncio.sleep(min(_LOOK_AGAIN_S, max(0.0, deadline - clock.monotonic())))


@routes.get("/api/v1/orders/{order_id:[^/]+}/redemptions")  # by itself, a name in a path takes no braces
async def read_order(request: web.Request) -> web.Response:
    """Everything an order holds or held: all of it for a service, the caller's own for a user."""
    door = request.app[DOOR]
    identity = door.identify(request)
    order_id = parse.path_order_id(request.match_info["order_id"])
    if isinstance(order_id, Problem):
        return refuse(order_id)
    async with door.pool.acquire(timeout=2) as connection:
        held = await redemptions.by_order(connection, order_id)
    shown = [redemption(each) for each in held if _may_see(identity, each.user_id)]
    return _json(200, {"order_id": order_id, "redemptions": shown})


async def _pending_holder(door: Door, partition: PartitionNo | None, claim: ClaimId) -> UserId | None:
    """Whose claim it is, while it is in a mailbox."""
    partitions = range(PARTITIONS) if partition is None else [partition]
    try:
        found = await asyncio.gather(*(door.gate.pending(PartitionNo(each), [claim]) for each in partitions))
    except RedisUnavailable:
        return None
    return next((holders[claim] for holders in found if holders), None)


def _partition(text: str | None) -> PartitionNo | None:
    """The partition that Location named; None when it names none, and all must be asked."""
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 3 or int(text) >= PARTITIONS:
        return None
    return PartitionNo(int(text))


def _told(identity: Identity, told: Told) -> web.Response:
    if not _may_see(identity, told.user_id):
        return refuse(CLAIM_UNKNOWN)
    match told.outcome:
        case Granted(shown) | Replayed(shown):
            return _json(200, redemption(shown))
        case Refused(reason):
            return refuse(REFUSALS[reason])


def _may_see(identity: Identity, user: UserId) -> bool:
    return identity.user_id == user or SERVICE in identity.scopes


def _json(status: int, body: dict[str, object], headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(status=status, body=encode(body), headers={"Content-Type": "application/json", **(headers or {})})

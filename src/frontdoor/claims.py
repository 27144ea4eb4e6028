"""Polling: what became of a claim that was answered 202, and what an order holds."""

import asyncio

import msgspec
from aiohttp import web

from frontdoor import parse
from frontdoor.context import DOOR, Door
from frontdoor.problems import CLAIM_UNKNOWN, accepted, refusal
from frontdoor.render import pending, redemption
from frontdoor.replies import refuse, reply, respond, shown_pending
from frontdoor.shapes import OrderRedemptions
from frontdoor.tokens import SERVICE, Identity
from shared import clock
from shared.book import lifeless
from shared.domain.ids import PARTITIONS, ClaimId, PartitionNo, UserId
from shared.domain.outcomes import Granted, Outcome, Refused, Replayed
from shared.errors import RedisUnavailable
from shared.postgres import for_a_look
from shared.redemptions import Told

routes = web.RouteTableDef()

#: How often a long poll looks again.
_LOOK_AGAIN_S = 0.1


class _Waits(msgspec.Struct, frozen=True):
    """A claim that is in a mailbox: whose it is, and where. `read`: whether anybody reads that mailbox."""

    user_id: UserId
    partition_no: PartitionNo
    read: bool


@routes.get("/api/v1/claims/{claim_id}")
async def read_claim(request: web.Request) -> web.Response:
    """The claim's outcome, waited for as long as `?wait=` says. Only its own user (or a service) may ask."""
    door = request.app[DOOR]
    wait_s = accepted(parse.wait_query(request.query.get("wait")))
    identity = door.identify(request.headers)
    named = parse.path_id(request.match_info["claim_id"])
    if named is None:
        return refuse(CLAIM_UNKNOWN)
    claim, partitions = ClaimId(named), _partitions(request.query.get("partition"))
    deadline = clock.monotonic() + wait_s
    while True:
        found = await _find(door, claim, partitions)
        if found is None or not _may_see(identity, found.user_id):
            return refuse(CLAIM_UNKNOWN)
        if isinstance(found, Told):
            return _told(found.outcome)
        left_s = deadline - clock.monotonic()
        if left_s <= 0:
            return respond(shown_pending(pending(claim, found.partition_no)))
        await asyncio.sleep(min(_LOOK_AGAIN_S, left_s))


@routes.get("/api/v1/orders/{order_id:[^/]+}/redemptions")  # by itself, a name in a path takes no braces
async def read_order(request: web.Request) -> web.Response:
    """Everything an order holds or held: all of it for a service, the caller's own for a user."""
    door = request.app[DOOR]
    order_id = accepted(parse.path_order_id(request.match_info["order_id"]))
    identity = door.identify(request.headers)
    held = await door.orders.get(order_id) or []
    return reply(OrderRedemptions(order_id, [redemption(each) for each in held if _may_see(identity, each.user_id)]))


async def _find(door: Door, claim: ClaimId, partitions: list[PartitionNo]) -> Told | _Waits | None:
    """What is known of a claim: its outcome, or that it waits for one.

    A success is for ever. A refusal may be of the claim's last life while it waits in its next one, so without Redis nothing
    but a success is known, unless there is no mailbox: raises RedisUnavailable then.
    """
    waits, silence = None, None
    try:
        # First, for whatever leaves a mailbox has been committed before.
        waits = await _look_in_mailboxes(door, claim, partitions)
    except RedisUnavailable as error:
        silence = None if await _have_no_mailbox(door, partitions) else error
    told = await door.outcomes.get(claim)
    if told is not None and not isinstance(told.outcome, Refused):
        return told
    if silence is not None:
        raise silence
    if waits is None:
        return told
    # Nobody reads the mailbox of a life that was ended: it is asked for once more.
    return waits if waits.read else None


async def _look_in_mailboxes(door: Door, claim: ClaimId, partitions: list[PartitionNo]) -> _Waits | None:
    found = await asyncio.gather(*(door.gate.pending(partition, [claim]) for partition in partitions))
    holders = [(partition, users[claim]) for partition, users in zip(partitions, found, strict=True) if claim in users]
    waits = [_Waits(user, partition, read=not await door.desk.lifeless(partition)) for partition, user in holders]
    return max(waits, key=lambda each: each.read, default=None)


async def _have_no_mailbox(door: Door, partitions: list[PartitionNo]) -> bool:
    async with for_a_look(door.pool) as connection:
        return len(await lifeless(connection, partitions)) == len(partitions)


def _partitions(named: str | None) -> list[PartitionNo]:
    """The partition that Location named, or all, when it names none."""
    partition = None if named is None else parse.whole_number(named, PARTITIONS - 1)
    return [PartitionNo(number) for number in (range(PARTITIONS) if partition is None else [partition])]


def _told(outcome: Outcome) -> web.Response:
    match outcome:
        case Granted(taken) | Replayed(taken):
            return reply(redemption(taken))
        case Refused() as refused:
            return refuse(refusal(refused))


def _may_see(identity: Identity, user: UserId) -> bool:
    return identity.user_id == user or SERVICE in identity.scopes

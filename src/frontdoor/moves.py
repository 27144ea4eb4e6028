"""Campaigns cut into slices, or moved, over HTTP, for administrators; and how that is done while they run.

Nobody is let in while it is done: the gates are told to keep everybody waiting, until what waits in the mailboxes is decided
and no certificate is good any more that they have given. Only then do the slices move, so no old gate contradicts a new one.
Who asks an old gate meanwhile, or its mailbox, is told to look where the campaign lives.
"""

import asyncio

import msgspec
import structlog
from aiohttp import web

from frontdoor.administration import administrator, campaign_named
from frontdoor.bodies import read_body
from frontdoor.campaign_shapes import MoveBody, SplitBody, moved
from frontdoor.context import Door
from frontdoor.problems import (
    ALREADY_SPLIT,
    CAMPAIGN_ENDED,
    CAMPAIGN_MOVING,
    CAMPAIGN_UNKNOWN,
    NOT_DRAINED,
    NOT_SPLITTABLE,
    Problem,
    accepted,
)
from frontdoor.replies import refuse, reply
from frontdoor.strict_json import decode, field_problem
from shared import clock, moving
from shared.campaigns import CampaignEnded, CampaignUnknown, Committed
from shared.crash_points import crash_point
from shared.domain.campaign import Campaign, Slice
from shared.domain.ids import CampaignId, PartitionNo, UserId
from shared.domain.settlement import Settlement
from shared.errors import RedisUnavailable
from shared.gate import CERTIFICATE_MS, Admission, CampaignAsk, Gate, Moved
from shared.moving import Held, Move, MoveRefused, NotDrained, NotShared, OnTheMove, OutOfRange, Split, SplitAlready, Wish

routes = web.RouteTableDef()

#: For how long what waits in the mailboxes may take to be decided, and for how long new gates are waited for.
_DRAIN_WITHIN_S = 1.5
_WARM_WITHIN_S = 2.0
_LOOK_EVERY_S = 0.01

log = structlog.get_logger()


class Done(msgspec.Struct, frozen=True):
    """A campaign as it lives now, and for how long nobody was let in meanwhile."""

    campaign: Committed
    paused_ms: int


@routes.post("/api/v1/campaigns/{campaign_id}/split")
async def split_campaign(request: web.Request) -> web.Response:
    """The campaign, cut into so many slices."""
    door, by = administrator(request)
    body = accepted(decode(accepted(await read_body(request)), SplitBody))
    return await _moved(door, campaign_named(request), Split(body.slices), by)


@routes.post("/api/v1/campaigns/{campaign_id}/move")
async def move_campaign(request: web.Request) -> web.Response:
    """The campaign, living in that partition."""
    door, by = administrator(request)
    body = accepted(decode(accepted(await read_body(request)), MoveBody))
    return await _moved(door, campaign_named(request), Move(body.partition), by)


async def _moved(door: Door, campaign_id: CampaignId, wish: Wish, by: UserId) -> web.Response:
    done = await carry_out(door, campaign_id, wish, by)
    return reply(moved(done.campaign, done.paused_ms)) if isinstance(done, Done) else refuse(_problem(done))


async def carry_out(door: Door, campaign_id: CampaignId, wish: Wish, by: UserId) -> Done | MoveRefused:
    """Move a campaign as it is wished. Raises RedisUnavailable, when nothing was moved, or nobody knows."""
    held = await moving.hold(door.pool, campaign_id, wish, by)
    if isinstance(held, Committed):
        return Done(held, 0)
    if not isinstance(held, Held):
        return held
    began = clock.monotonic()
    crash_point("M1")
    made = await _put(door, held, wish, by)
    if not isinstance(made, Committed):
        return made
    crash_point("M2")
    await door.campaigns.changed(made.campaign)
    await _open(door.gate, made)
    paused_ms = round((clock.monotonic() - began) * 1000)
    log.info("campaign_moved", campaign=str(campaign_id), partitions=_places(made.campaign), paused_ms=paused_ms)
    return Done(made, paused_ms)


async def _put(door: Door, held: Held, wish: Wish, by: UserId) -> Committed | NotDrained | OnTheMove:
    """Move what is held once nothing contradicts it; if that is not to be had, let people in again. Raises RedisUnavailable."""
    made: Committed | NotDrained | OnTheMove | None = None
    try:
        made = await _let_run_out(door.gate, held) or await moving.put(door.pool, held, wish, by)
        return made
    finally:
        if not isinstance(made, Committed):
            await door.settle_all(await moving.lift(door.pool, held))


async def _let_run_out(gate: Gate, held: Held) -> NotDrained | None:
    """Wait until nothing is waiting in the mailboxes, and no certificate of these gates is good. Raises RedisUnavailable."""
    await asyncio.gather(*(_set(gate, partition, settlement) for partition, settlement in held.gates))
    closed_at = clock.monotonic()
    for partition, settlement in held.gates:
        while await gate.waiting(partition, settlement.campaign_id):
            if clock.monotonic() > closed_at + _DRAIN_WITHIN_S:
                return NotDrained(partition)
            await asyncio.sleep(_LOOK_EVERY_S)
    await asyncio.sleep(max(0.0, closed_at + CERTIFICATE_MS / 1000 - clock.monotonic()))
    return None


async def _set(gate: Gate, partition: PartitionNo, settlement: Settlement) -> None:
    """Have the gate keep everybody waiting, in whichever life the partition is. One that begins later is seeded so."""
    living = await gate.living(partition)
    while living is not None:
        answer = await gate.settle(partition, living, [settlement])
        living = answer.incarnation if isinstance(answer, Moved) else None


async def _open(gate: Gate, made: Committed) -> None:
    """Have the new gates seeded, and wait for that as long as it should take: their owners hear it when they are asked for."""
    try:
        async with asyncio.timeout(_WARM_WITHIN_S):
            await asyncio.gather(*(_set(gate, partition, settlement) for partition, settlement in made.settlements))
            await asyncio.gather(*(_warmed(gate, made.campaign.campaign_id, part) for part in made.campaign.slices))
    except (TimeoutError, RedisUnavailable) as error:
        log.warning("gates_not_seen_open", campaign=str(made.campaign.campaign_id), error=repr(error))


async def _warmed(gate: Gate, campaign_id: CampaignId, part: Slice) -> None:
    ask = CampaignAsk(campaign_id, "", b"", 0, part.slice_no, part.layout)
    while True:
        living = await gate.living(part.partition_no)
        answer = None if living is None else await gate.admit(part.partition_no, living, [ask], [])
        if isinstance(answer, Admission) and answer.campaigns[0].edition:
            return
        await asyncio.sleep(_LOOK_EVERY_S)


def _places(campaign: Campaign) -> list[int]:
    return [part.partition_no for part in campaign.slices]


def _problem(refused: MoveRefused) -> Problem:
    match refused:
        case CampaignUnknown():
            return CAMPAIGN_UNKNOWN
        case CampaignEnded():
            return CAMPAIGN_ENDED
        case NotShared():
            return NOT_SPLITTABLE
        case SplitAlready(slices):
            return ALREADY_SPLIT.saying(f"It has {slices} slices, which are not put together again, nor moved as one.")
        case OutOfRange(what):
            field, _, rule = what.partition(" ")
            return field_problem(field, rule)
        case OnTheMove():
            return CAMPAIGN_MOVING
        case NotDrained():
            return NOT_DRAINED

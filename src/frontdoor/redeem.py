"""Redeem: the call of the burst. Parse, identify, look the code up, answer from a certificate or see the claim through.

The order in which a request can be refused is fixed: its form (400, 413, 415), its token (401), whom it may speak for (403),
how often they ask (429), the code (404), then, behind the gate, a replay of the caller's own success, then the audience (403),
then the campaign.
"""

from functools import partial

import msgspec
from aiohttp import web

from frontdoor import parse
from frontdoor.context import Door
from frontdoor.directory import Found
from frontdoor.eligibility import NO_SEGMENTS, Person, for_everybody, person, reads_segments, unfit
from frontdoor.problems import BUSY, REFUSALS, Problem, accepted, refusal
from frontdoor.reception import HIDDEN, Answering, received, unknown
from frontdoor.recording import recorded
from frontdoor.render import pending, redemption
from frontdoor.replies import Reply, Shown, shown_pending
from frontdoor.submissions import Answer, Undecided
from frontdoor.visit import Visit
from shared import clock, metrics
from shared.domain.attempt import storable
from shared.domain.campaign import Campaign
from shared.domain.ids import ClaimId, UserId, claim_id
from shared.domain.limits import LimitedCall
from shared.domain.operations import SubmitClaim, body_hash
from shared.domain.outcomes import Granted, Refusal, Refused, Replayed

routes = web.RouteTableDef()


class _Asked(msgspec.Struct, frozen=True, gc=False):
    """What is asked for, by which key, and for whom."""

    visit: Visit
    body: parse.RedeemBody
    key: str
    who: Person


@routes.post("/api/v1/coupons/redeem")
async def redeem(request: web.Request) -> web.Response:
    """Claim a slot, or show the slot that this very claim took before."""
    return await received(request, answer)


@recorded("redeem")
def answer(door: Door, visit: Visit) -> Answering:
    """Why this call gets nothing, when memory says so for certain; otherwise what sees it through. Raises ProblemRaised."""
    if door.desk.full:
        return BUSY
    asked = _asked(door, visit)
    subject = door.limiter.user(asked.who.user_id)
    limited = door.limiter.refusal(subject, LimitedCall.REDEEM)
    if limited is not None:
        return limited
    found = door.directory.peek(asked.body.code)
    known = unknown(door, asked.body.code) if found is None else _known(door, asked, found)
    if known is None:
        return door.limiter.granted(subject, LimitedCall.REDEEM, partial(_seen_through, door, asked, found))
    return door.limiter.spent(subject, LimitedCall.REDEEM, known)


def _asked(door: Door, visit: Visit) -> _Asked:
    body = accepted(parse.redeem_body(visit.body))
    key = accepted(parse.idempotency_key(visit.headers.getall("Idempotency-Key", ())))
    named = None if body.user_id is None else UserId(body.user_id)
    who = accepted(person(door.identify(visit.headers), named, body.attrs, body.first_order))
    visit.attempt.code, visit.attempt.user_id = body.code, who.user_id
    return _Asked(visit, body, key, who)


def _known(door: Door, asked: _Asked, found: Found) -> Problem | None:
    """Why it gets nothing, if neither the gate nor Postgres has to be asked."""
    campaign, who = found.campaign, asked.who
    asked.visit.attempt.campaign_id = campaign.campaign_id
    if not found.is_for(who.user_id):
        return HIDDEN
    if for_everybody(campaign):
        return _refused_from_memory(door, found, who.user_id, None)
    if reads_segments(campaign):
        return None
    return _refused_from_memory(door, found, who.user_id, unfit(campaign, who, NO_SEGMENTS, clock.utc_now()))


async def _seen_through(door: Door, asked: _Asked, peeked: Found | None) -> Reply:
    found = peeked or await door.directory.find(asked.body.code)
    if found is None:
        return HIDDEN
    campaign = found.campaign
    asked.visit.attempt.campaign_id = campaign.campaign_id
    if not found.is_for(asked.who.user_id):
        return HIDDEN
    not_for = await _unfit(door, campaign, asked.who)
    known = _refused_from_memory(door, found, asked.who.user_id, not_for)
    if known is not None:
        return known
    claim = _claim(door, found, asked)
    asked.visit.attempt.claim_id = claim.claim_id
    wait_s = parse.preferred_wait(asked.visit.headers.getall("Prefer", ()))
    return _answered(claim.claim_id, await door.desk.submit(claim, campaign, wait_s, not_for))


async def _unfit(door: Door, campaign: Campaign, who: Person) -> Refusal | None:
    """Why the campaign is not for this user, whatever has to be looked up to tell."""
    if for_everybody(campaign):
        return None
    segments = await door.segments.get(who.user_id) if reads_segments(campaign) else None
    return unfit(campaign, who, segments or NO_SEGMENTS, clock.utc_now())


def _refused_from_memory(door: Door, found: Found, user: UserId, not_for: Refusal | None) -> Problem | None:
    """A certificate knows who may hold something, and so whom a replay has to be looked for; `not_for` outranks its reason."""
    own_code, now = not found.code.single_use, clock.monotonic()
    part = found.campaign.slice_for(user)
    reason = door.certificates.refusal(
        found.campaign.campaign_id, user, now, own_code=own_code, slice_no=part.slice_no, layout=part.layout
    )
    if reason is None:
        return None
    metrics.CERTIFICATE_ANSWERS.add()
    return REFUSALS[not_for or reason]


def _claim(door: Door, found: Found, asked: _Asked) -> SubmitClaim:
    user, code, body = asked.who.user_id, found.code.code, asked.body
    return SubmitClaim(
        claim_id=claim_id(user, asked.key),
        campaign_id=found.campaign.campaign_id,
        slice_no=found.campaign.slice_for(user).slice_no,
        user_id=user,
        code=code,
        order_id=body.order_id,
        subtotal=body.subtotal,
        idempotency_key=asked.key,
        body_hash=body_hash(code, body.order_id, body.subtotal),
        door=door.door_id,
        ip=asked.visit.ip,
        typed=storable(body.code),
    )


def _answered(claim: ClaimId, answer: Answer) -> Reply:
    match answer:
        case Granted(taken):
            return Shown(redemption(taken), 201)
        case Replayed(taken):
            return Shown(redemption(taken))
        case Refused() as refused:
            return refusal(refused)
        case Undecided(partition):
            return shown_pending(pending(claim, partition))
        case Problem():
            return answer

"""Redeem: the call of the burst. Parse, identify, look the code up, answer from a certificate or see the claim through.

The order in which a request can be refused is fixed: its form (400, 413, 415), its token (401), whom it may speak for (403),
the code (404), then, behind the gate, a replay of the caller's own success, then the audience (403), then the campaign.
"""

from aiohttp import web
from multidict import CIMultiDictProxy

from frontdoor import parse
from frontdoor.bodies import read_body
from frontdoor.context import DOOR, Door
from frontdoor.directory import Found
from frontdoor.eligibility import NO_SEGMENTS, Person, for_everybody, person, reads_segments, unfit
from frontdoor.problems import REFUSALS, Problem, accepted, refusal
from frontdoor.render import pending, redemption
from frontdoor.replies import refuse, reply, reply_pending
from frontdoor.submissions import Answer, Undecided
from shared import clock, metrics
from shared.domain.campaign import Campaign
from shared.domain.ids import ClaimId, UserId, claim_id
from shared.domain.operations import SubmitClaim, body_hash
from shared.domain.outcomes import Granted, Refusal, Refused, Replayed

routes = web.RouteTableDef()


@routes.post("/api/v1/coupons/redeem")
async def redeem(request: web.Request) -> web.Response:
    """Claim a slot, or show the slot that this very claim took before."""
    door = request.app[DOOR]
    body, key, who = _asked(door, request.headers, accepted(await read_body(request)))
    found = await door.directory.find(body.code)
    if found is None or not found.is_for(who.user_id):
        return refuse(REFUSALS[Refusal.UNKNOWN_CODE])
    campaign = found.campaign
    not_for = await _unfit(door, campaign, who)
    known = _refused_from_memory(door, campaign, who.user_id, not_for)
    if known is not None:
        return refuse(known)
    claim = _claim(door, found, who.user_id, key, body)
    wait_s = parse.preferred_wait(request.headers.getall("Prefer", ()))
    return _answered(claim.claim_id, await door.desk.submit(claim, campaign, wait_s, not_for))


def at_once(door: Door, headers: CIMultiDictProxy[str], raw: bytes) -> Problem | None:
    """Why this call gets nothing, when a certificate says so; None when it takes more than that. Raises ProblemRaised."""
    if not door.certificates.any_at(clock.monotonic()):
        return None
    body, _, who = _asked(door, headers, raw)
    found = door.directory.peek(body.code)
    if found is None or not found.is_for(who.user_id):
        return None
    campaign = found.campaign
    if for_everybody(campaign):
        return _refused_from_memory(door, campaign, who.user_id, None)
    if reads_segments(campaign):
        return None
    return _refused_from_memory(door, campaign, who.user_id, unfit(campaign, who, NO_SEGMENTS, clock.utc_now()))


def _asked(door: Door, headers: CIMultiDictProxy[str], raw: bytes) -> tuple[parse.RedeemBody, str, Person]:
    """What is asked for, by which key, and for whom. Raises ProblemRaised."""
    body = accepted(parse.redeem_body(raw))
    key = accepted(parse.idempotency_key(headers.getall("Idempotency-Key", ())))
    named = None if body.user_id is None else UserId(body.user_id)
    return body, key, accepted(person(door.identify(headers), named, body.attrs, body.first_order))


async def _unfit(door: Door, campaign: Campaign, who: Person) -> Refusal | None:
    """Why the campaign is not for this user, whatever has to be looked up to tell."""
    if for_everybody(campaign):
        return None
    segments = await door.segments.get(who.user_id) if reads_segments(campaign) else None
    return unfit(campaign, who, segments or NO_SEGMENTS, clock.utc_now())


def _refused_from_memory(door: Door, campaign: Campaign, user: UserId, not_for: Refusal | None) -> Problem | None:
    """A certificate knows who may hold something, and so whom a replay has to be looked for; `not_for` outranks its reason."""
    reason = door.certificates.refusal(campaign.campaign_id, user, clock.monotonic())
    if reason is None:
        return None
    metrics.CERTIFICATE_ANSWERS.add()
    return REFUSALS[not_for or reason]


def _claim(door: Door, found: Found, user: UserId, key: str, body: parse.RedeemBody) -> SubmitClaim:
    code = found.code.code
    return SubmitClaim(
        claim_id=claim_id(user, key),
        campaign_id=found.campaign.campaign_id,
        slice_no=0,
        user_id=user,
        code=code,
        order_id=body.order_id,
        subtotal=body.subtotal,
        idempotency_key=key,
        body_hash=body_hash(code, body.order_id, body.subtotal),
        door=door.door_id,
    )


def _answered(claim: ClaimId, answer: Answer) -> web.Response:
    match answer:
        case Granted(taken):
            return reply(redemption(taken), 201)
        case Replayed(taken):
            return reply(redemption(taken))
        case Refused() as refused:
            return refuse(refusal(refused))
        case Undecided(partition):
            return reply_pending(pending(claim, partition))
        case Problem():
            return refuse(answer)

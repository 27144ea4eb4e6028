"""Redeem: the call of the burst. Parse, identify, find the campaign, answer from a certificate or see the claim through.

The order in which a request can be refused is fixed: its form (400, 413, 415), its token (401), the code (404), then,
behind the gate, a replay of the caller's own success before any refusal of the campaign.
"""

from aiohttp import web
from multidict import CIMultiDictProxy

from frontdoor import parse
from frontdoor.bodies import read_body
from frontdoor.context import DOOR, Door
from frontdoor.problems import REFUSALS, USER_MISMATCH, Problem, accepted
from frontdoor.render import pending, redemption
from frontdoor.replies import refuse, reply, reply_pending
from frontdoor.submissions import Answer, Undecided
from frontdoor.tokens import SERVICE, Identity
from frontdoor.windows import shut
from shared import clock, metrics
from shared.domain.campaign import Campaign
from shared.domain.code import Code, normal_form
from shared.domain.ids import ClaimId, UserId, claim_id
from shared.domain.operations import SubmitClaim, body_hash
from shared.domain.outcomes import Granted, Refused, Replayed

routes = web.RouteTableDef()


@routes.post("/api/v1/coupons/redeem")
async def redeem(request: web.Request) -> web.Response:
    """Claim a slot, or show the slot that this very claim took before."""
    door = request.app[DOOR]
    body, key, user = _asked(door, request.headers, accepted(await read_body(request)))
    campaign = accepted(await door.campaign_of(body.code))
    refusal = _refused_from_memory(door, campaign, user)
    if refusal is not None:
        return refuse(refusal)
    claim = _claim(door, campaign, user, key, body)
    wait_s = parse.preferred_wait(request.headers.getall("Prefer", ()))
    return _answered(claim.claim_id, await door.desk.submit(claim, campaign, shut(campaign), wait_s))


def at_once(door: Door, headers: CIMultiDictProxy[str], raw: bytes) -> Problem | None:
    """Why this call gets nothing, when a certificate says so; None when it takes more than that. Raises ProblemRaised."""
    if not door.certificates.any_at(clock.monotonic()):
        return None
    body, _, user = _asked(door, headers, raw)
    campaign = door.known_campaign_of(body.code)
    return None if campaign is None else _refused_from_memory(door, campaign, user)


def _asked(door: Door, headers: CIMultiDictProxy[str], raw: bytes) -> tuple[parse.RedeemBody, str, UserId]:
    """What is asked for, by which key, and for whom. Raises ProblemRaised."""
    body = accepted(parse.redeem_body(raw))
    key = accepted(parse.idempotency_key(headers.getall("Idempotency-Key", ())))
    return body, key, accepted(_user(door.identify(headers), body.user_id))


def _refused_from_memory(door: Door, campaign: Campaign, user: UserId) -> Problem | None:
    reason = door.certificates.refusal(campaign.campaign_id, user, clock.monotonic())
    if reason is None:
        return None
    metrics.CERTIFICATE_ANSWERS.add()
    return REFUSALS[reason]


def _user(identity: Identity, named: str | None) -> UserId | Problem:
    """Whose claim it is: the token's user, or whom a checkout back end names."""
    if named is None or named == identity.user_id:
        return identity.user_id
    return UserId(named) if SERVICE in identity.scopes else USER_MISMATCH


def _claim(door: Door, campaign: Campaign, user: UserId, key: str, body: parse.RedeemBody) -> SubmitClaim:
    code = Code(normal_form(body.code) or "")
    return SubmitClaim(
        claim_id=claim_id(user, key),
        campaign_id=campaign.campaign_id,
        slice_no=0,
        user_id=user,
        code=code,
        order_id=body.order_id,
        subtotal=body.subtotal,
        idempotency_key=key,
        body_hash=body_hash(code, body.order_id, body.subtotal),
        door=door.door_id,
        ticket=door.desk.next_ticket(),
    )


def _answered(claim: ClaimId, answer: Answer) -> web.Response:
    match answer:
        case Granted(taken):
            return reply(redemption(taken), 201)
        case Replayed(taken):
            return reply(redemption(taken))
        case Refused(reason):
            return refuse(REFUSALS[reason])
        case Undecided(partition):
            return reply_pending(pending(claim, partition))
        case Problem():
            return refuse(answer)

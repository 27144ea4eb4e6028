"""Redeem: the call of the burst. Parse, identify, find the campaign, answer from a certificate or see the claim through.

The order in which a request can be refused is fixed: its form (400, 413, 415), its token (401), the code (404), then,
behind the gate, a replay of the caller's own success before any refusal of the campaign.
"""

from aiohttp import web

from frontdoor import parse
from frontdoor.bodies import read_body
from frontdoor.context import DOOR, Door
from frontdoor.problems import REFUSALS, USER_MISMATCH, Problem
from frontdoor.render import encode, pending, redemption
from frontdoor.replies import refuse
from frontdoor.submissions import Answer, Undecided
from frontdoor.tokens import SERVICE, Identity
from frontdoor.windows import shut
from shared import clock, metrics
from shared.domain.campaign import Campaign
from shared.domain.code import Code, normal_form
from shared.domain.ids import UserId, claim_id
from shared.domain.operations import SubmitClaim, body_hash
from shared.domain.outcomes import Granted, Refusal, Refused, Replayed

routes = web.RouteTableDef()


@routes.post("/api/v1/coupons/redeem")
async def redeem(request: web.Request) -> web.Response:
    """Claim a slot, or show the slot that this very claim took before."""
    door = request.app[DOOR]
    raw = await read_body(request)
    if isinstance(raw, Problem):
        return _refused(raw)
    body = parse.redeem_body(raw)
    if isinstance(body, Problem):
        return _refused(body)
    key = parse.idempotency_key(request.headers.getall("Idempotency-Key", ()))
    if isinstance(key, Problem):
        return _refused(key)
    user = _user(door.identify(request), body.user_id)
    if isinstance(user, Problem):
        return _refused(user)
    code = normal_form(body.code)
    campaign = None if code is None else door.campaigns.peek(code) or await door.campaigns.find(code)
    if code is None or campaign is None:
        return _refused(REFUSALS[Refusal.UNKNOWN_CODE])
    reason = door.certificates.refusal(campaign.campaign_id, user, clock.monotonic())
    if reason is not None:
        metrics.CERTIFICATE_ANSWERS.add()
        return _refused(REFUSALS[reason])
    prefer = parse.prefer(request.headers.getall("Prefer", ()))
    claim = _claim(door, campaign, code, user, key, body)
    answer = await door.desk.submit(claim, campaign, shut(campaign), prefer.wait_s)
    return _answered(claim, campaign, answer)


def _user(identity: Identity, named: str | None) -> UserId | Problem:
    """Whose claim it is: the token's user, or whom a checkout back end names."""
    if named is None or named == identity.user_id:
        return identity.user_id
    return UserId(named) if SERVICE in identity.scopes else USER_MISMATCH


def _claim(door: Door, campaign: Campaign, code: Code, user: UserId, key: str, body: parse.RedeemBody) -> SubmitClaim:
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


def _answered(claim: SubmitClaim, campaign: Campaign, answer: Answer) -> web.Response:
    match answer:
        case Granted(shown):
            return _shown(201, "granted", encode(redemption(shown)))
        case Replayed(shown):
            return _shown(200, "replayed", encode(redemption(shown)))
        case Refused(reason):
            return _refused(REFUSALS[reason])
        case Undecided():
            location = f"/api/v1/claims/{claim.claim_id}?partition={campaign.slices[0].partition_no}"
            metrics.ANSWERS.add("redeem", "pending")
            return web.Response(
                status=202,
                body=encode(pending(claim.claim_id, location)),
                headers={"Content-Type": "application/json", "Location": location, "Retry-After": "1"},
            )
        case Problem():
            return _refused(answer)


def _shown(status: int, code: str, body: bytes) -> web.Response:
    metrics.ANSWERS.add("redeem", code)
    return web.Response(status=status, body=body, content_type="application/json")


def _refused(problem: Problem) -> web.Response:
    metrics.ANSWERS.add("redeem", problem.code)
    return refuse(problem)

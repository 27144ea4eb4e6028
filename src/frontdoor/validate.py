"""Validate: what a code would give, without taking anything. Answered from memory when all that matters is there."""

import asyncio
from collections.abc import Sequence
from functools import partial

import msgspec
from aiohttp import web

from frontdoor import parse
from frontdoor.context import Door
from frontdoor.directory import Found
from frontdoor.eligibility import NO_SEGMENTS, Person, Segments, in_audience, person, reads_segments
from frontdoor.problems import Problem, ProblemRaised, accepted
from frontdoor.quotes import Cart, Circumstances, quote, stacked, stands, unruled
from frontdoor.reception import HIDDEN, Answering, received, unknown
from frontdoor.recording import recorded
from frontdoor.replies import Reply, Shown
from frontdoor.strict_json import field_problem
from frontdoor.tokens import SERVICE
from frontdoor.visit import Attempt, Visit
from shared import clock
from shared.domain.code import Code, normal_form
from shared.domain.ids import UserId
from shared.domain.limits import LimitedCall, Subject
from shared.domain.redemption import Redemption
from shared.domain.stacking import Stacked

routes = web.RouteTableDef()

#: Other codes that a cart may say are applied, unless a service says so.
MAX_APPLIED = 5


class _Asked(msgspec.Struct, frozen=True, gc=False):
    """What is asked, who for (None: nobody in particular), and whether by a service, which sees all of an order.

    `attempt`: what is kept of it.
    """

    body: parse.ValidateBody
    who: Person | None
    service: bool
    attempt: Attempt


@routes.post("/api/v1/coupons/validate")
async def validate(request: web.Request) -> web.Response:
    """What the code gives now, or why it gives nothing. It promises nothing: only a redeem takes a slot."""
    return await received(request, answer)


@recorded("validate")
def answer(door: Door, visit: Visit) -> Answering:
    """What the code gives, from memory if the gate and Postgres need not be asked. Raises ProblemRaised."""
    asked = _asked(door, visit)
    asked.attempt.code, asked.attempt.user_id = asked.body.code, _user(asked)
    subject = _subject(door, visit, asked)
    limited = door.limiter.refusal(subject, LimitedCall.VALIDATE)
    if limited is not None:
        return limited
    found = door.directory.peek(asked.body.code)
    known = unknown(door, asked.body.code) if found is None else _known(door, asked, found)
    if known is None:
        return door.limiter.granted(subject, LimitedCall.VALIDATE, partial(_looked_up, door, asked, found))
    return door.limiter.spent(subject, LimitedCall.VALIDATE, known)


def _subject(door: Door, visit: Visit, asked: _Asked) -> Subject | None:
    """Who is limited: a service only for the users it names, for it asks for all the others it serves."""
    if asked.who is None:
        return door.limiter.address(visit.ip)
    return None if asked.service and asked.body.user_id is None else door.limiter.user(asked.who.user_id)


def _known(door: Door, asked: _Asked, found: Found) -> Reply | None:
    asked.attempt.campaign_id = found.campaign.campaign_id
    if _hidden(asked, found):
        return HIDDEN
    if not door.availability.knows(found.campaign) or found.code.single_use or _may_hold(asked):
        return None
    if asked.who is not None and reads_segments(found.campaign):
        return None
    beside = _known_beside(door, asked)
    if beside is None:
        return None
    return _quoted(door, found, asked, Cart(asked.body.subtotal, beside, ()), NO_SEGMENTS, used=False)


async def _looked_up(door: Door, asked: _Asked, peeked: Found | None) -> Reply:
    found = peeked or await door.directory.find(asked.body.code)
    if found is None:
        return HIDDEN
    asked.attempt.campaign_id = found.campaign.campaign_id
    if _hidden(asked, found):
        return HIDDEN
    await door.availability.learn(found.campaign)
    segments = await _segments(door, found, asked)
    used = found.code.single_use and bool(await door.used_codes.get(found.code.code))
    held = await _held(door, asked)
    cart = Cart(asked.body.subtotal, await _beside(door, asked, held), held)
    return _quoted(door, found, asked, cart, segments, used)


def _asked(door: Door, visit: Visit) -> _Asked:
    body = accepted(parse.validate_body(visit.body))
    described = body.user_id is not None or body.attrs is not None
    if "Authorization" not in visit.headers and not described:
        return _Asked(_of_a_shopper(body), None, False, visit.attempt)
    identity = door.identify(visit.headers)
    named = None if body.user_id is None else UserId(body.user_id)
    who = accepted(person(identity, named, body.attrs, body.first_order))
    service = SERVICE in identity.scopes
    return _Asked(body if service else _of_a_shopper(body), who, service, visit.attempt)


def _of_a_shopper(body: parse.ValidateBody) -> parse.ValidateBody:
    """The same; a list of other codes that is longer than a cart's would be a list of guesses, at the price of one."""
    if len(body.applied_codes or ()) > MAX_APPLIED:
        raise ProblemRaised(field_problem("applied_codes", f"may hold {MAX_APPLIED} codes, or 50 from a service"))
    return body


def _hidden(asked: _Asked, found: Found) -> bool:
    """Whether there is no such code for the caller. Told before anything else is looked up, or the time would tell of it."""
    if asked.who is not None or found.campaign.audience_filter is None:
        return not found.is_for(_user(asked))
    return not _may_know(asked, found, NO_SEGMENTS)


def _user(asked: _Asked) -> UserId | None:
    return None if asked.who is None else asked.who.user_id


def _may_hold(asked: _Asked) -> bool:
    """Whether an order is named that may hold something the caller may see."""
    return asked.body.order_id is not None and asked.who is not None


async def _segments(door: Door, found: Found, asked: _Asked) -> Segments:
    if asked.who is None or not reads_segments(found.campaign):
        return NO_SEGMENTS
    return await door.segments.get(asked.who.user_id) or NO_SEGMENTS


async def _held(door: Door, asked: _Asked) -> Sequence[Redemption]:
    """What the order holds, as far as the caller may see it."""
    if asked.body.order_id is None or asked.who is None:
        return ()
    held, now = await door.standing.get(asked.body.order_id) or (), clock.utc_now()
    return [each for each in held if stands(each, now) and (asked.service or each.user_id == asked.who.user_id)]


async def _beside(door: Door, asked: _Asked, held: Sequence[Redemption]) -> Sequence[Stacked]:
    """The other codes on the cart: those it says are applied, then those the order holds."""
    applied = (_applied(door, asked, typed) for typed in dict.fromkeys(asked.body.applied_codes or ()))
    beside = await asyncio.gather(*applied, *(_of_order(door, each.code) for each in held))
    return [each for each in beside if each is not None]


async def _applied(door: Door, asked: _Asked, typed: str) -> Stacked | None:
    """A code that the cart says it has; None when no code is like that.

    Whoever may not know a code hears no more of it than of one that is none, or codes of others could be found by trying.
    """
    began = asyncio.get_running_loop().time()
    known = unknown(door, typed) is not None
    found = None if known else await door.directory.find(typed)
    if found is not None and _may_know(asked, found, await _segments(door, found, asked)):
        return stacked(found)
    await door.ticks.until(door.ticks.known(began) if known else door.ticks.looked_up(began))
    code = normal_form(typed)
    return None if code is None else unruled(code)


async def _of_order(door: Door, code: Code) -> Stacked:
    found = await door.directory.of(code)
    return unruled(code) if found is None else stacked(found)


def _may_know(asked: _Asked, found: Found, segments: Segments) -> bool:
    """Whether this code was made for the caller, or for anybody, and the caller is in its audience."""
    return found.is_for(_user(asked)) and in_audience(found.campaign, asked.who, segments, clock.utc_now())


def _known_beside(door: Door, asked: _Asked) -> Sequence[Stacked] | None:
    """The other codes on the cart, if all of them are in memory, and the caller may know them."""
    found = [door.directory.peek(typed) for typed in asked.body.applied_codes or ()]
    known = [stacked(each) for each in found if each is not None and _may_know_at_once(asked, each)]
    return known if len(known) == len(found) else None


def _may_know_at_once(asked: _Asked, found: Found) -> bool:
    certain = asked.who is None or not reads_segments(found.campaign)
    return certain and _may_know(asked, found, NO_SEGMENTS)


def _quoted(door: Door, found: Found, asked: _Asked, cart: Cart, segments: Segments, used: bool) -> Reply:
    nothing = door.availability.refusal(found.campaign, own_code=not found.code.single_use)
    quoted = quote(found, cart, Circumstances(asked.who, segments, used, nothing, clock.utc_now(), asked.body.first_order))
    return quoted if isinstance(quoted, Problem) else Shown(quoted)

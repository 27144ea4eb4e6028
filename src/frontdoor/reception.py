"""How a call of the coupons is answered, whichever way its request came in; and the ordinary of these ways, through aiohttp.

A call is a function of the door and the visit. It gives its reply, when memory is enough, or what has to be awaited for it.
"""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeAlias

from aiohttp import web

from frontdoor.bodies import read_body
from frontdoor.client_ip import client_ip
from frontdoor.context import DOOR, Door
from frontdoor.problems import REFUSALS, Problem, accepted
from frontdoor.replies import Reply, Shown, respond
from frontdoor.ticks import Ticks
from frontdoor.visit import Visit
from shared.domain.outcomes import Refusal

#: A reply, or what gives one. May raise, and be raised from, what `failures` knows.
Answering: TypeAlias = Reply | Coroutine[Any, Any, Reply]

Call: TypeAlias = Callable[[Door, Visit], Answering]

#: The one 404 of codes. Whatever made it, it leaves at a tick.
HIDDEN = REFUSALS[Refusal.UNKNOWN_CODE]


def unknown(door: Door, typed: str) -> Problem | None:
    """The one 404 for a code that certainly does not exist; None when it has to be looked up."""
    return HIDDEN if door.directory.unknown(typed) else None


async def received(request: web.Request, call: Call) -> web.Response:
    """The call's answer to a request that came through aiohttp. Raises ProblemRaised, and what the call raises."""
    door = request.app[DOOR]
    return await answered(request, partial(call, door), door.ticks, door.trusted_proxies)


async def answered(
    request: web.Request, answer: Callable[[Visit], Answering], ticks: Ticks, trusted_proxies: int = 0
) -> web.Response:
    """The same, by what answers visits."""
    arrived_at = asyncio.get_running_loop().time()
    body = accepted(await read_body(request))
    ip = client_ip(request.remote or "", request.headers, trusted_proxies)
    answering = answer(Visit(request.headers, body, ip, arrived_at))
    if answering is HIDDEN:
        await ticks.until(ticks.known(arrived_at))
        return respond(HIDDEN)
    reply = await awaited(answering)
    if reply is HIDDEN:
        await ticks.until(ticks.looked_up(arrived_at))
    return respond(reply)


async def awaited(answering: Answering) -> Reply:
    """The reply."""
    return answering if isinstance(answering, (Problem, Shown)) else await answering

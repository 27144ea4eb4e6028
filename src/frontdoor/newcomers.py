"""Tokens of a key that was published a moment ago: before they are refused, the key set is looked at once more.

Only a door that goes by a key set has these layers around its calls. They stand before the calls and not behind them, for a
call is made once: it may read its body, count, and be written down.
"""

from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from frontdoor.key_keeping import KeyKeeper
from frontdoor.reception import Answering, awaited
from frontdoor.replies import Reply
from frontdoor.tokens import TokenVerifier
from frontdoor.visit import Visit


def at_the_wicket(
    keeper: KeyKeeper, verifier: TokenVerifier, answer: Callable[[Visit], Answering]
) -> Callable[[Visit], Answering]:
    """The same call, for whose token a key may have to be looked for."""

    def heard(visit: Visit) -> Answering:
        if verifier.key_unknown(visit.headers.get("Authorization")):
            return heard_later(visit)
        return answer(visit)

    async def heard_later(visit: Visit) -> Reply:
        await keeper.look_again()
        return await awaited(answer(visit))

    return heard


def in_the_application(keeper: KeyKeeper, verifier: TokenVerifier) -> Middleware:
    """The same for all calls that come through aiohttp."""

    @web.middleware
    async def look_first(request: web.Request, handler: Handler) -> web.StreamResponse:
        if verifier.key_unknown(request.headers.get("Authorization")):
            await keeper.look_again()
        return await handler(request)

    return look_first

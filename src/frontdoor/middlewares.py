"""What every answer has in common: a request id, and problem+json instead of whatever went wrong.

One middleware, because each layer costs every request of a burst; nothing is logged here unless something broke.
"""

import re
from itertools import count
from secrets import token_hex

from aiohttp import web
from aiohttp.typedefs import Handler

from frontdoor.failures import problem_of
from frontdoor.replies import NO_CALL, counted, refuse, refuse_http

REQUEST_ID_HEADER = "X-Request-Id"

_sane_id = re.compile(r"[A-Za-z0-9._:+/=@-]{1,128}").fullmatch
_id_prefix = token_hex(6)
_id_count = count(1)


@web.middleware
async def answer_every_request(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Echo (or give) a request id, turn every failure into the problem it is, and count the answer. Cancellation passes."""
    named = request_id(request.headers.get(REQUEST_ID_HEADER))
    call = handler.__name__
    try:
        response = await handler(request)
    except web.HTTPError as raised:
        call, response = NO_CALL, refuse_http(raised)
    except Exception as error:
        response = refuse(problem_of(error, named, request.path))
    response.headers[REQUEST_ID_HEADER] = named
    return counted(call, response)


def request_id(given: str | None) -> str:
    """The id of a request: the one it came with, if that is fit to be shown and logged, or a new one."""
    if given is not None and _sane_id(given):
        return given
    return f"{_id_prefix}-{next(_id_count):x}"

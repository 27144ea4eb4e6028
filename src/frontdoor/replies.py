"""A problem as an HTTP answer."""

from aiohttp import web

from frontdoor.problems import (
    BODY_TOO_LARGE,
    EXPECTATION_FAILED,
    INTERNAL,
    MEDIA_TYPE,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    REQUEST_MALFORMED,
    Problem,
    body,
    headers,
)

#: aiohttp's own refusals in our words.
_IN_OUR_WORDS = {404: NOT_FOUND, 405: METHOD_NOT_ALLOWED, 413: BODY_TOO_LARGE, 417: EXPECTATION_FAILED}


def refuse(problem: Problem) -> web.Response:
    """The answer that says `problem`."""
    response = web.Response(status=problem.status, body=body(problem), content_type=MEDIA_TYPE)
    response.headers.update(headers(problem))
    return response


def refuse_http(raised: web.HTTPError) -> web.Response:
    """What aiohttp refused by itself, as a problem."""
    response = refuse(_IN_OUR_WORDS.get(raised.status, REQUEST_MALFORMED if raised.status < 500 else INTERNAL))
    if "Allow" in raised.headers:
        response.headers["Allow"] = raised.headers["Allow"]
    return response

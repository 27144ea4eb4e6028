"""Reading a body off the wire: no more of it than a call takes, and for no longer than it may last."""

import asyncio

from aiohttp import web
from aiohttp.web import RequestPayloadError

from frontdoor.parse import media_problem
from frontdoor.problems import BODY_TOO_LARGE, REQUEST_MALFORMED, REQUEST_TIMEOUT, Problem

MAX_BODY_BYTES = 16 * 1024
READ_TIMEOUT_S = 10.0


async def read_body(request: web.BaseRequest, limit: int = MAX_BODY_BYTES) -> bytes | Problem:
    """The body of a request that calls itself JSON, of at most `limit` bytes, whether it says its length or not.

    Compressed bodies are refused unread, so nothing can unfold in here.
    """
    headers = request.headers
    if (problem := media_problem(headers.get("Content-Type"), headers.get("Content-Encoding"))) is not None:
        return problem
    try:
        if request.content.is_eof():
            # The usual case: it came in one packet with its headers.
            raw = request.content.read_nowait(-1)
            return raw if len(raw) <= limit else BODY_TOO_LARGE
        if (request.content_length or 0) > limit:
            return BODY_TOO_LARGE
        async with asyncio.timeout(READ_TIMEOUT_S):
            return await _arriving(request, limit)
    except TimeoutError:
        return REQUEST_TIMEOUT
    except (RequestPayloadError, ConnectionError):
        return REQUEST_MALFORMED.saying("The body broke off, or its chunks are malformed.")


async def _arriving(request: web.BaseRequest, limit: int) -> bytes | Problem:
    raw = bytearray()
    while chunk := await request.content.readany():
        raw += chunk
        if len(raw) > limit:
            return BODY_TOO_LARGE
    return bytes(raw)

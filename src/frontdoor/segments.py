"""Segments over HTTP, for administrators: put a list in the place of a segment, list them, delete one."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
from aiohttp import web
from aiohttp.web import RequestPayloadError

from frontdoor import parse
from frontdoor.administration import administrator
from frontdoor.bodies import READ_TIMEOUT_S
from frontdoor.problems import (
    BODY_TOO_LARGE,
    CSV_EXPECTED,
    CSV_INVALID,
    REQUEST_MALFORMED,
    REQUEST_TIMEOUT,
    SEGMENT_UNKNOWN,
    ProblemRaised,
)
from frontdoor.replies import refuse, reply
from frontdoor.strict_json import field_problem
from shared import segments
from shared.domain.segment import BadLine, ListReader, Member, is_name
from shared.segments import Segment

routes = web.RouteTableDef()

MAX_LIST_BYTES = 64 * 1024 * 1024
#: A thousand lines or so: what is read of a list before others are served again.
_READ_AT_A_TIME = 16 * 1024


class SegmentList(msgspec.Struct, frozen=True):
    """All segments, by name."""

    segments: list[Segment]


@routes.put("/api/v1/segments/{name}")
async def put_segment(request: web.Request) -> web.Response:
    """The segment as the list in the body says, all of it or nothing."""
    door, _ = administrator(request)
    name = _named(request)
    if not parse.means_utf8(request.headers.get("Content-Type"), "text/csv") or "Content-Encoding" in request.headers:
        return refuse(CSV_EXPECTED)
    try:
        segment = await segments.replace(door.postgres_dsn, name, _members(request))
    except BadLine as bad:
        return refuse(CSV_INVALID.saying(f"Line {bad.line} {bad.what}.").carrying(line=bad.line))
    return reply(segment)


@routes.get("/api/v1/segments")
async def list_segments(request: web.Request) -> web.Response:
    """All segments, with how many users belong to each."""
    door, _ = administrator(request)
    async with door.pool.acquire(timeout=1) as connection:
        return reply(SegmentList(await segments.listed(connection)))


@routes.delete("/api/v1/segments/{name}")
async def delete_segment(request: web.Request) -> web.Response:
    """Nobody belongs to the segment any more; what it was is shown once more."""
    door, _ = administrator(request)
    async with door.pool.acquire(timeout=1) as connection:
        gone = await segments.delete(connection, _named(request))
    return refuse(SEGMENT_UNKNOWN) if gone is None else reply(gone)


def _named(request: web.Request) -> str:
    name = request.match_info["name"]
    if not is_name(name):
        raise ProblemRaised(field_problem("name", "must be of 1 to 64 letters, digits, - and _"))
    return name


async def _members(request: web.Request) -> AsyncIterator[Member]:
    """The members as they arrive. Raises BadLine, and ProblemRaised when the body breaks off or is too large."""
    reader, size = ListReader(), 0
    while arrived := await _arriving(request):
        size += len(arrived)
        if size > MAX_LIST_BYTES:
            raise ProblemRaised(BODY_TOO_LARGE.saying(f"A list is at most {MAX_LIST_BYTES} bytes."))
        for member in reader.feed(arrived):
            yield member
    for member in reader.close():
        yield member


async def _arriving(request: web.Request) -> bytes:
    try:
        async with asyncio.timeout(READ_TIMEOUT_S):
            return await request.content.read(_READ_AT_A_TIME)
    except TimeoutError:
        raise ProblemRaised(REQUEST_TIMEOUT) from None
    except (RequestPayloadError, ConnectionError):
        raise ProblemRaised(REQUEST_MALFORMED.saying("The body broke off, or its chunks are malformed.")) from None

"""Answers as HTTP: JSON, or a problem; and where every answer is counted."""

from collections.abc import Mapping
from typing import TypeAlias, TypeVar

import msgspec
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
from frontdoor.shapes import Pending
from shared import metrics

R = TypeVar("R", bound=web.StreamResponse)


class Shown(msgspec.Struct, frozen=True):
    """An answer that is no refusal; `fields` are further headers."""

    shape: msgspec.Struct
    status: int = 200
    fields: Mapping[str, str] | None = None


#: What a call comes to, before anybody has made bytes of it.
Reply: TypeAlias = Problem | Shown

#: The call under which answers are counted to what was no call of ours.
NO_CALL = "none"

#: aiohttp's own refusals in our words.
_IN_OUR_WORDS = {404: NOT_FOUND, 405: METHOD_NOT_ALLOWED, 413: BODY_TOO_LARGE, 417: EXPECTATION_FAILED}

JSON_TYPE = "application/json"

#: What every answer calls us.
SERVER = "lastslot"

encode = msgspec.json.Encoder().encode
_JSON = {"Content-Type": JSON_TYPE}


class ProblemResponse(web.Response):
    """An answer that says a problem, by whose `code` it is counted."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(status=problem.status, body=body(problem), headers={"Content-Type": MEDIA_TYPE, **headers(problem)})
        self.code = problem.code


def reply(shape: object, status: int = 200, fields: Mapping[str, str] | None = None) -> web.Response:
    """`shape` as JSON in UTF-8, times in RFC 3339; `fields` are further headers."""
    return web.Response(status=status, body=encode(shape), headers=_JSON if fields is None else {**_JSON, **fields})


def shown_pending(pending: Pending) -> Shown:
    """202: the claim is not decided yet, and this is where to ask for it."""
    return Shown(pending, 202, {"Location": pending.location, "Retry-After": "1"})


def respond(to: Reply) -> web.Response:
    """The answer by aiohttp."""
    return refuse(to) if isinstance(to, Problem) else reply(to.shape, to.status, to.fields)


def refuse(problem: Problem) -> ProblemResponse:
    """The answer that says `problem`."""
    return ProblemResponse(problem)


def refuse_http(raised: web.HTTPError) -> ProblemResponse:
    """What aiohttp refused by itself, as a problem."""
    response = refuse(_IN_OUR_WORDS.get(raised.status, REQUEST_MALFORMED if raised.status < 500 else INTERNAL))
    if "Allow" in raised.headers:
        response.headers["Allow"] = raised.headers["Allow"]
    return response


def counted(call: str, response: R) -> R:
    """The same answer, counted: by the code of its problem, or by its status."""
    metrics.ANSWERS.add(call, response.code if isinstance(response, ProblemResponse) else str(response.status))
    return response

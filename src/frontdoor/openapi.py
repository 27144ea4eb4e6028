"""The API document (OpenAPI 3.1), made of the table of calls, the types that bodies are read into, and the problems.

Each port documents what it serves, so that whoever reads the document there can make every call of it there.
"""

from functools import cache
from importlib.metadata import version
from typing import Any, Literal, TypeAlias

import msgspec
from aiohttp import web

from frontdoor import problems
from frontdoor.calls import METRICS_CALLS, OPERATION_CALLS, Call, Parameter
from frontdoor.campaign_calls import CAMPAIGN_CALLS
from frontdoor.code_calls import CODE_CALLS
from frontdoor.coupon_calls import CHECKOUT_CALLS, COUPON_CALLS
from frontdoor.problems import MEDIA_TYPE, Problem
from frontdoor.replies import reply
from frontdoor.segment_calls import SEGMENT_CALLS
from frontdoor.shapes import ProblemDetails

routes = web.RouteTableDef()

#: The two sides of a front door: that of shoppers and checkouts, and that of administrators and their machines.
Side: TypeAlias = Literal["public", "admin"]
Sides: TypeAlias = tuple[Side, ...]
BOTH: Sides = ("public", "admin")
#: Which of them an application serves.
SIDES: web.AppKey[Sides] = web.AppKey("sides", tuple)

CALLS_OF: dict[Side, tuple[Call, ...]] = {
    "public": (*COUPON_CALLS, *CHECKOUT_CALLS),
    "admin": (*CAMPAIGN_CALLS, *CODE_CALLS, *SEGMENT_CALLS, *METRICS_CALLS),
}

_REF = "#/components/schemas/{name}"
_DESCRIPTION = (
    "Lastslot gives each of a campaign's slots to exactly one claim, however many arrive at once. "
    "Errors are application/problem+json; decide by their `code`. Money is integer minor units."
)
_OF_A_BODY = (
    problems.BODY_INVALID,
    problems.FIELD_INVALID,
    problems.REQUEST_TIMEOUT,
    problems.BODY_TOO_LARGE,
    problems.MEDIA_TYPE_UNSUPPORTED,
)
_OF_A_TOKEN = (problems.TOKEN_MISSING, problems.TOKEN_INVALID)


@routes.get("/openapi.json")
async def openapi(request: web.Request) -> web.Response:
    """The document itself."""
    return reply(document(request.app[SIDES]))


def calls(sides: Sides) -> tuple[Call, ...]:
    """The calls of these sides, and those that every port serves."""
    return (*(call for side in sides for call in CALLS_OF[side]), *OPERATION_CALLS)


@cache
def document(sides: Sides) -> dict[str, Any]:
    """The document as plain values."""
    described = calls(sides)
    types = _types(described)
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    schema_of = dict(zip(map(repr, types), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for call in described:
        paths.setdefault(call.path, {})[call.method] = _operation(call, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Lastslot", "version": version("lastslot"), "description": _DESCRIPTION},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def refusals(call: Call) -> tuple[Problem, ...]:
    """Everything a call may be refused with: by itself, for its token, and for its body."""
    of_token: tuple[Problem, ...] = ()
    if call.access != "open":
        of_token = _OF_A_TOKEN if call.access != "optional" else (problems.TOKEN_INVALID,)
    of_scope = (problems.SCOPE_REQUIRED,) if call.access in ("service", "admin") else ()
    of_body = _OF_A_BODY if call.takes is not None and not isinstance(call.takes, str) else ()
    unique = {problem.code: problem for problem in (*of_body, *of_token, *of_scope, *call.refuses)}
    return tuple(sorted(unique.values(), key=lambda problem: problem.status))


def _types(described: tuple[Call, ...]) -> list[Any]:
    types: list[Any] = [ProblemDetails]
    for call in described:
        types += [call.takes] if call.takes is not None else []
        for _, shape in call.gives.values():
            types += shape if isinstance(shape, tuple) else [shape]
    return [each for each in types if not isinstance(each, str)]


def _operation(call: Call, schema_of: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": call.name,
        "tags": [call.group],
        "summary": call.summary,
        "responses": _responses(call, schema_of),
    }
    if call.says:
        operation["description"] = call.says
    if call.parameters:
        operation["parameters"] = [_parameter(parameter) for parameter in call.parameters]
    if call.takes is not None:
        operation["requestBody"] = {"required": True, "content": _content(call.takes, schema_of)}
    if call.access != "open":
        # HTTP bearer tokens have no scopes in OpenAPI's eyes; 3.1 lets us name roles there all the same.
        roles = [call.access] if call.access in ("service", "admin") else []
        operation["security"] = [{"token": roles}, *([{}] if call.access == "optional" else [])]
    return operation


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.where,
        "required": parameter.required or parameter.where == "path",
        "description": parameter.says,
        "schema": parameter.schema,
    }


def _responses(call: Call, schema_of: dict[str, Any]) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, (says, shape) in call.gives.items():
        responses[str(status)] = {"description": says, "content": _content(shape, schema_of)}
    for status in sorted({problem.status for problem in refusals(call)}):
        responses[str(status)] = _refusal([problem for problem in refusals(call) if problem.status == status])
    return responses


def _refusal(alike: list[Problem]) -> dict[str, Any]:
    details = {"$ref": _REF.format(name=ProblemDetails.__name__)}
    codes = {"properties": {"code": {"enum": [problem.code for problem in alike]}}}
    return {
        "description": " ".join(f"`{problem.code}`: {problem.detail}" for problem in alike),
        "content": {MEDIA_TYPE: {"schema": {"allOf": [details, codes]}}},
    }


def _content(shape: Any, schema_of: dict[str, Any]) -> dict[str, Any]:
    if isinstance(shape, str):
        return {shape: {"schema": {"type": "string"}}}
    if isinstance(shape, tuple):
        return {"application/json": {"schema": {"anyOf": [schema_of[repr(each)] for each in shape]}}}
    return {"application/json": {"schema": schema_of[repr(shape)]}}

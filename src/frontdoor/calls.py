"""What is said of a call of the API, of which the API document is made; and the calls that are for machines.

The other calls stand in `coupon_calls` and in the `…_calls` of administrators. A test holds all of them to the routes that are
served.
"""

from typing import Any, Literal

import msgspec

from frontdoor import shapes
from frontdoor.problems import Problem

Access = Literal["open", "optional", "user", "service", "admin"]

#: Bodies that are texts of a media type, and have no further shape.
CSV = "text/csv"
PLAIN = "text/plain"


class Parameter(msgspec.Struct, frozen=True):
    """A parameter beside the body. Those of the path are always required."""

    name: str
    where: Literal["path", "query", "header"]
    says: str
    schema: dict[str, Any]
    required: bool = False


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One call: who may make it, what it takes, what it gives by status, and what it may refuse with by itself.

    A body is a type that JSON is read into or made of, several of which it may be one, or the media type of a text.
    """

    name: str
    method: Literal["get", "post", "put", "patch", "delete"]
    path: str
    group: str
    summary: str
    says: str = ""
    access: Access
    takes: Any = None
    parameters: tuple[Parameter, ...] = ()
    gives: dict[int, tuple[str, Any]]
    refuses: tuple[Problem, ...] = ()


TEXT = {"type": "string"}
UUID_TEXT = {"type": "string", "format": "uuid"}
WHOLE = {"type": "integer", "minimum": 0}
ONCE = Parameter(
    "Idempotency-Key",
    "header",
    "Optional: the same path, key and body of the same administrator are one call, which is done once and answered alike.",
    {"type": "string", "minLength": 1, "maxLength": 255},
)

OPERATION_CALLS = (
    Call(
        name="healthz",
        method="get",
        path="/healthz",
        group="Operation",
        summary="The process answers",
        access="open",
        gives={200: ("It does.", shapes.Health)},
    ),
    Call(
        name="readyz",
        method="get",
        path="/readyz",
        group="Operation",
        summary="The process can serve",
        access="open",
        gives={200: ("It can.", shapes.Readiness), 503: ("It cannot, or is stopping.", shapes.Readiness)},
    ),
    Call(
        name="openapi",
        method="get",
        path="/openapi.json",
        group="Operation",
        summary="This document",
        access="open",
        gives={200: ("OpenAPI 3.1.", dict[str, Any])},
    ),
)

METRICS_CALLS = (
    Call(
        name="metrics",
        method="get",
        path="/metrics",
        group="Operation",
        summary="What was counted",
        access="open",
        gives={200: ("Prometheus's text format.", PLAIN)},
    ),
)

"""The API document as a page that needs nothing from anywhere, and a page for each problem's `type`."""

from functools import cache
from html import escape
from typing import Any

import msgspec
from aiohttp import web

from frontdoor.openapi import SIDES, Sides, document
from frontdoor.problems import NOT_FOUND, PROBLEMS, Problem
from frontdoor.replies import refuse

routes = web.RouteTableDef()

_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
}
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  color: #1c2330; background: #fff }
h2 { margin-top: 3rem; border-bottom: 1px solid #d5dae2 } h3 { margin-top: 2.2rem; font-size: 1.05rem }
code, pre { font: .9em ui-monospace, monospace; background: #f1f3f7; border-radius: 4px } code { padding: .1em .3em }
pre { padding: .8rem 1rem; overflow-x: auto } table { border-collapse: collapse; width: 100%; margin: .6rem 0 }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem; border-bottom: 1px solid #e4e8ee }
.method { text-transform: uppercase; font-weight: 700; color: #0b6e4f } .who { color: #5a6577 }
td:first-child { white-space: nowrap }
@media (prefers-color-scheme: dark) { body { color: #dde3ec; background: #14181f } code, pre { background: #222936 }
h2, th, td { border-color: #323b4a } .method { color: #4fd1a5 } .who { color: #93a0b4 } a { color: #7db7ff } }
"""


@routes.get("/docs")
async def docs(request: web.Request) -> web.Response:
    """All calls of this port on one page."""
    return web.Response(body=_page(request.app[SIDES]), headers=_HEADERS)


@routes.get("/problems/{code}")
async def problem_page(request: web.Request) -> web.Response:
    """What a problem's `type` points to."""
    problem = PROBLEMS.get(request.match_info["code"])
    return refuse(NOT_FOUND) if problem is None else web.Response(body=_problem_page(problem), headers=_HEADERS)


@cache
def _page(sides: Sides) -> bytes:
    described = document(sides)
    groups: dict[str, list[str]] = {}
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            groups.setdefault(operation["tags"][0], []).append(_operation(method, path, operation))
    body = [f"<h1>Lastslot API</h1><p>{_text(described['info']['description'])}</p>"]
    body.append('<p>The same for machines: <a href="/openapi.json">/openapi.json</a>.</p>')
    for group, operations in groups.items():
        body += [f"<h2>{escape(group)}</h2>", *operations]
    body.append("<h2>Bodies</h2>")
    body += [_schema(name, schema) for name, schema in described["components"]["schemas"].items()]
    return _html("Lastslot API", "\n".join(body))


def _problem_page(problem: Problem) -> bytes:
    told = f"<p><code>{problem.code}</code> · HTTP {problem.status}</p><p>{_text(problem.detail)}</p>"
    return _html(problem.title, f'<h1>{escape(problem.title)}</h1>{told}<p><a href="/docs">All calls</a></p>')


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    parts = [
        f'<h3 id="{operation["operationId"]}"><span class="method">{method}</span> <code>{escape(path)}</code></h3>',
        f'<p>{_text(operation["summary"])}. <span class="who">{_who(operation.get("security"))}</span></p>',
    ]
    if "description" in operation:
        parts.append(f"<p>{_text(operation['description'])}</p>")
    if "parameters" in operation:
        parts.append(_table([(f"{each['name']} ({each['in']})", each["description"]) for each in operation["parameters"]]))
    if "requestBody" in operation:
        [(media_type, body)] = operation["requestBody"]["content"].items()
        parts.append(f"<p>Takes {_kind(body['schema']) if media_type == 'application/json' else escape(media_type)}.</p>")
    parts.append(_table([(status, _answer(response)) for status, response in operation["responses"].items()]))
    return "\n".join(parts)


def _who(security: list[dict[str, list[str]]] | None) -> str:
    if security is None:
        return "No token."
    if {} in security:
        return "Token optional."
    roles = security[0]["token"]
    return f"Token with scope {roles[0]}." if roles else "Token of a user."


def _answer(response: dict[str, Any]) -> str:
    said = _text(response["description"])
    given = response["content"].get("application/json")
    return f"{said} {_kind(given['schema'])}" if given else said


def _schema(name: str, schema: dict[str, Any]) -> str:
    required = schema.get("required", [])
    rows = [
        (f"{field}{'' if field in required else '?'}", f"{_kind(kind)} {_text(kind.get('description', ''))}")
        for field, kind in schema.get("properties", {}).items()
    ]
    described = _text(schema.get("description", ""))
    members = _table(rows) if rows else f"<p>{_kind(schema)}</p>"
    return f'<h3 id="{name}"><code>{name}</code></h3><p>{described}</p>{members}'


def _kind(schema: dict[str, Any]) -> str:
    """A JSON Schema in a few words of HTML."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#{name}"><code>{name}</code></a>'
    if "anyOf" in schema:
        return " or ".join(_kind(each) for each in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f"<code>{escape(msgspec.json.encode(each).decode())}</code>" for each in schema["enum"])
    if schema.get("type") == "array":
        return f"array of {_kind(schema['items'])}"
    return escape(_bounded(schema))


def _bounded(schema: dict[str, Any]) -> str:
    words = [schema.get("format", schema.get("type", "any"))]
    for low, high, unit in (("minLength", "maxLength", " characters"), ("minimum", "maximum", "")):
        if low in schema and high in schema:
            words.append(f"({schema[low]} to {schema[high]}{unit})")
        elif low in schema:
            words.append(f"(at least {schema[low]}{unit})")
    return " ".join(words)


def _table(rows: list[tuple[str, str]]) -> str:
    return f"<table>{''.join(f'<tr><td><code>{escape(name)}</code></td><td>{says}</td></tr>' for name, says in rows)}</table>"


def _text(markdown: str) -> str:
    """Plain text in which `names` are code."""
    pieces = escape(markdown, quote=False).split("`")
    return "".join(f"<code>{piece}</code>" if at % 2 else piece for at, piece in enumerate(pieces))


def _html(title: str, body: str) -> bytes:
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    return f'<!doctype html><html lang="en"><head>{head}<style>{_STYLE}</style></head><body>{body}</body></html>'.encode()

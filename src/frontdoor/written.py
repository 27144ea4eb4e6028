"""An answer as it goes over the wire: what is always the same of it is bytes from the start."""

from collections.abc import Mapping
from functools import lru_cache
from http import HTTPStatus

from aiohttp.helpers import rfc822_formatted_time

from frontdoor.middlewares import REQUEST_ID_HEADER
from frontdoor.problems import MEDIA_TYPE, Problem, body, headers
from frontdoor.replies import JSON_TYPE, SERVER, Reply, encode
from shared import metrics

_REQUEST_ID = REQUEST_ID_HEADER.encode()


def written(name: str, reply: Reply, named: str, fields: bytes = b"") -> bytes:
    """The reply to request `named`, counted as one of call `name`. `fields`: what else its head says."""
    if isinstance(reply, Problem):
        metrics.ANSWERS.add(name, reply.code)
        head, content = _problem(reply)
    else:
        metrics.ANSWERS.add(name, str(reply.status))
        content = encode(reply.shape)
        head = b"%bContent-Length: %d\r\n" % (_shown_head(reply.status), len(content))
        if reply.fields is not None:
            fields += _lines(reply.fields)
    return b"%b%b%b: %b\r\nDate: %b\r\n\r\n%b" % (head, fields, _REQUEST_ID, named.encode(), _date(), content)


def _head(status: int, fields: Mapping[str, str]) -> bytes:
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode() + _lines({"Server": SERVER, **fields})


def _lines(fields: Mapping[str, str]) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in fields.items()).encode()


@lru_cache(maxsize=256)
def _problem(problem: Problem) -> tuple[bytes, bytes]:
    """The head, as far as it is always the same, and the body."""
    content = body(problem)
    return _head(problem.status, {"Content-Type": MEDIA_TYPE, **headers(problem), "Content-Length": str(len(content))}), content


@lru_cache(maxsize=16)
def _shown_head(status: int) -> bytes:
    return _head(status, {"Content-Type": JSON_TYPE})


def _date() -> bytes:
    return _in_bytes(rfc822_formatted_time())


@lru_cache(maxsize=2)
def _in_bytes(text: str) -> bytes:
    return text.encode()

"""Reading JSON strictly: what does not fit its type, or says a thing twice, is a problem that names the field.

An unknown field, a field given twice or an almost-right type is a mistake that its author wants to hear of before it costs
money.
"""

import json
import re
from typing import Any, TypeVar

import msgspec

from frontdoor.problems import BODY_INVALID, FIELD_INVALID, Problem

T = TypeVar("T")

_encode = msgspec.json.Encoder().encode


def read(raw: bytes, decoder: msgspec.json.Decoder[T]) -> T | Problem:
    """The body of a busy call, whose type leaves defaults out when it is written (see `_surely_once`)."""
    value = _decode(raw, decoder)
    if isinstance(value, Problem) or _surely_once(raw, value):
        return value
    return _repeated(raw) or value


def decode(raw: bytes, type_: type[T]) -> T | Problem:
    """Any other body, as strictly; `type_` forbids unknown fields itself. For calls that are rare: it always looks twice."""
    value = _decode(raw, msgspec.json.Decoder(type_))
    if isinstance(value, Problem):
        return value
    return _repeated(raw) or value


def field_problem(field: str, fault: str) -> Problem:
    """`field` (a path such as `discount.value`) is not acceptable: `fault` continues the sentence."""
    shown = field if len(field) <= 100 else f"{field[:100]}…"
    return FIELD_INVALID.saying(f"{shown} {fault}.").carrying(field=shown)


def _decode(raw: bytes, decoder: msgspec.json.Decoder[T]) -> T | Problem:
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        return _misfit(str(error))
    except UnicodeDecodeError:
        return BODY_INVALID.saying("The body is not UTF-8.")
    except (msgspec.DecodeError, RecursionError) as error:
        return BODY_INVALID.saying(_malformed(raw, str(error)))


def _surely_once(raw: bytes, value: object) -> bool:
    """Whether no field can have been given twice, told without parsing again.

    Written back without defaults, the value has the fewest quotation marks that any spelling of it has, and every repeated
    field adds some. (With escapes in play marks cannot be counted.)
    """
    return b"\\" not in raw and raw.count(b'"') == _encode(value).count(b'"')


class _Repeated(Exception):
    """Carries the name of a field that an object gives twice."""


def _repeated(raw: bytes) -> Problem | None:
    try:
        json.loads(raw, object_pairs_hook=_refuse_repeated)
    except _Repeated as repeated:
        return field_problem(str(repeated), "is given twice")
    except (ValueError, RecursionError):
        return BODY_INVALID
    return None


def _refuse_repeated(pairs: list[tuple[str, Any]]) -> None:
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise _Repeated(name)
        seen.add(name)


_MISFIT = re.compile(r"(?P<what>.*?)(?: - at `(?:key in )?\$\.?(?P<path>[^`]*)`)?", re.DOTALL)
_NAMED = re.compile(r"Object (?P<how>missing required|contains unknown) field `(?P<name>.*)`", re.DOTALL)


def _misfit(message: str) -> Problem:
    """msgspec's sentence about a value that does not fit its type, as a problem that names the field."""
    match = _MISFIT.fullmatch(message)
    what, path = (message, None) if match is None else match.group("what", "path")
    if (named := _NAMED.fullmatch(what)) is not None:
        how, name = named.group("how", "name")
        field = f"{path}.{name}" if path else name
        return field_problem(field, "is required" if how.startswith("missing") else "is not a field of this call")
    if not path:
        return BODY_INVALID.saying(f"{what}.")
    return field_problem(path, f"is not acceptable: {what}")


def _malformed(raw: bytes, message: str) -> str:
    if not raw.strip():
        return "The body is empty."
    if raw.startswith(b"\xef\xbb\xbf"):
        return "The body begins with a byte order mark."
    return f"{message}."

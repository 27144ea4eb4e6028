"""Whom a campaign is for: a JsonLogic rule over what is known of a user when the claim arrives.

The rule reads `attrs` (attributes that the token vouches for), `segments` (a date since when the user belongs, or true where
the list does not say), `user_id`, and `now` (both times are ISO text, so they compare as text).

The language is `panzi-json-logic`'s, the one kept library that is whole and runs on every Python we do. Its operators are given
to it as a table, which is how we differ from it:

- An order comparison with something missing is false. JavaScript reads null as 0, so a user without an age would be below 18;
  the library reads it as the word "null", so a user outside a segment would have joined it after any date.
- What is missing equals only what is missing; `===`, `!==` and `in` tell true from 1; `%` has the sign of what is divided. So
  it is in JavaScript, but not in the library, for which a user of whom no orders are known has 0 of them.
- `log` would print and `reduce` can double its result at every step: neither is offered.
"""

import math
from collections.abc import Callable, Iterator
from datetime import date, datetime
from typing import Any

import msgspec
from json_logic import jsonLogic
from json_logic.builtins import BUILTINS, to_bool, to_number, to_string

MAX_BYTES = 8 * 1024
MAX_NODES = 500
MAX_DEPTH = 16

#: Parts of a rule times elements of all lists in what is said of a user: a rule may do all of its work for each of them.
MAX_WORK = 50_000

_READING = frozenset({"var", "missing", "missing_some"})
_ITERATING = frozenset({"map", "filter", "all", "some", "none"})
_BRANCHING = frozenset({"if", "?:", "and", "or"})

Order = Callable[[Any, Any], bool]


def matches(rule: Any, data: dict[str, Any]) -> bool:
    """Whether `rule` holds for the user that `data` describes (see `known`). Where it cannot be evaluated it does not hold."""
    if _work_exceeds(rule, data["attrs"], MAX_WORK):
        return False
    try:
        return bool(to_bool(jsonLogic(rule, data, _OPERATORS)))
    except (ArithmeticError, LookupError, TypeError, ValueError, ReferenceError, RecursionError, AttributeError):
        # What a rule meets in a user's attributes is nobody's promise: a text where a number was meant, a division by nothing.
        return False


def known(user_id: str, attrs: dict[str, Any], segments: dict[str, date | None], now: datetime) -> dict[str, Any]:
    """What a rule may read of a user; `segments` are those the user belongs to."""
    return {
        "user_id": user_id,
        "attrs": attrs,
        "segments": {name: True if since is None else since.isoformat() for name, since in segments.items()},
        "now": now.isoformat(),
    }


def segments_named(rule: Any) -> bool:
    """Whether `rule` may read segments at all; a name that is itself computed may be any."""
    return any(
        not isinstance(named, str) or named in ("", "segments") or named.startswith("segments.")
        for operator, operands in _operations(rule)
        if operator in _READING
        for named in _names(operands)
    )


def fault(rule: Any) -> str | None:
    """Why `rule` cannot be an audience filter, in words that go on from the field's name; None when it can."""
    if not isinstance(rule, dict | bool):
        return "must be a JsonLogic rule: an object with one operator, or true or false"
    if _depth_exceeds(rule, MAX_DEPTH):
        return f"must not be nested deeper than {MAX_DEPTH}"
    parts = list(_walk(rule))
    if len(parts) > MAX_NODES or len(msgspec.json.encode(rule)) > MAX_BYTES:
        return f"must be of at most {MAX_NODES} parts and {MAX_BYTES} bytes"
    if any(isinstance(part, str) and "\0" in part for part in parts):
        return "must not hold NUL"
    return next(filter(None, (_operation_fault(part) for part in parts if isinstance(part, dict))), None)


def _operation_fault(part: dict[str, Any]) -> str | None:
    if len(part) != 1:
        return f"has an object of {len(part)} members; each must have one, an operator"
    [(operator, operands)] = part.items()
    if operator not in OPERATORS:
        return f"has an unknown operator {operator[:40]!a}; there are {' '.join(sorted(OPERATORS))}"
    if operator in _ITERATING and any(inner in _ITERATING for inner, _ in _operations(operands)):
        return f"has {operator!a} around another of {' '.join(sorted(_ITERATING))}; the work would multiply"
    if operator in _ITERATING and any(inner == "merge" for inner, _ in _operations(operands)):
        return f"has {operator!a} around 'merge'; the work would multiply"
    return None


def _work_exceeds(rule: Any, attrs: dict[str, Any], limit: int) -> bool:
    """Whether the rule and the user's lists are too long for each other: one of usual length goes with any of the other."""
    elements = _elements(attrs)
    return elements * MAX_NODES > limit and elements * sum(1 for _ in _walk(rule)) > limit


def _elements(attrs: dict[str, Any]) -> int:
    """How many elements all lists of `attrs` have together."""
    # Without recursion: a user's attributes may be as deep as can be decoded.
    elements, parts = 0, [*attrs.values()]
    while parts:
        part = parts.pop()
        if isinstance(part, list):
            elements += len(part)
            parts += part
        elif isinstance(part, dict):
            parts += part.values()
    return elements


def _depth_exceeds(part: Any, limit: int) -> bool:
    """Stops at the limit, so a rule of any depth is safe to ask about."""
    if not isinstance(part, dict | list):
        return False
    inner = part.values() if isinstance(part, dict) else part
    return limit == 0 or any(_depth_exceeds(each, limit - 1) for each in inner)


def _walk(part: Any) -> Iterator[Any]:
    yield part
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from _walk(inner)


def _operations(rule: Any) -> Iterator[tuple[str, Any]]:
    for part in _walk(rule):
        if isinstance(part, dict):
            yield from part.items()


def _names(operands: Any) -> Iterator[Any]:
    """What is read by name. The count of missing_some, and a default value, may be taken for a name: it does no harm."""
    if not isinstance(operands, list) or not operands:
        # No name at all names everything.
        yield operands
        return
    for each in operands:
        if isinstance(each, list):
            yield from each
        elif not isinstance(each, int | float):
            yield each


def _ordered(holds: Order) -> Callable[..., bool]:
    """An order comparison of two or three operands, of two texts or of numbers; nothing compares with what is missing."""

    def compares(a: Any, b: Any) -> bool:
        if a is None or b is None:
            return False
        if isinstance(a, str) and isinstance(b, str):
            return holds(a, b)
        return holds(to_number(a), to_number(b))

    def operator(_: Any, a: Any = None, b: Any = None, *between: Any) -> bool:
        return compares(a, b) and (not between or compares(b, between[0]))

    return operator


def _equal(_: Any, a: Any = None, b: Any = None, *__: Any) -> bool:
    if a is None or b is None:
        return a is b
    return bool(BUILTINS["=="](None, a, b))


def _same(_: Any, a: Any = None, b: Any = None, *__: Any) -> bool:
    return isinstance(a, bool) == isinstance(b, bool) and bool(a == b)


def _contained(_: Any, part: Any = None, whole: Any = None, *__: Any) -> bool:
    if isinstance(whole, list):
        return any(_same(None, part, each) for each in whole)
    return isinstance(whole, str) and _text(part) in whole


def _text(value: Any) -> str:
    return str(to_string(value)).lower() if isinstance(value, bool) else str(to_string(value))


_OPERATORS: dict[str, Any] = {
    **{name: operator for name, operator in BUILTINS.items() if name != "log"},
    "==": _equal,
    "!=": lambda *operands: not _equal(*operands),
    "===": _same,
    "!==": lambda *operands: not _same(*operands),
    "in": _contained,
    "cat": lambda _, *parts: "".join(map(_text, parts)),
    "%": lambda _, a=None, b=None, *__: math.fmod(to_number(a), to_number(b)),
    "<": _ordered(lambda a, b: a < b),
    "<=": _ordered(lambda a, b: a <= b),
    ">": _ordered(lambda a, b: a > b),
    ">=": _ordered(lambda a, b: a >= b),
}

#: Every operator that a filter may use.
OPERATORS = frozenset(_OPERATORS) | _ITERATING | _BRANCHING

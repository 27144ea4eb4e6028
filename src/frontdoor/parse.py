"""What a caller sent, as values; whatever it was, the answer is a value or a problem, never an exception.

One bad input must not hurt its neighbours in a batch, so everything that a store could choke on (NUL, lone surrogates,
sums that do not fit, over-long keys) stops here with a named reason. Bodies are read strictly (see `strict_json`).
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec

from frontdoor.problems import KEY_INVALID, KEY_MISSING, MEDIA_TYPE_UNSUPPORTED, Problem
from frontdoor.strict_json import field_problem, read
from shared.domain.discount import MAX_SUBTOTAL
from shared.domain.ids import MAX_USER_LENGTH, user_of

MAX_ORDER_ID_LENGTH = 200
MAX_KEY_LENGTH = 255
DEFAULT_WAIT_S = 2.0
MAX_WAIT_S = 30.0

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

#: A code as it was typed; whether it can be one at all is for `shared.domain.code.normal_form` to say.
TypedCode = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
#: A name from the caller's own systems; printable, so that it can be stored, logged and put into a path.
Reference = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ORDER_ID_LENGTH)]
UserName = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_USER_LENGTH)]
#: What a service says of the user it acts for.
Attributes = dict[str, Any]
#: What a cart comes to, in minor units.
Subtotal = Annotated[int, msgspec.Meta(ge=0, le=MAX_SUBTOTAL)]


class _Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the bodies of the busy calls have in common (`strict_json.read` needs `omit_defaults`)."""


class RedeemBody(_Body, frozen=True):
    code: TypedCode
    order_id: Reference
    user_id: UserName | None = None
    subtotal: Subtotal | None = None
    attrs: Attributes | None = None
    first_order: bool | None = None


class ValidateBody(_Body, frozen=True):
    code: TypedCode
    cart_id: Reference | None = None
    subtotal: Subtotal | None = None
    order_id: Reference | None = None
    applied_codes: Annotated[tuple[TypedCode, ...], msgspec.Meta(max_length=50)] | None = None
    user_id: UserName | None = None
    attrs: Attributes | None = None
    first_order: bool | None = None


class ReleaseBody(_Body, frozen=True):
    reason: Literal["failure", "refund"]


_redeem = msgspec.json.Decoder(RedeemBody)
_validate = msgspec.json.Decoder(ValidateBody)
_release = msgspec.json.Decoder(ReleaseBody)


def redeem_body(raw: bytes) -> RedeemBody | Problem:
    """The body of a redeem call."""
    body = read(raw, _redeem)
    if isinstance(body, Problem):
        return body
    if not body.order_id.isprintable():
        return _unprintable("order_id")
    return _user_problem(body.user_id) or body


def validate_body(raw: bytes) -> ValidateBody | Problem:
    """The body of a validate call."""
    body = read(raw, _validate)
    if isinstance(body, Problem):
        return body
    if body.cart_id is not None and not body.cart_id.isprintable():
        return _unprintable("cart_id")
    if body.order_id is not None and not body.order_id.isprintable():
        return _unprintable("order_id")
    return _user_problem(body.user_id) or body


def release_body(raw: bytes) -> ReleaseBody | Problem:
    """The body of a release call."""
    return read(raw, _release)


def media_problem(content_type: str | None, content_encoding: str | None) -> Problem | None:
    """Why a body so labelled is not read; None when it is JSON in UTF-8, not compressed."""
    if content_encoding is not None and content_encoding.strip().lower() != "identity":
        return MEDIA_TYPE_UNSUPPORTED.saying("Send the body without Content-Encoding.")
    if content_type == "application/json" or means_utf8(content_type, "application/json"):
        return None
    return MEDIA_TYPE_UNSUPPORTED


@lru_cache(maxsize=64)
def means_utf8(content_type: str | None, media_type: str) -> bool:
    """Whether a Content-Type names `media_type`, and no encoding but UTF-8."""
    named, *parameters = (content_type or "").split(";")
    if named.strip().lower() != media_type:
        return False
    given = [parameter.partition("=") for parameter in parameters]
    return all(value.strip().strip('"').lower() == "utf-8" for name, _, value in given if name.strip().lower() == "charset")


def idempotency_key(values: Sequence[str]) -> str | Problem:
    """The one Idempotency-Key out of all header fields of that name."""
    if not values:
        return KEY_MISSING
    key = values[0]
    if len(values) > 1 or not 0 < len(key) <= MAX_KEY_LENGTH or not key.isascii() or not key.isprintable():
        return KEY_INVALID
    return key


def preferred_wait(values: Sequence[str]) -> float:
    """For how many seconds the Prefer header fields ask to wait for an outcome (RFC 7240).

    As section 2 has it, a preference that cannot be met (`wait=-1`, `wait=soon`) is ignored rather than refused, and of two
    the first counts. A longer wait than MAX_WAIT_S is cut to it; `respond-async` alone is a wait of nothing.
    """
    if not values:
        return DEFAULT_WAIT_S
    asked: dict[str, str] = {}
    for preference in ",".join(values).split(","):
        name, _, value = preference.partition(";")[0].partition("=")
        asked.setdefault(name.strip().lower(), value.strip().strip('"'))
    wait = asked.get("wait", "")
    if wait.isascii() and wait.isdigit():
        return min(float(wait), MAX_WAIT_S)
    return 0.0 if asked.get("respond-async") == "" else DEFAULT_WAIT_S


def wait_query(text: str | None) -> float | Problem:
    """Seconds to wait for `?wait=`; nothing when it is absent, at most MAX_WAIT_S."""
    if text is None:
        return 0.0
    if not text.isascii() or not text.isdigit():
        return field_problem("wait", "must be a whole number of seconds")
    return min(float(text), MAX_WAIT_S)


def whole_number(text: str, most: int) -> int | None:
    """A number of 0 to `most` in plain digits; None when the text is any other."""
    plain = text.isascii() and text.isdigit() and len(text) <= len(str(most))
    return int(text) if plain and int(text) <= most else None


def path_id(text: str) -> UUID | None:
    """The id in a path; None when it is not written as we write ids, for then it is none of ours."""
    return UUID(text) if _UUID.fullmatch(text) else None


def path_order_id(text: str) -> str | Problem:
    """The order id in a path, by the rule of the bodies."""
    if not 0 < len(text) <= MAX_ORDER_ID_LENGTH:
        return field_problem("order_id", f"must be of 1 to {MAX_ORDER_ID_LENGTH} characters")
    return text if text.isprintable() else _unprintable("order_id")


def _user_problem(user: str | None) -> Problem | None:
    if user is None or user_of(user) is not None:
        return None
    return field_problem("user_id", f"must be of 1 to {MAX_USER_LENGTH} characters, without NUL")


def _unprintable(field: str) -> Problem:
    return field_problem(field, "must hold printable characters only")

"""Every refusal a caller can get over HTTP, in one table: its status, its machine code, its sentence (RFC 9457).

A caller decides by `code` (or `type`, which is the page that explains it); `detail` is for people. The answers of a burst
are made of a few constants, so those are rendered once; a problem that says something of this request is rendered then.
"""

from typing import Any, TypeVar

import msgspec

from frontdoor.shapes import ProblemDetails
from shared.domain.outcomes import Refusal, Refused

T = TypeVar("T")

MEDIA_TYPE = "application/problem+json"


class Problem(msgspec.Struct, frozen=True):
    """One refusal. `retry_after_s` becomes Retry-After; `fields` are further headers, `extra` members of ProblemDetails."""

    status: int
    code: str
    title: str
    detail: str
    retry_after_s: int | None = None
    extra: tuple[tuple[str, Any], ...] = ()
    fields: tuple[tuple[str, str], ...] = ()

    def saying(self, detail: str) -> "Problem":
        """The same problem, explained for this request."""
        return msgspec.structs.replace(self, detail=detail)

    def carrying(self, **extra: Any) -> "Problem":
        """The same problem with further members."""
        return msgspec.structs.replace(self, extra=(*self.extra, *extra.items()))


class ProblemRaised(Exception):
    """A refusal on its way up to the middleware, which answers with its problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


def accepted(value: T | Problem) -> T:
    """The value that it is. Raises ProblemRaised when it is a problem; the refusals of a burst are returned, not raised."""
    if isinstance(value, Problem):
        raise ProblemRaised(value)
    return value


BODY_INVALID = Problem(400, "body_invalid", "The body is not acceptable JSON", "Send one JSON object in UTF-8.")
FIELD_INVALID = Problem(400, "field_invalid", "A field is not acceptable", "A field has the wrong type or value.")
TOO_MANY_CODES = Problem(400, "too_many_codes", "Too many codes at once", "Mint at most 50,000 codes a call.")
CSV_INVALID = Problem(400, "csv_invalid", "A line of the list is not acceptable", "A line cannot be read.")
KEY_MISSING = Problem(
    400, "key_missing", "Idempotency-Key is missing", "Send one Idempotency-Key header; reuse it for retries."
)
KEY_INVALID = Problem(
    400, "key_invalid", "Idempotency-Key is not acceptable", "Send exactly one, of 1 to 255 printable ASCII characters."
)
REQUEST_MALFORMED = Problem(400, "request_malformed", "Not a well-formed HTTP request", "The request could not be read.")
TOKEN_MISSING = Problem(401, "token_missing", "Authentication is needed", "Send Authorization: Bearer and a token.")
TOKEN_INVALID = Problem(401, "token_invalid", "The token is not acceptable", "The token cannot be trusted.")
USER_MISMATCH = Problem(403, "user_mismatch", "Not your own user", "user_id is not the user of the token.")
SCOPE_REQUIRED = Problem(403, "scope_required", "The token may not do this", "The token lacks the scope that this call needs.")
NOT_FOUND = Problem(404, "not_found", "No such resource", "Nothing is served at this path.")
CLAIM_UNKNOWN = Problem(
    404, "claim_unknown", "No such claim", "No claim of yours has this id. Send the redeem request again with the same key."
)
REDEMPTION_UNKNOWN = Problem(404, "redemption_unknown", "No such redemption", "No redemption has this id.")
CAMPAIGN_UNKNOWN = Problem(404, "campaign_unknown", "No such campaign", "No campaign has this id.")
SEGMENT_UNKNOWN = Problem(404, "segment_unknown", "No such segment", "No segment has this name.")
METHOD_NOT_ALLOWED = Problem(405, "method_not_allowed", "Method not allowed", "This path is served, but not for this method.")
REQUEST_TIMEOUT = Problem(408, "request_timeout", "The request did not arrive", "It took too long to come. Send it again.")
CODE_TAKEN = Problem(409, "code_taken", "The code is in use", "A code is unique for ever, also after its campaign has ended.")
LIMIT_BELOW_CLAIMED = Problem(
    409, "limit_below_claimed", "The limit is below what is taken", "More slots are held than the new limit would allow."
)
CAMPAIGN_ENDED = Problem(
    409, "campaign_ended", "The campaign has ended", "An ended campaign stays ended and cannot be changed."
)
NOT_SPLITTABLE = Problem(
    409, "not_splittable", "The campaign cannot be split", "Only campaigns whose code everybody types are cut into slices."
)
ALREADY_SPLIT = Problem(409, "already_split", "The campaign is split", "Slices are not put together again.")
CAMPAIGN_MOVING = Problem(
    409, "campaign_moving", "The campaign is on the move", "Somebody moves it just now. Look where it lives, then try again."
)
NOTHING_TO_MINT = Problem(
    409,
    "nothing_to_mint",
    "The campaign has one code",
    "Everybody types the same code. Pools and unique codes are minted.",
)
PATTERN_TOO_SMALL = Problem(
    409, "pattern_too_small", "Codes would be guessed", "A pattern must leave 100 possible codes for each: use more #."
)
NOT_CLAIMED = Problem(409, "not_claimed", "Not in state claimed", "Only a claimed redemption can be confirmed or fail.")
NOT_REDEEMED = Problem(409, "not_redeemed", "Not in state redeemed", "Only a redeemed redemption can be refunded.")
HOLD_EXPIRED = Problem(
    409, "hold_expired", "The hold has expired", "It was not confirmed in time, and its slot is given back. Claim again."
)
RELEASE_NOT_ALLOWED = Problem(
    409, "release_not_allowed", "The slot is not given back", "The campaign does not give a slot back for this reason."
)
BODY_TOO_LARGE = Problem(413, "body_too_large", "The body is too large", "The body is larger than this call takes.")
MEDIA_TYPE_UNSUPPORTED = Problem(
    415, "media_type_unsupported", "Not JSON", "Send Content-Type: application/json in UTF-8, without Content-Encoding."
)
CSV_EXPECTED = Problem(415, "csv_expected", "Not CSV", "Send Content-Type: text/csv in UTF-8, without Content-Encoding.")
EXPECTATION_FAILED = Problem(417, "expectation_failed", "Expectation failed", "The only expectation served is 100-continue.")
TOO_MANY_CONNECTIONS = Problem(
    429,
    "too_many_connections",
    "Too many connections",
    "Your address has as many connections as it may. Close some, or send further requests over those you have.",
    retry_after_s=1,
)
RATE_LIMITED = Problem(
    429, "rate_limited", "Too many requests", "Slow down, and send it again after Retry-After seconds.", retry_after_s=1
)
TOO_MANY_FAILURES = Problem(
    429, "too_many_failures", "Too many wrong codes", "Wait for Retry-After seconds before you try another.", retry_after_s=1
)
HEADERS_TOO_LARGE = Problem(431, "headers_too_large", "The headers are too large", "The path, or a header, is too long.")
INTERNAL = Problem(500, "internal", "Something broke on our side", "It has been logged under the request id.")
UNAVAILABLE = Problem(
    503, "unavailable", "Not available now", "Not decided, or not known. Send it again with the same key.", retry_after_s=1
)
NOT_DRAINED = Problem(
    503,
    "not_drained",
    "The campaign was not moved",
    "Claims that wait in its mailbox are not being decided. It stays where it is.",
    retry_after_s=1,
)
BUSY = Problem(
    503, "busy", "Too much at once", "Nothing was decided. Send it again with the same key, a little later.", retry_after_s=1
)

REFUSALS: dict[Refusal, Problem] = {
    Refusal.UNKNOWN_CODE: Problem(404, "unknown_code", "No such code", "There is no such code."),
    Refusal.KEY_REUSED: Problem(
        422, "key_reused", "Idempotency-Key was used for another request", "Use a new key for a new intent, or the same body."
    ),
    Refusal.CAMPAIGN_PAUSED: Problem(409, "campaign_paused", "The campaign is paused", "It may be resumed. Try again later."),
    Refusal.NOT_STARTED: Problem(409, "not_started", "The campaign has not started", "Try again when it has started."),
    Refusal.ENDED: Problem(410, "ended", "The campaign has ended", "It was ended, and gives nothing any more."),
    Refusal.EXPIRED: Problem(410, "expired", "The code has expired", "Its time is over."),
    Refusal.AUDIENCE_MISMATCH: Problem(403, "audience_mismatch", "Not for you", "This code is for others than you."),
    Refusal.NOT_FIRST_ORDER: Problem(403, "not_first_order", "Not the first order", "This code is for a first order only."),
    Refusal.ALREADY_REDEEMED: Problem(
        409, "already_redeemed", "Already redeemed", "You have used this code as often as it allows."
    ),
    Refusal.PERIOD_LIMIT_REACHED: Problem(
        409, "period_limit_reached", "Enough for now", "You have used this code as often as it allows in a day, week or month."
    ),
    Refusal.SUBTOTAL_REQUIRED: Problem(
        409, "subtotal_required", "The subtotal is needed", "What this code gives depends on the cart: send its subtotal."
    ),
    Refusal.MINIMUM_NOT_MET: Problem(
        409, "minimum_not_met", "The cart is too small", "The subtotal is below what this code asks for."
    ),
    Refusal.NOT_STACKABLE: Problem(
        409, "not_stackable", "Cannot be combined", "This code cannot be combined with another code of the order."
    ),
    Refusal.CODE_USED: Problem(410, "code_used", "The code is used", "This code was good for one use, and somebody has it."),
    Refusal.EXHAUSTED: Problem(410, "exhausted", "Sold out", "Every slot of this campaign is taken."),
    Refusal.BUDGET_INSUFFICIENT: Problem(
        409, "budget_insufficient", "Not enough is left", "The campaign's money does not reach for this discount any more."
    ),
    Refusal.CLAIM_REJECTED: Problem(
        422, "claim_rejected", "The claim could not be written", "The claim was set aside for inspection; it took nothing."
    ),
}


def refusal(refused: Refused) -> Problem:
    """Why a claim was refused, and because of which other code, if of one."""
    problem = REFUSALS[refused.reason]
    if refused.about is None:
        return problem
    return problem.saying(f"This code cannot be combined with {refused.about}.").carrying(other=refused.about)


#: Every problem by its code, as the documentation lists them: the door's own, then the refusals of claims.
PROBLEMS: dict[str, Problem] = {
    problem.code: problem
    for problem in (*(value for value in globals().copy().values() if isinstance(value, Problem)), *REFUSALS.values())
}


def problem_type(problem: Problem) -> str:
    """The `type` member: a reference relative to the front door, where the problem is explained."""
    return f"/problems/{problem.code}"


def body(problem: Problem) -> bytes:
    """The problem as application/problem+json."""
    known = _RENDERED.get(problem.code)
    if known is not None and known[0] is problem:
        return known[1]
    return _render(problem)


def headers(problem: Problem) -> dict[str, str]:
    """The header fields that go with a problem, beside Content-Type."""
    fields = dict(problem.fields)
    if problem.retry_after_s is not None:
        fields["Retry-After"] = str(problem.retry_after_s)
    if problem.status == 401:
        fields["WWW-Authenticate"] = _challenge(problem)
    return fields


def _challenge(problem: Problem) -> str:
    # RFC 6750, section 3.1: no error code when no token was sent at all.
    return 'Bearer realm="lastslot"' if problem.code == TOKEN_MISSING.code else 'Bearer realm="lastslot", error="invalid_token"'


def _render(problem: Problem) -> bytes:
    details = ProblemDetails(
        type=problem_type(problem),
        title=problem.title,
        status=problem.status,
        detail=problem.detail,
        code=problem.code,
        **dict(problem.extra),
    )
    return msgspec.json.encode(details)


_RENDERED = {problem.code: (problem, _render(problem)) for problem in PROBLEMS.values()}

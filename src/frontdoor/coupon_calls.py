"""The calls for shoppers and for their checkouts, as a table (see `calls`)."""

from frontdoor import problems, shapes
from frontdoor.calls import TEXT, UUID_TEXT, WHOLE, Call, Parameter
from frontdoor.parse import RedeemBody, ReleaseBody, ValidateBody
from frontdoor.problems import REFUSALS
from shared.domain.outcomes import Refusal

_REDEMPTION_ID = Parameter("redemption_id", "path", "The redemption's id.", UUID_TEXT)
_ORDER_ID = Parameter("order_id", "path", "The order's id, as it was given to redeem.", TEXT)
_KEY = Parameter(
    "Idempotency-Key",
    "header",
    "A name for this intent: 1 to 255 printable ASCII characters. The same user, key and body are the same claim.",
    {"type": "string", "minLength": 1, "maxLength": 255},
    required=True,
)
_PREFER = Parameter(
    "Prefer", "header", "wait=5 (seconds, at most 30, by default 2), or respond-async for 202 at once (RFC 7240).", TEXT
)
_WAIT = Parameter("wait", "query", "Seconds to wait for the outcome; by default none, at most 30.", WHOLE)
_PARTITION = Parameter("partition", "query", "As Location gave it; saves a search.", WHOLE)

CLOSED = tuple(
    REFUSALS[refusal]
    for refusal in (Refusal.CAMPAIGN_PAUSED, Refusal.NOT_STARTED, Refusal.ENDED, Refusal.EXPIRED, Refusal.EXHAUSTED)
)
CLAIM_REFUSALS = (
    *CLOSED,
    *(
        REFUSALS[refusal]
        for refusal in (
            Refusal.ALREADY_REDEEMED,
            Refusal.PERIOD_LIMIT_REACHED,
            Refusal.SUBTOTAL_REQUIRED,
            Refusal.MINIMUM_NOT_MET,
            Refusal.NOT_STACKABLE,
            Refusal.CODE_USED,
            Refusal.BUDGET_INSUFFICIENT,
            Refusal.KEY_REUSED,
            Refusal.CLAIM_REJECTED,
        )
    ),
)
_NOT_FOR_YOU = (REFUSALS[Refusal.AUDIENCE_MISMATCH], REFUSALS[Refusal.NOT_FIRST_ORDER])

COUPON_CALLS = (
    Call(
        name="validate",
        method="post",
        path="/api/v1/coupons/validate",
        group="Coupons",
        summary="What a code would give",
        says=(
            "Takes nothing and promises nothing. Without a token, a code for others is unknown. What the cart can mend is told "
            "with 200 and valid: false. With an order_id that holds this code, that redemption's discount is told. A service "
            "may name another user in user_id, and say in attrs and first_order what it knows of them; a cart without a token "
            "may say first_order."
        ),
        access="optional",
        takes=ValidateBody,
        gives={200: ("It can be redeemed now, or could with another cart.", (shapes.Valid, shapes.Invalid))},
        refuses=(
            problems.TOKEN_MISSING,
            problems.SCOPE_REQUIRED,
            problems.USER_MISMATCH,
            *_NOT_FOR_YOU,
            REFUSALS[Refusal.UNKNOWN_CODE],
            *CLOSED,
            REFUSALS[Refusal.CODE_USED],
            problems.RATE_LIMITED,
            problems.TOO_MANY_FAILURES,
            problems.UNAVAILABLE,
        ),
    ),
    Call(
        name="redeem",
        method="post",
        path="/api/v1/coupons/redeem",
        group="Coupons",
        summary="Claim a slot",
        says=(
            "A success is answered only once it is committed, and then for ever: the same claim sent again is answered 200 "
            "with its present state, whatever became of the campaign. Refusals are not remembered. After 503, or no answer, "
            "send the same request with the same key again. A service may name another user in user_id, and say in attrs and "
            "first_order what it knows of them. While a slot is held for a checkout, its owner is shown that hold (200)."
        ),
        access="user",
        takes=RedeemBody,
        parameters=(_KEY, _PREFER),
        gives={
            201: ("The slot is yours.", shapes.Redemption),
            200: ("It was yours before: the same claim again, as it stands.", shapes.Redemption),
            202: ("Not decided within the wait. Poll Location.", shapes.Pending),
        },
        refuses=(
            problems.KEY_MISSING,
            problems.KEY_INVALID,
            problems.SCOPE_REQUIRED,
            problems.USER_MISMATCH,
            *_NOT_FOR_YOU,
            REFUSALS[Refusal.UNKNOWN_CODE],
            *CLAIM_REFUSALS,
            problems.RATE_LIMITED,
            problems.TOO_MANY_FAILURES,
            problems.UNAVAILABLE,
            problems.BUSY,
        ),
    ),
    Call(
        name="read_claim",
        method="get",
        path="/api/v1/claims/{claim_id}",
        group="Coupons",
        summary="What became of a claim",
        says="For its own user and for services; to anybody else it is unknown. A refusal is told as redeem would have.",
        access="user",
        parameters=(Parameter("claim_id", "path", "The claim's id.", UUID_TEXT), _WAIT, _PARTITION),
        gives={200: ("It took its slot.", shapes.Redemption), 202: ("Not decided yet.", shapes.Pending)},
        refuses=(problems.FIELD_INVALID, problems.CLAIM_UNKNOWN, *CLAIM_REFUSALS, problems.UNAVAILABLE),
    ),
)

CHECKOUT_CALLS = (
    Call(
        name="confirm",
        method="post",
        path="/api/v1/redemptions/{redemption_id}/confirm",
        group="Checkout",
        summary="Checkout is done",
        says=(
            "Claimed becomes redeemed; answered after COMMIT. Sent again, it is answered alike. A hold cannot be confirmed "
            "once its time has run out."
        ),
        access="service",
        parameters=(_REDEMPTION_ID,),
        gives={200: ("The redemption as it stands.", shapes.Redemption)},
        refuses=(problems.REDEMPTION_UNKNOWN, problems.NOT_CLAIMED, problems.HOLD_EXPIRED, problems.UNAVAILABLE),
    ),
    Call(
        name="release",
        method="post",
        path="/api/v1/redemptions/{redemption_id}/release",
        group="Checkout",
        summary="Checkout failed, or was refunded",
        says="The slot is given back if the campaign does so for this reason; answered after COMMIT, and alike again.",
        access="service",
        takes=ReleaseBody,
        parameters=(_REDEMPTION_ID,),
        gives={200: ("The redemption as it stands.", shapes.Redemption)},
        refuses=(
            problems.REDEMPTION_UNKNOWN,
            problems.RELEASE_NOT_ALLOWED,
            problems.NOT_CLAIMED,
            problems.NOT_REDEEMED,
            problems.UNAVAILABLE,
        ),
    ),
    Call(
        name="refund_order",
        method="post",
        path="/api/v1/orders/{order_id}/refunded",
        group="Checkout",
        summary="An order was refunded",
        says=(
            "Each of its redemptions is released, if its campaign gives slots back then; the others are kept, and why is told. "
            "Answered after COMMIT, and alike again; an order that holds nothing is answered with empty lists."
        ),
        access="service",
        parameters=(_ORDER_ID,),
        gives={200: ("The order's redemptions as they stand.", shapes.OrderRefunded)},
        refuses=(problems.FIELD_INVALID, problems.UNAVAILABLE),
    ),
    Call(
        name="read_order",
        method="get",
        path="/api/v1/orders/{order_id}/redemptions",
        group="Checkout",
        summary="What an order holds",
        says="A user sees what is his; a service sees all.",
        access="user",
        parameters=(_ORDER_ID,),
        gives={200: ("What the order holds or held.", shapes.OrderRedemptions)},
        refuses=(problems.FIELD_INVALID, problems.UNAVAILABLE),
    ),
)

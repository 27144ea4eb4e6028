"""The calls for administrators of single-use codes, as a table (see `calls`)."""

from frontdoor import problems
from frontdoor.calls import CSV, ONCE, UUID_TEXT, Call, Parameter
from frontdoor.codes import MintBody
from shared.codes import CodesMinted
from shared.domain.outcomes import Refusal

_PATH = "/api/v1/campaigns/{campaign_id}/codes"
_CAMPAIGN_ID = Parameter("campaign_id", "path", "The campaign's id.", UUID_TEXT)

CODE_CALLS = (
    Call(
        name="mint_codes",
        method="post",
        path=_PATH,
        group="Campaigns",
        summary="Mint single-use codes",
        says=(
            "All or none, and at most 50,000 at once. `count` codes are for whoever comes first (pools only); those for "
            "`users`, or one `user`, can be redeemed by nobody else. In `pattern` (by default 12 characters) every # is drawn "
            "at random out of `charset` (by default Crockford's base32); `prefix` goes before it. There must be at least "
            "100 possible codes for each of the campaign's."
        ),
        access="admin",
        takes=MintBody,
        parameters=(_CAMPAIGN_ID, ONCE),
        gives={201: ("Committed.", CodesMinted)},
        refuses=(
            problems.CAMPAIGN_UNKNOWN,
            problems.CAMPAIGN_ENDED,
            problems.NOTHING_TO_MINT,
            problems.PATTERN_TOO_SMALL,
            problems.TOO_MANY_CODES,
            problems.KEY_INVALID,
            problems.REFUSALS[Refusal.KEY_REUSED],
            problems.UNAVAILABLE,
        ),
    ),
    Call(
        name="export_codes",
        method="get",
        path=_PATH,
        group="Campaigns",
        summary="A campaign's single-use codes",
        says="A line for each, in the order in which they were minted: code,state,intended_user,claimed_by,claimed_at.",
        access="admin",
        parameters=(_CAMPAIGN_ID,),
        gives={200: ("All of them, streamed.", CSV)},
        refuses=(problems.CAMPAIGN_UNKNOWN, problems.UNAVAILABLE),
    ),
)

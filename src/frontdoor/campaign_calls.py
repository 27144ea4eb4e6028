"""The calls for administrators of campaigns, as a table (see `calls`)."""

from frontdoor import problems
from frontdoor.calls import ONCE, UUID_TEXT, Call, Parameter
from frontdoor.campaign_shapes import (
    CampaignInFull,
    CampaignMoved,
    CampaignPage,
    CampaignShown,
    ChangeBody,
    DraftBody,
    MoveBody,
    SplitBody,
)
from frontdoor.problems import Problem
from shared.campaign_reading import Stats
from shared.domain.launch import LaunchDraft
from shared.domain.outcomes import Refusal

_PATH = "/api/v1/campaigns/{campaign_id}"
_CAMPAIGN_ID = Parameter("campaign_id", "path", "The campaign's id.", UUID_TEXT)
_AS_IT_STANDS = {200: ("The campaign as committed.", CampaignShown)}
_OF_A_CHANGE: tuple[Problem, ...] = (problems.CAMPAIGN_UNKNOWN, problems.CAMPAIGN_ENDED, problems.UNAVAILABLE)
_MOVED = {200: ("The campaign where it lives now.", CampaignMoved)}
_OF_A_MOVE = (*_OF_A_CHANGE, problems.ALREADY_SPLIT, problems.CAMPAIGN_MOVING, problems.NOT_DRAINED)

_LISTING = (
    Parameter("after", "query", "Go on behind this campaign (next_after of the page before).", UUID_TEXT),
    Parameter("limit", "query", "Campaigns on a page, by default 50.", {"type": "integer", "minimum": 1, "maximum": 200}),
    Parameter("code", "query", "Only the campaign of this code.", {"type": "string"}),
)


def _switch(name: str, summary: str, says: str) -> Call:
    return Call(
        name=f"{name}_campaign",
        method="post",
        path=f"{_PATH}/{name}",
        group="Campaigns",
        summary=summary,
        says=says,
        access="admin",
        parameters=(_CAMPAIGN_ID,),
        gives=_AS_IT_STANDS,
        refuses=_OF_A_CHANGE,
    )


CAMPAIGN_CALLS = (
    Call(
        name="create_campaign",
        method="post",
        path="/api/v1/campaigns",
        group="Campaigns",
        summary="Create a campaign",
        says=(
            "Active at once, though its window may lie ahead. starts_at and ends_at are wall times of its timezone unless they "
            "carry an offset; ends_on, a date, is the end of that day there. total_limit must be given, if only as null "
            "(unlimited). A shared campaign has the code that everybody types; a pool may have one, and a campaign of unique "
            "codes has none: theirs are minted. type, code and exact stay as they are."
        ),
        access="admin",
        takes=DraftBody,
        parameters=(ONCE,),
        gives={201: ("Committed. Location is its address.", CampaignShown)},
        refuses=(
            problems.KEY_INVALID,
            problems.CODE_TAKEN,
            problems.REFUSALS[Refusal.KEY_REUSED],
            problems.UNAVAILABLE,
        ),
    ),
    Call(
        name="list_campaigns",
        method="get",
        path="/api/v1/campaigns",
        group="Campaigns",
        summary="Campaigns, the newest first",
        access="admin",
        parameters=_LISTING,
        gives={200: ("A page of them.", CampaignPage)},
        refuses=(problems.FIELD_INVALID, problems.UNAVAILABLE),
    ),
    Call(
        name="read_campaign",
        method="get",
        path=_PATH,
        group="Campaigns",
        summary="A campaign",
        access="admin",
        parameters=(_CAMPAIGN_ID,),
        gives={200: ("The campaign as committed, and what is announced for it.", CampaignInFull)},
        refuses=(problems.CAMPAIGN_UNKNOWN, problems.UNAVAILABLE),
    ),
    Call(
        name="change_campaign",
        method="patch",
        path=_PATH,
        group="Campaigns",
        summary="Change a campaign",
        says="What is left out stays. Nobody loses what they hold: new terms are for the claims to come.",
        access="admin",
        takes=ChangeBody,
        parameters=(_CAMPAIGN_ID,),
        gives=_AS_IT_STANDS,
        refuses=(*_OF_A_CHANGE, problems.LIMIT_BELOW_CLAIMED),
    ),
    _switch("pause", "Give nothing until it is resumed", "What is held stays held."),
    _switch("resume", "Go on giving after a pause", "The velocity guard keeps out of what was resumed, for a while."),
    _switch("end", "Give nothing any more", "There is no way back. What is held stays held."),
    Call(
        name="announce_launch",
        method="post",
        path=f"{_PATH}/launches",
        group="Campaigns",
        summary="Announce a launch",
        says=(
            "While a launch lasts, 24 hours at most, the velocity guard does not pause the campaign. Times are wall times of "
            "its timezone unless they carry an offset. Announced twice it is one launch."
        ),
        access="admin",
        takes=LaunchDraft,
        parameters=(_CAMPAIGN_ID,),
        gives={201: ("The campaign, with all that is announced for it.", CampaignInFull)},
        refuses=(problems.CAMPAIGN_UNKNOWN, problems.UNAVAILABLE),
    ),
    Call(
        name="split_campaign",
        method="post",
        path=f"{_PATH}/split",
        group="Campaigns",
        summary="Cut a hot campaign into slices",
        says=(
            "Each slice serves a part of the users, in a partition of its own; those that there are stay where they are. "
            "Claims for this campaign wait while it is done, for less than a second."
        ),
        access="admin",
        takes=SplitBody,
        parameters=(_CAMPAIGN_ID,),
        gives=_MOVED,
        refuses=(*_OF_A_MOVE, problems.NOT_SPLITTABLE),
    ),
    Call(
        name="move_campaign",
        method="post",
        path=f"{_PATH}/move",
        group="Campaigns",
        summary="Have a campaign live in another partition",
        says="One that is not split. Claims for this campaign wait while it is done, for less than a second.",
        access="admin",
        takes=MoveBody,
        parameters=(_CAMPAIGN_ID,),
        gives=_MOVED,
        refuses=_OF_A_MOVE,
    ),
    Call(
        name="campaign_stats",
        method="get",
        path=f"{_PATH}/stats",
        group="Campaigns",
        summary="A campaign's numbers",
        says="Counted in one snapshot of the database.",
        access="admin",
        parameters=(_CAMPAIGN_ID,),
        gives={200: ("All of them exact.", Stats)},
        refuses=(problems.CAMPAIGN_UNKNOWN, problems.UNAVAILABLE),
    ),
)

"""The calls for administrators of segments, as a table (see `calls`)."""

from frontdoor import problems
from frontdoor.calls import CSV, Call, Parameter
from frontdoor.segments import SegmentList
from shared.segments import Segment

_PATH = "/api/v1/segments/{name}"
_NAME = Parameter("name", "path", "Letters, digits, - and _, at most 64.", {"type": "string", "minLength": 1, "maxLength": 64})

SEGMENT_CALLS = (
    Call(
        name="put_segment",
        method="put",
        path=_PATH,
        group="Segments",
        summary="Put a list in the place of a segment",
        says=(
            "CSV with the header `user_id` or `user_id,since` (a date, or nothing), a user a line, at most 64 MiB. All of it "
            "or nothing: until it is committed, claims are judged by the list from before. Audience filters read it as "
            "`segments.name`: the date, or true."
        ),
        access="admin",
        takes=CSV,
        parameters=(_NAME,),
        gives={200: ("Committed.", Segment)},
        refuses=(
            problems.FIELD_INVALID,
            problems.CSV_INVALID,
            problems.REQUEST_TIMEOUT,
            problems.BODY_TOO_LARGE,
            problems.CSV_EXPECTED,
            problems.UNAVAILABLE,
        ),
    ),
    Call(
        name="list_segments",
        method="get",
        path="/api/v1/segments",
        group="Segments",
        summary="Segments, and how many users belong to each",
        access="admin",
        gives={200: ("All of them, by name.", SegmentList)},
        refuses=(problems.UNAVAILABLE,),
    ),
    Call(
        name="delete_segment",
        method="delete",
        path=_PATH,
        group="Segments",
        summary="Forget a segment",
        access="admin",
        parameters=(_NAME,),
        gives={200: ("As it was.", Segment)},
        refuses=(problems.FIELD_INVALID, problems.SEGMENT_UNKNOWN, problems.UNAVAILABLE),
    ),
)

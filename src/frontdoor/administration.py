"""What the calls for administrators have in common: who may make them, how they are read, and how they are answered."""

from collections.abc import Sequence

import msgspec
from aiohttp import web

from frontdoor import parse
from frontdoor.bodies import MAX_BODY_BYTES, read_body
from frontdoor.context import DOOR, Door
from frontdoor.problems import CAMPAIGN_UNKNOWN, FIELD_INVALID, Problem, ProblemRaised
from frontdoor.replies import refuse
from frontdoor.tokens import ADMIN
from shared import metrics
from shared.domain.draft import Fault
from shared.domain.ids import CampaignId, UserId


def administrator(request: web.Request) -> tuple[Door, UserId]:
    """The door, and who asks. Raises ProblemRaised unless it is an administrator."""
    door = request.app[DOOR]
    return door, door.identify_with_scope(request, ADMIN).user_id


async def json_body(request: web.Request, limit: int = MAX_BODY_BYTES) -> bytes:
    """The body, unread as yet. Raises ProblemRaised when it is no JSON or too large."""
    raw = await read_body(request, limit)
    if isinstance(raw, Problem):
        raise ProblemRaised(raw)
    return raw


def campaign_named(request: web.Request) -> CampaignId:
    """The campaign in the path. Raises ProblemRaised when none can have that id."""
    named = parse.path_id(request.match_info["campaign_id"])
    if named is None:
        raise ProblemRaised(CAMPAIGN_UNKNOWN)
    return CampaignId(named)


def faulty(faults: Sequence[Fault]) -> Problem:
    """Everything that is wrong with a body, in one refusal."""
    told = " ".join(f"{fault.field} {fault.what}." for fault in faults)
    return FIELD_INVALID.saying(told).carrying(field=faults[0].field, faults=faults)


def refused(room: str, problem: Problem) -> web.Response:
    """The answer that says `problem`, counted."""
    metrics.ANSWERS.add(room, problem.code)
    return refuse(problem)


def answered(
    room: str, what: str, body: msgspec.Struct, *, status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    """The answer that shows `body`, counted."""
    metrics.ANSWERS.add(room, what)
    return web.Response(status=status, body=msgspec.json.encode(body), content_type="application/json", headers=headers)

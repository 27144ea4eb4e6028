"""What the calls for administrators have in common: who may make them, on which campaign, and what is wrong with a body."""

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from frontdoor import parse
from frontdoor.context import DOOR, Door
from frontdoor.problems import CAMPAIGN_UNKNOWN, FIELD_INVALID, Problem, ProblemRaised, accepted
from frontdoor.tokens import ADMIN
from shared.answered import Call, call_of
from shared.domain.draft import Fault
from shared.domain.ids import CampaignId, UserId


def administrator(request: web.Request) -> tuple[Door, UserId]:
    """The door, and who asks. Raises ProblemRaised unless it is an administrator."""
    door = request.app[DOOR]
    return door, door.identify_with_scope(request, ADMIN).user_id


def campaign_named(request: web.Request) -> CampaignId:
    """The campaign in the path. Raises ProblemRaised when none can have that id."""
    named = parse.path_id(request.match_info["campaign_id"])
    if named is None:
        raise ProblemRaised(CAMPAIGN_UNKNOWN)
    return CampaignId(named)


def call_named(request: web.Request, by: UserId, body: Any) -> Call | None:
    """The call that an Idempotency-Key makes one with its repetitions; None without one. Raises ProblemRaised."""
    given = request.headers.getall("Idempotency-Key", ())
    return call_of(by, request.path, accepted(parse.idempotency_key(given)), body) if given else None


def faulty(faults: Sequence[Fault]) -> Problem:
    """Everything that is wrong with a body, in one refusal."""
    told = " ".join(f"{fault.field} {fault.what}." for fault in faults)
    return FIELD_INVALID.saying(told).carrying(field=faults[0].field, faults=faults)

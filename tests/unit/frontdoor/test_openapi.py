"""The API document says what is served, and what is served is what it says."""

import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from frontdoor import docs, openapi, render
from frontdoor.app import ON_EVERY_PORT, ROOMS
from frontdoor.calls import Call
from frontdoor.openapi import BOTH, SIDES, Sides, calls, document, refusals
from frontdoor.problems import PROBLEMS, Problem, problem_type
from shared.domain import discount
from shared.domain.campaign import Campaign
from shared.domain.code import Code
from shared.domain.discount import Discount
from shared.domain.draft import CampaignDraft, planned
from shared.domain.ids import CampaignId, ClaimId, PartitionNo, UserId
from shared.domain.outcomes import Refusal
from shared.domain.redemption import Redemption, State

CALLS = calls(BOTH)
EVERY_CHOICE: list[Sides] = [("public",), ("admin",), BOTH]
PAGES_FOR_PEOPLE = {("get", "/docs"), ("get", "/problems/{code}")}
NOW = datetime(2026, 11, 27, 9, 0, 0, 5, tzinfo=UTC)
DRAFT = CampaignDraft(
    name="Black Friday",
    type="shared",
    code="BLACKFRI100",
    discount=Discount("percent", 10, "EUR"),
    total_limit=1_000,
    ends_at="2026-11-28T00:00",
)


def made(draft: CampaignDraft) -> Campaign:
    campaign = planned(draft, CampaignId(UUID(int=1)))
    assert isinstance(campaign, Campaign)
    return campaign


CAMPAIGN = made(DRAFT)
CLAIMED = Redemption(
    redemption_id=ClaimId(UUID(int=2)),
    campaign_id=CAMPAIGN.campaign_id,
    slice_no=0,
    code_id=1,
    code=Code("BLACKFRI100"),
    user_id=UserId("usr_1"),
    use_no=1,
    user_limit=1,
    order_id="ord_1",
    discount_applied=discount.apply(CAMPAIGN.discount, 1_000),
    idempotency_key="key",
    body_hash=b"",
    state=State.CLAIMED,
    claimed_at=NOW,
)
RELEASED = msgspec.structs.replace(CLAIMED, state=State.RELEASED, redeemed_at=NOW, released_at=NOW, released_reason="refund")


def served(sides: Sides) -> dict[tuple[str, str], str]:
    """The names of the handlers, under which their answers are counted."""
    rooms = [*(room for side in sides for room in ROOMS[side]), *ON_EVERY_PORT]
    routes = [route for room in rooms for route in room if isinstance(route, web.RouteDef)]
    return {(route.method.lower(), re.sub(r":[^{}]+}", "}", route.path)): route.handler.__name__ for route in routes}


@pytest.mark.parametrize("sides", EVERY_CHOICE, ids=" and ".join)
def test_every_call_that_a_port_serves_is_documented_there_by_its_name_and_no_other(sides: Sides) -> None:
    documented = {
        (method, path): call["operationId"]
        for path, methods in document(sides)["paths"].items()
        for method, call in methods.items()
    }
    assert documented == {route: name for route, name in served(sides).items() if route not in PAGES_FOR_PEOPLE}


def test_what_needs_an_administrator_is_not_on_the_public_side() -> None:
    assert not [call.name for call in calls(("public",)) if call.access == "admin"]
    assert {call.access for call in calls(("admin",))} == {"admin", "open"}


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_the_parameters_of_a_path_are_documented(call: Call) -> None:
    in_path = {parameter.name for parameter in call.parameters if parameter.where == "path"}
    assert in_path == set(re.findall(r"{(\w+)}", call.path))


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_a_call_gives_and_refuses_with_different_statuses(call: Call) -> None:
    assert set(call.gives).isdisjoint(problem.status for problem in refusals(call))


def test_only_known_problems_are_documented() -> None:
    assert {problem.code for call in CALLS for problem in refusals(call)} <= set(PROBLEMS)


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        here = {value["$ref"]} if "$ref" in value else set()
        return here.union(*map(references, value.values()))
    return set().union(*map(references, value)) if isinstance(value, list) else set()


@pytest.mark.parametrize("sides", EVERY_CHOICE, ids=" and ".join)
def test_no_reference_leads_nowhere(sides: Sides) -> None:
    named = {f"#/components/schemas/{name}" for name in document(sides)["components"]["schemas"]}
    assert references(document(sides)) <= named
    assert json.loads(msgspec.json.encode(document(sides)))["openapi"] == "3.1.0"


def test_operation_ids_are_unique() -> None:
    assert len({call.name for call in CALLS}) == len(CALLS)


@pytest.mark.parametrize(
    "rendered",
    [
        render.redemption(CLAIMED),
        render.redemption(RELEASED),
        render.pending(CLAIMED.redemption_id, PartitionNo(0)),
        render.valid(CAMPAIGN, "BLACKFRI100", CLAIMED.discount_applied, NOW),
        render.valid(msgspec.structs.replace(CAMPAIGN, ends_at=None), "BF", CLAIMED.discount_applied, NOW, kept=True),
        render.invalid("BF", Refusal.MINIMUM_NOT_MET, minimum_subtotal=500),
        render.invalid("BF", Refusal.NOT_STACKABLE, other=Code("SAVE10")),
    ],
)
def test_what_is_rendered_reads_as_what_is_documented(rendered: msgspec.Struct) -> None:
    assert msgspec.json.decode(msgspec.json.encode(rendered), type=type(rendered)) == rendered


def test_what_has_not_happened_to_a_redemption_is_left_out() -> None:
    later = {"redeemed_at", "released_at", "released_reason"}
    claimed, released = (set(msgspec.to_builtins(render.redemption(row))) for row in (CLAIMED, RELEASED))
    assert released - claimed == later


@pytest.fixture(params=EVERY_CHOICE, ids=" and ".join)
async def client(request: pytest.FixtureRequest) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    app = web.Application()
    app[SIDES] = request.param
    app.add_routes([*openapi.routes, *docs.routes])
    async with TestClient(TestServer(app)) as client:
        yield client


async def test_the_document_is_served(client: TestClient[web.Request, web.Application]) -> None:
    answer = await client.get("/openapi.json")
    assert answer.content_type == "application/json"
    assert await answer.json() == json.loads(msgspec.json.encode(document(client.app[SIDES])))


async def test_the_page_shows_every_call_and_needs_nothing_from_elsewhere(
    client: TestClient[web.Request, web.Application],
) -> None:
    answer = await client.get("/docs")
    page = await answer.text()
    assert answer.content_type == "text/html"
    assert set(re.findall(r'<h3 id="([a-z_]+)"', page)) == {call.name for call in calls(client.app[SIDES])}
    assert not re.findall(r"<script|<link|<img|@import|https?://", page)
    assert set(re.findall(r'href="#(\w+)"', page)) <= set(re.findall(r'id="(\w+)"', page))


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
async def test_the_type_of_a_problem_leads_to_its_page(
    client: TestClient[web.Request, web.Application], problem: Problem
) -> None:
    answer = await client.get(problem_type(problem))
    assert answer.status == 200
    assert problem.code in await answer.text()


async def test_a_problem_nobody_has_has_no_page(client: TestClient[web.Request, web.Application]) -> None:
    assert (await client.get("/problems/%3Cscript%3E")).status == 404

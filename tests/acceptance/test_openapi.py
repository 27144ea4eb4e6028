"""What `/openapi.json` of both ports says is so: requests drawn from it are answered as it describes, and never by a 5xx.

Schemathesis draws them, good and bad, always the same. Where an id is asked for, three requests of four name one that exists.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi import checks

from tests.acceptance.client import Client

#: Of each call, and so many of them good and bad.
EXAMPLES = 60

CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]


#: What each call must have been answered at least once, or it was not tried out in earnest.
GOOD: dict[str, dict[str, set[int]]] = {
    "base_url": {
        "POST /api/v1/coupons/validate": {200},
        "POST /api/v1/coupons/redeem": {201},
        "GET /api/v1/claims/{claim_id}": {200},
        "POST /api/v1/redemptions/{redemption_id}/confirm": {200},
        "POST /api/v1/redemptions/{redemption_id}/release": {409},
        "POST /api/v1/orders/{order_id}/refunded": {200},
        "GET /api/v1/orders/{order_id}/redemptions": {200},
        "GET /healthz": {200},
        "GET /readyz": {200},
    },
    "admin_url": {
        "POST /api/v1/campaigns": {201, 400},
        "GET /api/v1/campaigns": {200},
        "GET /api/v1/campaigns/{campaign_id}": {200},
        "PATCH /api/v1/campaigns/{campaign_id}": {200},
        "POST /api/v1/campaigns/{campaign_id}/pause": {200},
        "POST /api/v1/campaigns/{campaign_id}/resume": {200},
        "POST /api/v1/campaigns/{campaign_id}/end": {200},
        "POST /api/v1/campaigns/{campaign_id}/split": {200, 400, 409},
        "POST /api/v1/campaigns/{campaign_id}/move": {200, 400, 409},
        "POST /api/v1/campaigns/{campaign_id}/launches": {201, 400},
        "GET /api/v1/campaigns/{campaign_id}/stats": {200},
        "POST /api/v1/campaigns/{campaign_id}/codes": {409},
        "GET /api/v1/campaigns/{campaign_id}/codes": {200},
        "PUT /api/v1/segments/{name}": {200, 400},
        "DELETE /api/v1/segments/{name}": {200},
        "GET /api/v1/segments": {200},
        "GET /metrics": {200},
        "GET /healthz": {200},
        "GET /readyz": {200},
    },
}


def calls_of(url: str) -> list[APIOperation[Any, Any, Any, Any]]:
    document = schemathesis.openapi.from_url(f"{url}/openapi.json")
    return [each.ok() for each in document.get_all_operations() if isinstance(each, Ok)]


def drawn(operation: APIOperation[Any, Any, Any, Any], try_out: Callable[[Case[Any]], None]) -> None:
    """Try out the call with requests that it describes, and with such as it does not."""
    cases = st.one_of(*(operation.as_strategy(mode) for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)))
    limits = settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    limits(given(case=cases)(lambda case: try_out(case)))()


class Tried:
    """Requests of one call that were tried out, and how often each status was the answer."""

    def __init__(self, bearer: str, existing: Mapping[str, str]) -> None:
        self.heard: Counter[int] = Counter()
        self._session = requests.Session()
        self._headers = {"Authorization": bearer}
        self._existing = existing
        self._numbers = count()

    def __call__(self, case: Case[Any]) -> None:
        if next(self._numbers) % 4:
            self._name_what_exists(case)
        response = case.call(session=self._session, headers=self._headers)
        self.heard[response.status_code] += 1
        case.validate_response(response, checks=CHECKS)

    def _name_what_exists(self, case: Case[Any]) -> None:
        for members in (case.path_parameters, case.body):
            if isinstance(members, dict):
                members.update({name: self._existing[name] for name in members.keys() & self._existing.keys()})


def try_all(url: str, bearer: str, existing: Mapping[str, str]) -> dict[str, Counter[int]]:
    """What was heard of each call that is described at this port. Fails at the first answer that is not as described."""
    heard = {}
    for operation in calls_of(url):
        tried = Tried(bearer, existing)
        drawn(operation, tried)
        heard[operation.label] = tried.heard
    return heard


@pytest.fixture
async def existing(client: Client) -> dict[str, str]:
    """Names of things that are there, as the calls spell them."""
    campaign = await client.campaign(total_limit=None, per_user_limit=1_000)
    won = await client.redeem(client.ask(campaign, "ann"))
    headers = {"Authorization": f"Bearer {client.stack.admin_token}", "Content-Type": "text/csv"}
    url = f"{client.stack.admin_url}/api/v1/segments/described"
    assert (await client.send("PUT", url, headers, b"user_id\nann\n")).status == 200
    redemption = won.body["redemption_id"]
    return {
        "campaign_id": campaign["campaign_id"],
        "code": campaign["code"],
        "claim_id": redemption,
        "redemption_id": redemption,
        "order_id": won.body["order_id"],
        "name": "described",
    }


@pytest.mark.parametrize("port", ["base_url", "admin_url"], ids=["public", "admin"])
async def test_every_call_answers_as_it_is_described(client: Client, existing: dict[str, str], port: str) -> None:
    bearer = client.bearer("described", "service", "admin")
    heard = await asyncio.to_thread(try_all, getattr(client.stack, port), bearer, existing)
    assert set(heard) == set(GOOD[port])
    assert {call: good for call, good in GOOD[port].items() if not heard[call].keys() & good} == {}

"""The table of refusals."""

import json
from pathlib import Path

import pytest

from frontdoor.problems import (
    BUSY,
    FIELD_INVALID,
    PROBLEMS,
    REFUSALS,
    TOKEN_INVALID,
    TOKEN_MISSING,
    Problem,
    body,
    headers,
)
from shared.domain.outcomes import Refusal

ERRORS_PAGE = Path(__file__).parents[3] / "docs" / "errors.md"


def test_every_refusal_of_a_claim_has_its_problem() -> None:
    assert {refusal.value: problem.code for refusal, problem in REFUSALS.items()} == {r.value: r.value for r in Refusal}


@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        ("unknown_code", 404),
        ("key_reused", 422),
        ("campaign_paused", 409),
        ("not_started", 409),
        ("ended", 410),
        ("expired", 410),
        ("audience_mismatch", 403),
        ("not_first_order", 403),
        ("already_redeemed", 409),
        ("period_limit_reached", 409),
        ("subtotal_required", 409),
        ("minimum_not_met", 409),
        ("not_stackable", 409),
        ("code_used", 410),
        ("exhausted", 410),
        ("budget_insufficient", 409),
        ("claim_rejected", 422),
    ],
)
def test_the_status_of_a_refusal_is_the_contract(refusal: str, status: int) -> None:
    assert REFUSALS[Refusal(refusal)].status == status


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
def test_a_body_says_what_rfc_9457_wants(problem: Problem) -> None:
    assert json.loads(body(problem)) == {
        "type": f"/problems/{problem.code}",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "code": problem.code,
    }


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
def test_every_problem_is_explained(problem: Problem) -> None:
    assert f"| `{problem.code}` | {problem.status} |" in ERRORS_PAGE.read_text()


def test_a_problem_of_this_request_says_so_and_the_constant_stays() -> None:
    told = FIELD_INVALID.saying("subtotal is odd.").carrying(field="subtotal")
    assert json.loads(body(told)).items() >= {"detail": "subtotal is odd.", "field": "subtotal"}.items()
    assert "field" not in json.loads(body(FIELD_INVALID))


def test_whoever_may_try_again_is_told_when() -> None:
    assert headers(BUSY)["Retry-After"] == "1"
    assert all("Retry-After" in headers(problem) for problem in PROBLEMS.values() if problem.status in (429, 503))


def test_a_challenge_names_an_error_only_if_there_was_a_token() -> None:
    assert headers(TOKEN_MISSING)["WWW-Authenticate"] == 'Bearer realm="lastslot"'
    assert 'error="invalid_token"' in headers(TOKEN_INVALID.saying("expired"))["WWW-Authenticate"]

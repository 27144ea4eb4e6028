"""A rule decides who a campaign is for; where it cannot decide, nobody is."""

import time
from datetime import UTC, date, datetime
from typing import Any

import pytest

from shared.domain.audience import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_NODES,
    MAX_WORK,
    OPERATORS,
    fault,
    known,
    matches,
    segments_named,
)

NOW = datetime(2026, 11, 27, 9, tzinfo=UTC)
ANN = known("ann", {"country": "DE", "orders": 4, "tags": ["beta", "app"]}, {"vip": date(2026, 10, 1), "staff": None}, NOW)
NOBODY = known("nobody", {}, {}, NOW)


def var(name: str) -> dict[str, Any]:
    return {"var": name}


@pytest.mark.parametrize(
    "rule",
    [
        True,
        {"==": [var("attrs.country"), "DE"]},
        {"in": [var("attrs.country"), ["AT", "DE", "CH"]]},
        {"in": ["beta", var("attrs.tags")]},
        {"!!": var("segments.vip")},
        {"!!": var("segments.staff")},
        {"!": var("segments.churned")},
        {"<": [var("segments.vip"), "2026-11-01"]},
        {"<=": ["2026-10-01", var("segments.vip"), "2026-10-31"]},
        {">=": [var("now"), "2026-11-27"]},
        {"and": [{">": [var("attrs.orders"), 3]}, {"or": [False, {"==": [var("user_id"), "ann"]}]}]},
        {"if": [var("segments.vip"), True, False]},
        {"some": [var("attrs.tags"), {"==": [var(""), "app"]}]},
        {">": ["10", 9]},
        {"==": [{"var": ["attrs.missing", "fallback"]}, "fallback"]},
        {"missing": ["attrs.age", "user_id"]},
        {"!": {"missing_some": [1, ["attrs.age", "attrs.country"]]}},
    ],
)
def test_a_rule_that_holds_for_ann(rule: Any) -> None:
    assert fault(rule) is None
    assert matches(rule, ANN)


@pytest.mark.parametrize("operator", ["<", "<=", ">", ">="])
@pytest.mark.parametrize("other", [-1, 0, 18, "2026-11-01", "zzz", True])
@pytest.mark.parametrize("name", ["attrs.age", "segments.vip", "segments", "nowhere.at.all"])
def test_what_is_missing_is_neither_before_nor_after_anything(operator: str, other: Any, name: str) -> None:
    assert not matches({operator: [var(name), other]}, NOBODY)
    assert not matches({operator: [other, var(name)]}, NOBODY)


@pytest.mark.parametrize(
    "rule",
    [
        {"/": [var("attrs.orders"), 0]},
        {"%": [1, 0]},
        {"==": [{"+": [var("attrs.country"), 1]}, 1]},
        {"<": [var("attrs.country"), 5]},
        {"*": [1e308, 1e308, -1]},
        {"substr": [var("attrs"), {"var": "segments"}]},
        {"frobnicate": [1]},
        {"a.b": [1]},
        {"log": ["printed"]},
    ],
)
def test_a_rule_that_cannot_be_evaluated_holds_for_nobody(rule: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert isinstance(matches(rule, ANN), bool)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("rule", [{"/": [1, 0]}, {"%": [1, 0]}, {"frobnicate": [1]}, {"<": ["DE", 5]}, {"log": ["x"]}])
def test_what_cannot_be_evaluated_is_false(rule: Any) -> None:
    assert not matches(rule, ANN)


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("vip", "JsonLogic rule"),
        (1, "JsonLogic rule"),
        ([True], "JsonLogic rule"),
        ({}, "0 members"),
        ({"==": [1, 1], "!=": [1, 2]}, "2 members"),
        ({"and": [{"==": [1, 1]}, {}]}, "0 members"),
        ({"frobnicate": 1}, "frobnicate"),
        ({"and": [{"os.system": "ls"}]}, "os.system"),
        ({"log": "x"}, "unknown operator"),
        ({"reduce": [[1], 1, 0]}, "unknown operator"),
        ({"==": ["\0", 1]}, "NUL"),
        ({"some": [[1], {"all": [[1], True]}]}, "multiply"),
        ({"some": [{"filter": [[1], True]}, True]}, "multiply"),
        ({"some": [{"merge": [var("attrs.tags")] * 100}, True]}, "multiply"),
        ({"in": ["x", ["x"] * MAX_NODES]}, "parts"),
        ({"in": ["x", "x" * MAX_BYTES]}, "bytes"),
    ],
)
def test_a_rule_that_would_never_do_what_its_author_means_is_refused(rule: Any, says: str) -> None:
    told = fault(rule)
    assert told is not None
    assert says in told


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 100_000])
def test_a_rule_of_any_depth_is_refused_and_never_followed(depth: int) -> None:
    rule: Any = True
    for _ in range(depth):
        rule = {"!": rule}
    assert "deeper" in str(fault(rule))
    assert isinstance(matches(rule, ANN), bool)


def test_the_dearest_rule_that_is_accepted_takes_no_time_worth_speaking_of() -> None:
    items = [1] * 240
    rule = {"all": [items, {"and": [{"!!": 1}] * 80}]}
    assert fault(rule) is None
    began = time.perf_counter()
    assert matches(rule, ANN)
    assert time.perf_counter() - began < 0.5


@pytest.mark.parametrize(
    ("rule", "named"),
    [
        (True, False),
        ({"==": [var("attrs.country"), "DE"]}, False),
        ({"==": [var("user_id"), "segments.vip"]}, False),
        ({"missing_some": [1, ["attrs.a", "now"]]}, False),
        ({"!!": var("segments.vip")}, True),
        ({"and": [True, {"!": [{"var": ["segments.vip", False]}]}]}, True),
        ({"missing": ["attrs.a", "segments.vip"]}, True),
        ({"missing_some": [1, ["attrs.a", "segments.vip"]]}, True),
        ({"var": {"cat": ["segm", "ents.vip"]}}, True),
        ({"var": []}, True),
        ({"var": None}, True),
        ({"var": ""}, True),
        (var("segments"), True),
    ],
)
def test_segments_are_looked_up_only_where_a_rule_may_read_them(rule: Any, named: bool) -> None:
    assert segments_named(rule) is named


def test_every_operator_that_is_offered_is_known_to_the_library() -> None:
    assert {"var", "in", "if", "and", "or", "!", "!!", "<", "missing", "substr", "cat", "merge", "min", "max"} <= OPERATORS
    for operator in OPERATORS - {"/", "%"}:
        assert isinstance(matches({operator: [[1], 1]}, ANN), bool)


def test_a_rule_over_the_longest_list_does_not_keep_others_waiting() -> None:
    rule = {"all": [var("attrs.list"), {"and": [{"!=": [var(""), number]} for number in range(80)]}]}
    assert fault(rule) is None
    attrs = {"list": [-1] * (MAX_WORK // (6 * 80 + 7))}
    began = time.thread_time()
    assert matches(rule, known("ann", attrs, {}, NOW))
    assert time.thread_time() - began < 0.2


@pytest.mark.parametrize("attrs", [{"list": [1] * 1_500}, {"a": {"b": [[1] * 700, [1] * 700]}}, {"many": [[1]] * 700}])
def test_a_rule_of_usual_length_is_judged_over_the_longest_list_that_a_token_can_hold(attrs: dict[str, Any]) -> None:
    usual = {"and": [{"!!": {"var": "attrs"}}, {"!": {"some": [var("attrs.list"), {"==": [var(""), 2]}]}}]}
    assert matches(usual, known("ann", attrs, {}, NOW))


@pytest.mark.parametrize("attrs", [{"list": [1] * 101}, {"a": {"b": [[1] * 101]}}, {"one": [1] * 51, "two": [1] * 51}])
def test_a_list_that_is_too_long_for_a_long_rule_is_not_judged(attrs: dict[str, Any]) -> None:
    long = {"and": [True] * (MAX_NODES - 2)}
    assert fault(long) is None
    assert not matches(long, known("ann", attrs, {}, NOW))
    assert matches(long, known("ann", {"list": [1] * 100}, {}, NOW))

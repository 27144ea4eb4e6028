"""The alert rules that operators mount speak of metrics that there are, and say what to do."""

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from shared import metrics

PAGE = Path(__file__).parents[2] / "deploy" / "alerts.yml"
#: By import, because its types are in a package that nothing else needs.
DOCUMENT: Any = import_module("yaml").safe_load(PAGE.read_text())
RULES: list[dict[str, Any]] = [rule for group in DOCUMENT["groups"] for rule in group["rules"]]

#: What an operator must not have to find out by himself.
ALARMS = [
    metrics.AUDIT_FAULTS,
    metrics.DRIFTS_LEFT,
    metrics.DRIFTS_FOUND,
    metrics.DEAD_LETTERS,
    metrics.DEAD_LETTERS_WAITING,
    metrics.FENCED,
    metrics.STANDSTILLS,
    metrics.DIRECT_CLAIMS._counter,
    metrics.FILTER_LATE,
    metrics.GUARD_PAUSES,
    metrics.ALERTS_NOT_TAKEN,
    metrics.LEASES_HELD,
]


def exported() -> set[str]:
    """Every name under which a metric may be asked for."""
    suffixes = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_sum", "_count"]}
    return {metric.name + suffix for metric in REGISTRY.collect() for suffix in suffixes.get(metric.type, [])}


def named(rule: dict[str, Any]) -> set[str]:
    return set(re.findall(r"lastslot_\w+", rule["expr"]))


def test_the_file_is_what_prometheus_reads() -> None:
    assert list(DOCUMENT) == ["groups"]
    assert all(set(group) == {"name", "rules"} for group in DOCUMENT["groups"])
    assert len({rule["alert"] for rule in RULES}) == len(RULES)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_rule_asks_for_metrics_that_there_are_and_says_what_to_do(rule: dict[str, Any]) -> None:
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"Lastslot[A-Z]\w+", rule["alert"])
    assert named(rule)
    assert named(rule) <= exported()
    assert re.fullmatch(r"\d+[mhd]", rule.get("for", "1m"))
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert set(rule["annotations"]) == {"summary", "action"}


@pytest.mark.parametrize("alarm", ALARMS, ids=lambda alarm: alarm._name)
def test_what_must_be_heard_of_has_a_rule(alarm: Any) -> None:
    names = {f"{alarm._name}_total", alarm._name}
    assert any(names & named(rule) for rule in RULES)

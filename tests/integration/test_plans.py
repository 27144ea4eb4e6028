"""The hot statements look rows up by key, also when their plans were made while the tables were small."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from shared.postgres import SERVER_SETTINGS
from shared.statements import statement

HOT = [
    "claim_facts",
    "known_claims",
    "claim_outcomes",
    "redemptions_of_order",
    "lifecycle_facts",
    "campaigns_by_code",
    "codes_by_code",
    "memberships",
    "code_page",
    "campaign_stats",
    "gate_users",
    "winners",
]
GROWING = {"redemptions", "ledger", "codes", "segment_members"}


def scans(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if plan.get("Relation Name") in GROWING or plan["Node Type"] == "Bitmap Index Scan":
        yield plan
    for child in plan.get("Plans", []):
        yield from scans(child)


@pytest.mark.parametrize("name", HOT)
def test_a_hot_statement_reads_growing_tables_by_an_index_condition_alone(postgres_dsn: str, name: str) -> None:
    with psycopg.connect(postgres_dsn) as connection:
        for setting, value in SERVER_SETTINGS.items():
            connection.execute("SELECT set_config(%s, %s, false)", (setting, value))
        explained = connection.execute(f"EXPLAIN (GENERIC_PLAN, FORMAT JSON) {statement(name)}".encode()).fetchone()
    assert explained is not None
    found = list(scans(explained[0][0]["Plan"]))
    assert found
    for node in found:
        assert "Index Cond" in node or node["Node Type"] == "Bitmap Heap Scan", node

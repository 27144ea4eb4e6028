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
    "known_users",
    "claim_outcomes",
    "redemptions_of_orders",
    "standing_of_orders",
    "used_codes",
    "lifecycle_facts",
    "codes_by_code",
    "order_facts",
    "order_lifecycle",
    "take_steps",
    "write_claims",
    "overdue_holds",
    "winners",
    "memberships",
    "clear_members",
    "code_page",
    "codes_between",
    "codes_since",
    "campaign_stats",
    "gate_users",
    "winners",
    "velocity_facts",
]
GROWING = {"redemptions", "campaign_traffic", "ledger", "codes", "code_log", "segment_members"}


def scans(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    reads = plan.get("Relation Name") in GROWING and plan["Node Type"] != "ModifyTable"
    if reads or plan["Node Type"] == "Bitmap Index Scan":
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


@pytest.mark.parametrize("name", ["order_facts", "standing_of_orders"])
def test_what_an_order_holds_is_found_without_passing_what_it_held(postgres_dsn: str, name: str) -> None:
    with psycopg.connect(postgres_dsn) as connection:
        for setting, value in SERVER_SETTINGS.items():
            connection.execute("SELECT set_config(%s, %s, false)", (setting, value))
        explained = connection.execute(f"EXPLAIN (GENERIC_PLAN, FORMAT JSON) {statement(name)}".encode()).fetchone()
    assert explained is not None
    [condition] = [node["Index Cond"] for node in scans(explained[0][0]["Plan"]) if "Index Cond" in node]
    assert "order_id =" in condition
    assert "released_at" in condition


def test_the_attempts_of_an_hour_are_found_by_their_time_and_in_no_earlier_month(postgres_dsn: str) -> None:
    text = statement("top_attempts")
    for number, value in enumerate(("'user'", "'1 hour'", "NULL", "20"), start=1):
        text = text.replace(f"${number}", value)
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("SET enable_seqscan = off")
        connection.execute(
            "CREATE TABLE before PARTITION OF redemption_attempts FOR VALUES FROM ('2020-01-01') TO ('2020-02-01')"
        )
        explained = connection.execute(f"EXPLAIN {text}".encode()).fetchall()
        [this_month] = connection.execute("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')").fetchone() or ()
    plan = "\n".join(line for (line,) in explained)
    assert f"Bitmap Index Scan on redemption_attempts_{this_month}" in plan, plan
    assert "Subplans Removed: 1" in plan, plan
    assert "before" not in plan, plan


@pytest.mark.parametrize(("name", "reads"), [("history_places", 7), ("history", 3)])
def test_a_history_is_found_by_index_conditions_beside_the_list_of_campaigns(postgres_dsn: str, name: str, reads: int) -> None:
    with psycopg.connect(postgres_dsn) as connection:
        # As an auditor's session has it: what refusals name is found through a bitmap.
        for setting, value in (SERVER_SETTINGS | {"enable_bitmapscan": "on"}).items():
            connection.execute("SELECT set_config(%s, %s, false)", (setting, value))
        explained = connection.execute(f"EXPLAIN (GENERIC_PLAN, FORMAT JSON) {statement(name)}".encode()).fetchone()
    assert explained is not None
    found = [node for node in scans(explained[0][0]["Plan"]) if node["Node Type"] != "Bitmap Heap Scan"]
    assert len([node for node in found if node.get("Index Name") != "campaigns_pkey"]) == reads
    for node in found:
        assert "Index Cond" in node or node["Index Name"] == "campaigns_pkey", node


def test_a_pool_finds_its_free_codes_without_passing_the_used_ones(postgres_dsn: str) -> None:
    with psycopg.connect(postgres_dsn) as connection:
        for setting, value in SERVER_SETTINGS.items():
            connection.execute("SELECT set_config(%s, %s, false)", (setting, value))
        # Statistics of a table that was nearly used up when they were made, as well as none.
        connection.execute(
            "INSERT INTO codes (campaign_id, code, state) "
            "SELECT gen_random_uuid(), n::text, 'claimed' FROM generate_series(1, 5000) AS n"
        )
        for _ in range(2):
            explained = connection.execute(f"EXPLAIN (GENERIC_PLAN) {statement('claim_facts')}".encode()).fetchall()
            assert any("free_codes" in line for (line,) in explained), explained
            assert not any("codes_by_campaign" in line for (line,) in explained), explained
            connection.execute("ANALYZE codes")

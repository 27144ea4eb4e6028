"""Whoever reconciles, an operator, the night or a new owner: what is found is told, set right, and counted."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from structlog.testing import capture_logs

from claim_workers import jobs
from claim_workers.consumer import Stores
from claim_workers.inspecting import Inspector
from lastslot.cli import cli
from lastslot.datadir import tell_stack
from lastslot.running import Stack
from shared import keys, metrics
from shared.domain.drift import DriftKind
from shared.domain.ids import ShardId
from shared.postgres import Pool
from shared.redis_client import Redis
from tests.integration import drifting
from tests.integration.drifting import PARTITION, Bench, field
from tests.integration.engine import gain


@pytest.fixture
async def bench(dsn: str, pool: Pool, redis: Redis) -> Bench:
    return await drifting.prepared(dsn, pool, redis)


async def types(dsn: str, redis_url: str, *words: str) -> Result:
    arguments = ["reconcile", "--postgres-dsn", dsn, "--redis-url", redis_url, *words]
    return await asyncio.to_thread(CliRunner().invoke, cli, arguments)


def left(kind: DriftKind) -> float | None:
    samples = [sample for metric in metrics.DRIFTS_LEFT.collect() for sample in metric.samples]
    return next((sample.value for sample in samples if sample.labels["kind"] == kind), None)


def found(kind: DriftKind) -> float:
    samples = [sample for metric in metrics.DRIFTS_FOUND.collect() for sample in metric.samples]
    return sum(sample.value for sample in samples if sample.labels["kind"] == kind and sample.name.endswith("_total"))


async def test_an_operator_sees_what_differs_and_sets_it_right(bench: Bench, dsn: str, redis_url: str) -> None:
    nothing = await types(dsn, redis_url)
    assert (nothing.exit_code, nothing.stdout) == (0, "1 gates compared; 0 differences, 0 of them set right\n")
    await bench.redis.hset(bench.key(keys.users), "ann", "0:\x1b[2J")
    await bench.damage("UPDATE campaign_slices SET amount_claimed = 1")
    for _ in range(2):
        seen = await types(dsn, redis_url)
        assert seen.exit_code == 1
        assert all(word in seen.stdout for word in ("user_miscounted", "money_miscounted", "ann", "1200"))
        assert "\x1b[2J" not in seen.stdout
    fixed = await types(dsn, redis_url, "--fix")
    assert (fixed.exit_code, fixed.stdout.count("set right")) == (0, 3)
    await bench.owner.turn()
    assert (await types(dsn, redis_url)).exit_code == 0


async def test_what_is_left_is_told_with_exit_code_1(bench: Bench, dsn: str, redis_url: str) -> None:
    await bench.damage("UPDATE campaigns SET minted = 8")
    fixed = await types(dsn, redis_url, "--fix")
    assert (fixed.exit_code, fixed.stdout.splitlines()[-1]) == (1, "1 gates compared; 1 differences, 0 of them set right")


async def test_that_redis_is_away_is_said_with_exit_code_2(dsn: str, pool: Pool, tmp_path: Path) -> None:
    seen = await types(dsn, "redis://127.0.0.1:1/0")
    assert (seen.exit_code, seen.stdout) == (2, "")
    assert "nothing can be compared with Redis; does it run?" in seen.stderr


async def test_the_stores_of_a_stack_are_found_by_its_directory(bench: Bench, dsn: str, redis_url: str, tmp_path: Path) -> None:
    tell_stack(tmp_path, Stack("http://unused", "http://unused", dsn, redis_url, "unused", "unused"))
    seen = await asyncio.to_thread(CliRunner().invoke, cli, ["reconcile", "--data-dir", str(tmp_path)])
    assert (seen.exit_code, seen.stdout.splitlines()[-1]) == (0, "1 gates compared; 0 differences, 0 of them set right")


async def test_the_night_sets_gates_right_counts_the_rest_and_may_come_twice(bench: Bench, dsn: str, redis_url: str) -> None:
    context = {"postgres_dsn": dsn, "redis_url": redis_url}
    await field("limit", "9")(bench)
    await bench.damage("UPDATE campaigns SET minted = 8")
    counted = found(DriftKind.GATE_LIMIT_DIFFERS)
    logs: list[list[Any]] = []
    for _ in range(2):
        with capture_logs() as lines:
            await jobs.nightly_reconciliation(context)
        logs.append([line.get("kind", line["event"]) for line in lines])
        assert (left(DriftKind.CODES_MISCOUNTED), left(DriftKind.GATE_LIMIT_DIFFERS)) == (1, 0)
        await bench.owner.turn()
    assert logs == [["codes_miscounted", "gate_limit_differs", "reconciled"], ["codes_miscounted", "reconciled"]]
    assert found(DriftKind.GATE_LIMIT_DIFFERS) == counted + 1
    assert await bench.redis.hget(bench.key(keys.gate), "limit") == b"1"


async def test_a_new_owner_sets_right_what_it_finds_once_a_term(bench: Bench, stores: Stores) -> None:
    inspector = Inspector(stores, ShardId("shard"), pause_s=0.05)
    await field("limit", "9")(bench)
    await inspector.look()
    assert not await bench.redis.exists(bench.key(keys.gate))
    await bench.owner.turn()
    assert await bench.redis.hget(bench.key(keys.gate), "limit") == b"1"
    await field("limit", "9")(bench)
    await inspector.look()
    assert await bench.redis.hget(bench.key(keys.gate), "limit") == b"9"
    await gain(stores.pool, PARTITION)
    await inspector.look()
    assert not await bench.redis.exists(bench.key(keys.gate))


async def test_what_another_owns_is_not_inspected(bench: Bench, stores: Stores) -> None:
    await field("limit", "9")(bench)
    await gain(stores.pool, PARTITION, "another")
    await Inspector(stores, ShardId("shard"), pause_s=0.05).look()
    assert await bench.redis.hget(bench.key(keys.gate), "limit") == b"9"

"""Scheduled work runs, may run twice, and its process comes and goes without noise."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from structlog.testing import capture_logs

from claim_workers import jobs
from lastslot.embedded import EmbeddedServer
from shared import metrics
from shared.postgres import Pool
from shared.settings import Settings
from tests.servers import embedded_redis, running

_RUN = "from claim_workers import jobs; from shared.settings import from_environment; jobs.run(from_environment())"
_SOURCES = Path(__file__).parents[2] / "src"


def faults() -> float | None:
    [sample] = [sample for metric in metrics.AUDIT_FAULTS.collect() for sample in metric.samples]
    return sample.value


async def test_a_clean_audit_says_so_once_however_often_it_runs(dsn: str, pool: Pool) -> None:
    for _ in range(2):
        with capture_logs() as lines:
            await jobs.nightly_audit({"postgres_dsn": dsn})
        assert [line["event"] for line in lines] == ["audited"]
        assert faults() == 0


async def test_an_audit_that_finds_faults_logs_and_counts_them(dsn: str, pool: Pool) -> None:
    await pool.execute("UPDATE partitions SET last_seq = 1 WHERE partition_no IN (4, 5)")
    with capture_logs() as lines:
        await jobs.nightly_audit({"postgres_dsn": dsn})
    assert [(line["event"], line["log_level"]) for line in lines] == [
        ("audit_fault", "error"),
        ("audit_fault", "error"),
        ("audited", "info"),
    ]
    assert faults() == 2


async def test_shards_long_gone_are_forgotten_and_the_living_are_not(pool: Pool) -> None:
    now = datetime.now(UTC)
    for shard, age in {"living": -3, "late": 60, "gone": 25 * 3600}.items():
        await pool.execute("INSERT INTO shards (shard_id, seen_until) VALUES ($1, $2)", shard, now - timedelta(seconds=age))
    for _ in range(2):
        await jobs.forget_shards({"pool": pool})
        rows = await pool.fetch("SELECT shard_id FROM shards ORDER BY 1")
        assert [row["shard_id"] for row in rows] == ["late", "living"]


async def test_doors_long_gone_are_forgotten_and_the_living_are_not(pool: Pool) -> None:
    now = datetime.now(UTC)
    for door, age in {"living": -3, "late": 60, "gone": 25 * 3600}.items():
        await pool.execute("INSERT INTO doors VALUES ($1, 0, $2)", door, now - timedelta(seconds=age))
    for _ in range(2):
        await jobs.forget_doors({"pool": pool})
        rows = await pool.fetch("SELECT door_id FROM doors ORDER BY 1")
        assert [row["door_id"] for row in rows] == ["late", "living"]


async def test_orders_are_forgotten_an_hour_later_unless_they_are_being_claimed_for(pool: Pool) -> None:
    ages = [("new", 0), ("old", 3_601), ("claimed for", 3_601)]
    for order, age_s in ages:
        at = "clock_timestamp() - make_interval(secs => $2)"
        await pool.execute(f"INSERT INTO order_holds (order_id, at) VALUES ($1, {at})", order, float(age_s))
    async with pool.acquire() as batch, batch.transaction():
        await batch.execute("SELECT FROM order_holds WHERE order_id = 'claimed for' FOR UPDATE")
        await jobs.forget_orders({"pool": pool})
    rows = await pool.fetch("SELECT order_id FROM order_holds ORDER BY 1")
    assert [order for (order,) in rows] == ["claimed for", "new"]


async def test_each_job_of_the_schedule_is_done_when_it_is_due(dsn: str, pool: Pool, redis_url: str) -> None:
    settings = Settings(postgres_dsn=dsn, redis_url=redis_url, jwt_secret="x" * 32)
    async with jobs._open_queue(redis_url) as queue:
        worker = jobs.schedule(settings, pool, queue)
        for job in worker.cron_jobs:
            job.run_at_startup = True
        worker.burst = True
        await worker.async_run()
        assert (worker.jobs_complete, worker.jobs_failed) == (len(worker.cron_jobs), 0)


class Process:
    """`lastslot jobs` as a process whose log is read line by line."""

    def __init__(self, dsn: str, redis_url: str) -> None:
        settings = {
            "LASTSLOT_POSTGRES_DSN": dsn,
            "LASTSLOT_REDIS_URL": redis_url,
            "LASTSLOT_JWT_SECRET": "x" * 32,
            "LASTSLOT_LOG_FORMAT": "json",
            "PYTHONPATH": str(_SOURCES),
        }
        self.process = subprocess.Popen(
            [sys.executable, "-c", _RUN], env={**os.environ, **settings}, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stderr is not None
        self._lines = iter(self.process.stderr)
        self.log: list[str] = []

    def wait_for(self, event: str) -> None:
        for line in self._lines:
            self.log.append(line)
            if event in line:
                return
        pytest.fail(f"{event} was not logged: {self.log}")

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        self.log += self._lines
        return self.process.wait(10)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stderr is not None
        self.process.stderr.close()


@pytest.fixture
def started(dsn: str, redis_url: str) -> Iterator[Process]:
    process = Process(dsn, redis_url)
    yield process
    process.end()


def test_the_process_stops_when_it_is_told_and_says_two_lines(started: Process) -> None:
    started.wait_for("jobs_started")
    assert started.stop() == 0
    assert [line for line in started.log if "jobs_started" not in line and "jobs_stopped" not in line] == []


def test_the_process_refuses_a_database_that_could_lose_a_commit(dsn: str, redis_url: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        name = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("ALTER DATABASE {} SET synchronous_commit = off").format(name))
    process = Process(dsn, redis_url)
    try:
        process.wait_for("DurabilityOff")
        assert process.process.wait(10) == 1
    finally:
        process.end()


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[EmbeddedServer]:
    with running(embedded_redis(tmp_path)) as server:
        yield server


def test_the_process_outlives_its_redis_and_says_so(dsn: str, own_redis: EmbeddedServer) -> None:
    process = Process(dsn, own_redis.url)
    try:
        process.wait_for("jobs_started")
        own_redis.kill()
        process.wait_for("redis_away")
        assert process.process.poll() is None
        assert process.stop() == 0
        assert "Traceback" not in "".join(process.log)
    finally:
        process.end()

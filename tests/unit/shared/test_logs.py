"""What a process writes to its log, seen from outside of it."""

import json
import subprocess
import sys
from typing import Any

_PROGRAM = """
import logging, sys
import structlog
from shared.logs import configure
from shared.settings import Settings

configure("worker", Settings(postgres_dsn="x", redis_url="x", jwt_secret="s" * 32, log_format=sys.argv[1], log_level="info"))
password = "hunter2"
structlog.get_logger().debug("hidden")
structlog.get_logger().info("lease won", partition=3)
logging.getLogger("asyncpg").warning("from %s", "asyncpg")
logging.getLogger("arq.worker").info("hidden")
try:
    raise KeyError(1)
except KeyError:
    structlog.get_logger().exception("broken")
"""


def log_of(log_format: str) -> str:
    run = subprocess.run([sys.executable, "-c", _PROGRAM, log_format], capture_output=True, text=True, check=True, timeout=30)
    assert run.stdout == ""
    return run.stderr


def test_json_is_one_object_a_line_whoever_logs() -> None:
    lines: list[dict[str, Any]] = [json.loads(line) for line in log_of("json").splitlines()]
    assert [(line["level"], line["event"]) for line in lines] == [
        ("info", "lease won"),
        ("warning", "from asyncpg"),
        ("error", "broken"),
    ]
    assert {(line["process"], type(line["pid"])) for line in lines} == {("worker", int)}
    assert lines[0]["partition"] == 3
    assert "KeyError: 1" in lines[2]["exception"]


def test_without_a_terminal_auto_is_json() -> None:
    assert json.loads(log_of("auto").splitlines()[0])["event"] == "lease won"


def test_a_terminal_reads_columns_and_no_local_variables() -> None:
    log = log_of("console")
    assert "lease won" in log
    assert "KeyError: 1" in log
    assert "hunter2" not in log
    assert "hidden" not in log

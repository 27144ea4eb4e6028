"""Counting: cheap, complete, and the same whichever process is asked."""

import os
import re
import subprocess
import sys
from pathlib import Path

_COUNT = """
from shared import metrics
metrics.ANSWERS.add("redeem", "exhausted")
metrics.ANSWERS.add("redeem", "exhausted", n=2)
metrics.GATE_CLAIMS.add(n=64)
metrics.PENDING_WAITERS.set(5)
metrics.CLAIMS_COMMITTED.labels("claimed").inc(7)
metrics.BATCH_SIZE.observe(3)
"""
_SHOW = "import sys; sys.stdout.write(metrics.exposition()[0].decode())"


def shown(program: str, directory: Path | None) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PROMETHEUS_MULTIPROC_DIR"}
    if directory is not None:
        environment["PROMETHEUS_MULTIPROC_DIR"] = str(directory)
    run = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True, timeout=30
    )
    return run.stdout


def value(exposition: str, series: str) -> float:
    found = re.search(rf"^{re.escape(series)} (\S+)$", exposition, re.MULTILINE)
    assert found, series
    return float(found[1])


def test_what_was_tallied_is_shown_at_once() -> None:
    exposition = shown(_COUNT + _SHOW, None)
    assert value(exposition, 'lastslot_answers_total{call="redeem",code="exhausted"}') == 3
    assert value(exposition, "lastslot_gate_claims_total") == 64
    assert value(exposition, "lastslot_pending_waiters") == 5


def test_one_process_shows_what_all_have_counted(tmp_path: Path) -> None:
    shown(_COUNT + "metrics.fold()", tmp_path)
    exposition = shown(_COUNT + _SHOW, tmp_path)
    assert value(exposition, 'lastslot_answers_total{call="redeem",code="exhausted"}') == 6
    assert value(exposition, "lastslot_gate_claims_total") == 128
    assert value(exposition, 'lastslot_claims_committed_total{outcome="claimed"}') == 14
    assert value(exposition, "lastslot_batch_size_count") == 2


def test_folding_goes_on_until_the_end(tmp_path: Path) -> None:
    program = """
import asyncio
from shared import metrics
metrics.FOLD_INTERVAL_S = 0.01
async def main():
    folding = asyncio.create_task(metrics.keep_folding(lambda: 3))
    metrics.GATE_CALLS.add()
    while metrics.GATE_CALLS._counts:  # until a fold has come by
        await asyncio.sleep(0.01)
    metrics.GATE_CALLS.add()
    folding.cancel()
    await asyncio.gather(folding, return_exceptions=True)
asyncio.run(main())
"""
    shown(program, tmp_path)
    exposition = shown("from shared import metrics\n" + _SHOW, tmp_path)
    assert value(exposition, "lastslot_gate_calls_total") == 2
    assert value(exposition, "lastslot_pending_waiters") == 3

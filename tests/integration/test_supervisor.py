"""The supervisor with real children, shells that do as they are told."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from lastslot.program import Program
from lastslot.supervisor import Supervisor

_SOURCES = Path(__file__).parents[2] / "src"


class Told:
    """A supervisor, and all that it said."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.ended: list[int] = []
        self.supervisor = Supervisor(self.said.append, self.ended.append)


@pytest.fixture
async def told() -> AsyncIterator[Told]:
    told = Told()
    yield told
    told.supervisor.hurry.set()
    await told.supervisor.stop(1)


def shell(tmp_path: Path, name: str, script: str, insist_signal: signal.Signals = signal.SIGKILL) -> Program:
    argv = ("/bin/sh", "-c", script)
    return Program(name=name, argv=argv, log=tmp_path / f"{name}.log", insist_signal=insist_signal)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 (what is waited for happens in other processes)
            await asyncio.sleep(0.01)


async def test_who_dies_is_started_again_and_that_is_said(told: Told, tmp_path: Path) -> None:
    [child] = await told.supervisor.start([shell(tmp_path, "one", "exec sleep 60")])
    first = child.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await until(lambda: len(told.said) == 2)
    assert told.ended == [first]
    assert child.pid not in (None, first)
    assert told.said == [
        f"one (pid {first}) was killed by signal 9; starting it again in 0.2 s (its log: {tmp_path}/one.log)",
        f"one was started again (pid {child.pid})",
    ]


async def test_who_keeps_dying_waits_longer_each_time(told: Told, tmp_path: Path) -> None:
    [child] = await told.supervisor.start([shell(tmp_path, "one", "echo tried; exit 3")])
    await until(lambda: child.deaths == 3)
    pauses = [sentence for sentence in told.said if "ended with exit code 3" in sentence]
    assert ["in 0.2 s" in pauses[0], "in 0.4 s" in pauses[1], "in 0.8 s" in pauses[2]] == [True] * 3
    assert child.program.last_words() == "tried\ntried\ntried"


async def test_groups_stop_in_the_opposite_order_of_their_start(told: Told, tmp_path: Path) -> None:
    order = tmp_path / "order"
    for name in ("store", "worker", "door"):
        script = f"trap 'sleep 0.1; echo {name} >> {order}; exit 0' TERM; echo up; while :; do sleep 0.01; done"
        await told.supervisor.start([shell(tmp_path, name, script)])
    await until(lambda: all(child.program.last_words() == "up" for child in told.supervisor.children))
    await told.supervisor.stop(10)
    assert order.read_text().split() == ["door", "worker", "store"]
    assert told.said == []


async def test_who_does_not_stop_in_time_is_insisted_on(told: Told, tmp_path: Path) -> None:
    stubborn = shell(tmp_path, "stubborn", "trap '' TERM; echo up; while :; do sleep 0.01; done")
    # No shell, which can set no trap for a signal that whoever started the tests ignores.
    script = "import signal, sys; signal.signal(15, signal.SIG_IGN); signal.signal(3, lambda *_: sys.exit('bye'))"
    argv = (sys.executable, "-c", f"{script}; print('up', flush=True)\nwhile True: signal.pause()")
    gentle = Program(name="gentle", argv=argv, log=tmp_path / "gentle.log", insist_signal=signal.SIGQUIT)
    children = await told.supervisor.start([stubborn, gentle])
    await until(lambda: all(child.program.last_words() == "up" for child in children))
    await told.supervisor.stop(0.1)
    assert [child.pid for child in children] == [None, None]
    assert gentle.last_words() == "up\nbye"


async def test_who_is_waiting_to_be_started_again_stays_down_once_stopped(told: Told, tmp_path: Path) -> None:
    [child] = await told.supervisor.start([shell(tmp_path, "one", "exit 3")])
    await until(lambda: child.deaths == 4)
    await told.supervisor.stop(10)
    assert child.pid is None
    assert len(told.said) == 7


async def test_a_child_that_cannot_be_started_again_for_now_is_told_of(told: Told, tmp_path: Path) -> None:
    place = tmp_path / "logs"
    place.mkdir()
    [child] = await told.supervisor.start([shell(place, "one", "exec sleep 60")])
    (place / "one.log").unlink()
    place.rmdir()
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    await until(lambda: len(told.said) == 2)
    assert told.said[1].startswith("one cannot be started: ")


async def test_who_is_told_to_stop_while_being_started_again_hears_it(
    told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [child] = await told.supervisor.start([shell(tmp_path, "one", "exec sleep 60")])
    real, stopping = asyncio.create_subprocess_exec, []

    async def told_meanwhile(*argv: str, **options: Any) -> asyncio.subprocess.Process:
        stopping.append(asyncio.create_task(child.stop(60)))
        await asyncio.sleep(0)
        return await real(*argv, **options)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", told_meanwhile)
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    await until(lambda: bool(stopping))
    await asyncio.wait_for(stopping[0], 10)
    assert child.pid is None


_PARENT = """
import subprocess, sys
from pathlib import Path
from lastslot.program import Program
program = Program(name="child", argv=("sleep", "60"), log=Path("/dev/null"))
print(subprocess.Popen(program.argv, **program.options()).pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the kernel offers no such thing")
def test_a_child_dies_with_a_parent_that_was_killed() -> None:
    environment = {**os.environ, "PYTHONPATH": str(_SOURCES)}
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
    )
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.communicate()
    child.wait(10)

"""Keeping programs alive: what dies is started again, later each time, and what is to stop is stopped in order."""

import asyncio
from collections.abc import Callable, Sequence

from lastslot.program import Program
from shared import clock
from shared.process import stopped_within

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 10.0
_KILL_AFTER_S = 5.0


class Child:
    """One program, kept running until it is told to stop."""

    def __init__(self, program: Program, supervisor: "Supervisor") -> None:
        self.program = program
        self.deaths = 0
        self._supervisor = supervisor
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Its process number; None while it does not run."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def start(self) -> None:
        """Start it, and from then on start it again when it ends. Raises OSError when it cannot be started at all."""
        self._running = asyncio.create_task(self._keep_running(await self._spawn()))

    async def stop(self, grace_s: float) -> None:
        """Ask it to stop; after `grace_s` seconds, or when the supervisor is hurried, insist; and in the end kill it."""
        self._stopping.set()
        if self._running is None:
            return
        self._signal(self.program.stop_signal)
        hurried = asyncio.create_task(self._supervisor.hurry.wait())
        await asyncio.wait((self._running, hurried), timeout=grace_s, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        if not self._running.done():
            self._signal(self.program.insist_signal)
            await asyncio.wait((self._running,), timeout=_KILL_AFTER_S)
        if not self._running.done():
            self._signal(9)
        await self._running

    async def _spawn(self) -> asyncio.subprocess.Process:
        program = self.program
        with program.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(*program.argv, stdout=log, stderr=log, **program.options())
        if self._stopping.is_set():
            # Told while it was being started, when there was nobody yet to hear it.
            self._signal(program.stop_signal)
        return self._process

    async def _keep_running(self, process: asyncio.subprocess.Process) -> None:
        pause_s = 0.0
        again: asyncio.subprocess.Process | None = process
        while again is not None:
            began = clock.monotonic()
            code = await again.wait()
            self._supervisor.on_end(again.pid)
            if self._stopping.is_set():
                return
            self.deaths += 1
            pause_s = next_pause_s(pause_s, clock.monotonic() - began)
            self._supervisor.say(
                f"{self.program.name} (pid {again.pid}) {ending(code)}; starting it again in {pause_s:.1f} s "
                f"(its log: {self.program.log})"
            )
            again = await self._start_again(pause_s)

    async def _start_again(self, pause_s: float) -> asyncio.subprocess.Process | None:
        while not await stopped_within(self._stopping, pause_s):
            try:
                process = await self._spawn()
            except OSError as error:
                pause_s = LONGEST_PAUSE_S
                self._supervisor.say(f"{self.program.name} cannot be started: {error}; trying again in {pause_s:.0f} s")
            else:
                self._supervisor.say(f"{self.program.name} was started again (pid {process.pid})")
                return process
        return None

    def _signal(self, number: int) -> None:
        if self.pid is not None and self._process is not None:
            self._process.send_signal(number)


class Supervisor:
    """Programs in groups: a group is started after the ones it needs, and stopped before them.

    `say` hears what happens, a sentence at a time; `on_end` the number of every process that ended. Once `hurry` is set,
    whatever is being stopped is insisted on at once.
    """

    def __init__(self, say: Callable[[str], None], on_end: Callable[[int], None]) -> None:
        self.say = say
        self.on_end = on_end
        self.hurry = asyncio.Event()
        self._groups: list[list[Child]] = []

    @property
    def children(self) -> list[Child]:
        """All of them, in the order in which they were started."""
        return [child for group in self._groups for child in group]

    async def start(self, programs: Sequence[Program]) -> list[Child]:
        """Start a group."""
        group: list[Child] = []
        self._groups.append(group)
        for program in programs:
            child = Child(program, self)
            await child.start()
            group.append(child)
        return group

    async def stop(self, grace_s: float) -> None:
        """Stop every group, the last one first; each child has `grace_s` seconds."""
        while self._groups:
            await asyncio.gather(*(child.stop(grace_s) for child in self._groups.pop()))


def next_pause_s(last_s: float, lived_s: float) -> float:
    """How long to wait before a program is started again: twice the last pause, but anew for one that had lived a while."""
    if last_s == 0 or lived_s > LONGEST_PAUSE_S:
        return FIRST_PAUSE_S
    return min(2 * last_s, LONGEST_PAUSE_S)


def ending(code: int) -> str:
    """How a process ended, for a sentence that begins with its name."""
    return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"

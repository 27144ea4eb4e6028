"""A world of its own: a virtual clock, processes that die, freeze and are cut off, and one source of chance.

A process is a generator; what it yields is for how many seconds it has nothing to do. Nothing else runs meanwhile and nothing
is drawn from anywhere but the world's own chance, so that a seed is a history, to be had again whenever it is asked for.
"""

from collections.abc import Callable, Generator, Iterable, Sequence
from heapq import heappop, heappush, heapreplace
from math import inf
from random import Random
from typing import TypeAlias, TypeVar

T = TypeVar("T")

#: A process, or a part of one that returns a T.
Process: TypeAlias = Generator[float, None, T]

#: How long somebody waits for an answer before taking a store for silent.
PATIENCE_S = 0.25


class Silence(Exception):
    """There was no answer; whether anything was done is not known."""


class Host:
    """Where processes run. What runs on it ends with it; `starts` tells one start of it from the next.

    `held`: what would go on if it were not frozen. `fuse`: after how many more steps of its calls `spark` happens to it,
    between whichever two steps that is; while it is `tinder`, that is counted from the beginning of its next transaction.
    """

    __slots__ = ("frozen_until", "fuse", "held", "name", "spark", "starts", "tinder", "up")

    def __init__(self, name: str) -> None:
        self.name = name
        self.starts = 0
        self.up = True
        self.frozen_until = 0.0
        self.held: list[tuple[Task, int]] = []
        self.fuse = -1
        self.tinder = False
        self.spark: Callable[[], None] = _nothing


class Store(Host):
    """A host that others call. While `away_until` it answers nobody; `cut` names those whom it does not hear."""

    __slots__ = ("away_until", "cut")

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.away_until = 0.0
        self.cut: dict[str, float] = {}


class Task:
    """A process under way. `turn` is its latest place on the agenda; it may have others, from which it was woken earlier."""

    __slots__ = ("host", "process", "turn")

    def __init__(self, host: Host, process: Iterable[float]) -> None:
        self.host = host
        self.process = process
        self.turn = 0


class World:
    """What happens, in order. How likely a message is to be lost, each way: `loss`; and to take long: `delay`.

    `late`: how many calls are under way that nobody waits for any more; `traced`: whether anybody hears what is told.
    `_struck`: in this step a host died or froze, perhaps that of the process whose step it is.
    """

    def __init__(self, seed: int, trace: Callable[[str], None] | None = None) -> None:
        self.chance = Random(seed)
        self._draw = self.chance.random
        self.now = 0.0
        self.loss = 0.0
        self.delay = 0.02
        self.late = 0
        self.running: Task | None = None
        self.seen: set[str] = set()
        self.traced = trace is not None
        self._trace = trace
        # There are always two that are never reached, so that there is a next whoever is first.
        self._agenda: list[tuple[float, int, Task]] = [(inf, never, Task(_NATURE, ())) for never in (-2, -1)]
        self._turns = 0
        self._frozen_until = 0.0
        self._struck = False

    def start(self, host: Host, process: Process[None], after: float = 0.0) -> Task:
        """Let a process run on a host, for as long as that lives."""
        task = Task(host, process)
        self._turns = task.turn = turn = self._turns + 1
        heappush(self._agenda, (self.now + after, turn, task))
        return task

    def kill(self, host: Host) -> None:
        """End whatever runs on a host; what is started there from now on runs."""
        self._struck = True
        host.up = False
        host.starts += 1
        for task in [task for task, _ in host.held] + [task for _, _, task in self._agenda]:
            if task.host is host:
                task.process = ()

    def at(self, after: float, act: Callable[[], object]) -> None:
        """Let something happen that no host's end prevents."""
        self.start(_NATURE, _once(act), after)

    def wake(self, task: Task) -> None:
        """Let a process that has nothing to do go on at once."""
        self._turns = task.turn = turn = self._turns + 1
        heappush(self._agenda, (self.now, turn, task))

    def freeze(self, host: Host, seconds: float) -> None:
        """Let nothing on a host go on for so long; it does not notice."""
        self._struck = True
        host.frozen_until = max(host.frozen_until, self.now + seconds)
        self._frozen_until = max(self._frozen_until, host.frozen_until)
        self.at(seconds, lambda: self.thaw(host))

    def thaw(self, host: Host) -> None:
        """Let a host go on, if it is time, with whatever it would have done meanwhile."""
        if host.frozen_until <= self.now:
            held, host.held = host.held, []
            for task, turn in held:
                if task.turn == turn:
                    self.wake(task)

    def run(self, until: float) -> None:
        """Let everything happen that does before `until`."""
        agenda = self._agenda
        while True:
            # It stays the first until it is done: whatever it brings about comes after it.
            when, turn, task = agenda[0]
            if when > until:
                break
            if task.turn != turn:
                heappop(agenda)
                continue
            if when < self._frozen_until and when < task.host.frozen_until:
                task.host.held.append((task, turn))
                heappop(agenda)
                continue
            self.now = when
            self.running = task
            self._struck = False
            for pause in task.process:
                when += pause
                if when < agenda[1][0] and when < agenda[2][0] and when <= until and not self._struck:
                    # Mostly nobody else has anything to do before, and it need not be put off.
                    self.now = when
                    continue
                self._turns = task.turn = turn = self._turns + 1
                heapreplace(agenda, (when, turn, task))
                break
            else:
                heappop(agenda)
        self.now = until

    def call(self, caller: Host, store: Store, act: Callable[[], T]) -> Process[T]:
        """What `act` returns, done at a store, with a way there and a way back. Raises Silence.

        A call that is lost may be so on its way there, on its way back, or arrive when nobody expects it any more. An answer
        is either late or there at once: whatever happens in a moment happens on some call's way there.
        """
        chance, delay = self._draw, self.delay
        way = chance()
        yield 0.0002 + 0.001 * way if way >= delay else 0.15 * way / delay
        lit = caller.fuse >= 0
        if lit:
            self._burn(caller)
        unheard = store.away_until > self.now or (store.cut and store.cut.get(caller.name, 0.0) > self.now)
        if unheard or (self.loss and chance() < self.loss):
            if chance() < 0.3:
                self.late += 1
                self.at(max(0.0, store.away_until - self.now) + 3 * chance() ** 2, lambda: self._late(store, act))
            yield PATIENCE_S
            raise Silence
        answer = act()
        if lit:
            # Whoever has died or is frozen by now does not go on.
            self._burn(caller)
            yield 0.001
        way = chance()
        if way < delay:
            yield 0.15 * way / delay
        if store.away_until > self.now or (self.loss and chance() < self.loss):
            yield PATIENCE_S
            raise Silence
        return answer

    def travel(self) -> float:
        """How long a message is under way: mostly a moment, now and then long enough for others to overtake it."""
        chance = self._draw()
        return 0.0002 + 0.001 * chance if chance >= self.delay else 0.15 * chance / self.delay

    def pick(self, some: Sequence[T]) -> T:
        """Any of them."""
        return some[int(self._draw() * len(some))]

    def note(self, event: str) -> None:
        """Remember that something was seen that should be seen sometimes."""
        self.seen.add(event)
        self.tell(event)

    def tell(self, line: str) -> None:
        """Say what happens, to whoever replays this history."""
        if self._trace is not None:
            self._trace(f"{self.now:9.4f}  {line}")

    def _late(self, store: Store, act: Callable[[], object]) -> None:
        self.late -= 1
        if store.away_until <= self.now:
            try:
                act()
            except Exception as error:  # Nobody is there to hear it.
                self.tell(f"a late call came to {error!r}")

    def _burn(self, host: Host) -> None:
        if host.fuse >= 0:
            host.fuse -= 1
            if host.fuse < 0:
                host.spark()


def _once(act: Callable[[], object]) -> Process[None]:
    act()
    return
    yield 0.0


def _nothing() -> None:
    pass


_NATURE = Host("nature")

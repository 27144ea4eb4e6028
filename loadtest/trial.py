"""One measurement: requests, how they are fired, and what must have come of them for its time to count."""

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec

from frontdoor.tokens import issue
from lastslot.burst import Answer, fire
from lastslot.crowd import redeem
from lastslot.wire import render
from loadtest.contestants import Contestant
from loadtest.records import Measured
from loadtest.spread import at_percent, spread_of

CONNECTIONS = 256
HOST = "127.0.0.1"


class Trial(msgspec.Struct, frozen=True):
    """What is sent to one contestant, over how many connections, and what has to come back.

    `held`: active redemptions of `code` afterwards.
    """

    requests: Sequence[bytes]
    expected: Mapping[int, int]
    code: str
    held: int
    connections: int = CONNECTIONS


#: Makes ready what a trial needs, for a contestant, with names that no other trial has and tokens of this secret.
Prepare = Callable[[Contestant, str, str], Awaitable[Trial]]


class Scenario(msgspec.Struct, frozen=True):
    """A benchmark: a trial for each contestant in turn, several rounds.

    `rounds`: how many it takes for its median to mean something.
    `commits`: so many claims are also committed with no way to go, in turn with the others (see `loadtest.ceiling`).
    `drawn`: one burst more is drawn as it went (see `loadtest.timeline`).
    """

    name: str
    title: str
    contestants: tuple[str, ...]
    prepare: Prepare
    rounds: int = 5
    commits: int = 0
    drawn: bool = False


class Wrong(Exception):
    """The answers, or the database, are not what they must be: the time means nothing."""


async def measure(contestant: Contestant, trial: Trial) -> Measured:
    """Fire the trial. Raises Wrong."""
    before = await contestant.meters()
    cpu = time.process_time()
    answers = await fire(HOST, contestant.port, trial.requests, trial.connections)
    cpu = time.process_time() - cpu
    meters = {name: count - before.get(name, 0.0) for name, count in (await contestant.meters()).items()}
    await check(contestant, trial, answers)
    seconds = max(a.started + a.seconds for a in answers) - min(a.started for a in answers)
    return figures(seconds, [answer.seconds for answer in answers], cpu, meters)


def figures(seconds: float, latencies: Sequence[float], cpu_s: float, meters: Mapping[str, float]) -> Measured:
    """What so many answers in so many seconds come to, when the client took `cpu_s` seconds of CPU for them."""
    ordered, count = sorted(latencies), len(latencies)
    return Measured(
        seconds=seconds,
        per_second=count / seconds,
        p50=at_percent(ordered, 50),
        p99=at_percent(ordered, 99),
        client_us=cpu_s / count * 1e6,
        meters=meters,
        spread=spread_of(ordered),
    )


async def check(contestant: Contestant, trial: Trial, answers: Sequence[Answer]) -> None:
    """Raises Wrong when the answers, or the books, are not what the trial expects."""
    heard = dict(Counter(answer.status for answer in answers))
    expected = dict(trial.expected) if contestant.decides else {200: len(answers)}
    if heard != expected:
        raise Wrong(f"{contestant.name} answered {heard}, not {expected}")
    if not contestant.decides or not trial.held:
        return
    books = await contestant.books(trial.code)
    if {books.redemptions, books.users, books.claimed} != {trial.held}:
        raise Wrong(f"{contestant.name} has {books} in its database, not {trial.held:,} of each")


def redeems(secret: str, code: str, people: int, named: str) -> list[bytes]:
    """`people` different users' requests for one code, each with a token and a key of its own."""
    users = [f"usr_{named}_{number}" for number in range(people)]
    return [redeem(HOST, code, user, issue(secret, user)) for user in users]


def validates(secret: str, code: str, people: int, named: str) -> list[bytes]:
    """`people` different users who look at one code."""
    body = msgspec.json.encode({"code": code})
    tokens = [issue(secret, f"usr_{named}_{number}") for number in range(people)]
    return [render("POST", "/api/v1/coupons/validate", HOST, {"Authorization": f"Bearer {token}"}, body) for token in tokens]

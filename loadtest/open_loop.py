"""Latency at rates that do not wait for answers: what people see at 1,000, 2,000, 5,000 and 10,000 requests a second.

python -m loadtest.open_loop [--call redeem …] [--rate 1000 …] [--seconds 4] [--rounds 5]

People come at random moments (Poisson, seeded), and latency counts from the moment at which each came. Bare aiohttp is offered
the same requests at the same moments, in turn. Every acknowledged claim is looked for in the database.
"""

import asyncio
import gc
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from random import Random
from secrets import token_hex
from typing import TypeAlias

import msgspec
from rich.console import Console

from lastslot.burst import LOST, fire
from lastslot.running import own_stack
from loadtest.contestants import Contestant, contestants
from loadtest.demands import print_verdicts
from loadtest.grids import in_terminal
from loadtest.machine import machine_line
from loadtest.paced_figures import breaking_points, calls_of, steps_grid
from loadtest.pacer import UNANSWERED, UNSENT, Replied, pace, poisson
from loadtest.records import OpenLoop, Paced, Step, save, taken
from loadtest.running import run
from loadtest.spread import at_percent, spread_of
from loadtest.trial import HOST, Wrong, redeems, validates

#: Below what a front door takes from one address.
CONNECTIONS = 512

#: Shed: not done, and said so. Undecided: it may yet be done.
_SHED = (429, 503)
_UNDECIDED = (202, LOST, UNANSWERED)


class Offer(msgspec.Struct, frozen=True):
    """What is sent, the one status that it is meant to get, and how many slots of `code` are held before."""

    requests: Sequence[bytes]
    expected: int
    code: str
    held: int = 0


Prepare: TypeAlias = Callable[[Contestant, str, str, int], Awaitable[Offer]]


async def _validate(contestant: Contestant, named: str, secret: str, people: int) -> Offer:
    code = f"PACED-{named}".upper()
    await contestant.open_campaign(code, 1_000)
    await fire(HOST, contestant.port, validates(secret, code, 200, f"{named}_early"))
    return Offer(validates(secret, code, people, named), 200, code)


async def _redeem(contestant: Contestant, named: str, secret: str, people: int) -> Offer:
    code = f"PACED-{named}".upper()
    await contestant.open_campaign(code, people)
    return Offer(redeems(secret, code, people, named), 201, code)


async def _sold_out(contestant: Contestant, named: str, secret: str, people: int) -> Offer:
    code, slots = f"PACED-{named}".upper(), 100
    await contestant.open_campaign(code, slots)
    await fire(HOST, contestant.port, redeems(secret, code, slots, f"{named}_early"))
    return Offer(redeems(secret, code, people, named), 410, code, slots)


CALLS: Mapping[str, Prepare] = {"validate": _validate, "redeem": _redeem, "sold_out": _sold_out}


async def open_loop(console: Console, given: Namespace) -> None:
    """Offer every call at every rate. Raises Wrong when an answer, or the database, is not what it must be."""
    runs: dict[tuple[str, str, int], list[Paced]] = {}
    dice = Random(given.seed)
    async with own_stack("--frontdoors", str(given.frontdoors), "--workers", str(given.workers)) as stack:
        when = taken(await machine_line(stack, given.frontdoors, given.workers))
        console.print(when.machine, highlight=False, soft_wrap=True)
        async with contestants(stack, {"bare", "lastslot"}, given.frontdoors) as entered:
            await _warm_up(entered["lastslot"], stack.jwt_secret)
            with console.status("") as status:
                for number, call, rate in _turns(given):
                    due = poisson(rate, given.seconds, dice)
                    for name, contestant in entered.items():
                        status.update(f"{call} at {rate:,}/s: {name}, round {number} of {given.rounds}")
                        paced = await _offer(contestant, CALLS[call], stack.jwt_secret, due)
                        runs.setdefault((call, name, rate), []).append(paced)
    loop = OpenLoop(when, given.seconds, [Step(*which, rounds) for which, rounds in runs.items()])
    save("open_loop", loop)
    for call, steps in calls_of(loop).items():
        console.print(in_terminal(steps_grid(call, steps)))
    for line in breaking_points(loop.steps):
        console.print(line, highlight=False)
    print_verdicts(console, ["open_loop"])


def _turns(given: Namespace) -> list[tuple[int, str, int]]:
    rounds, rates = range(1, given.rounds + 1), given.rate or (1_000, 2_000, 5_000, 10_000)
    return [(number, call, rate) for number in rounds for call in given.call or CALLS for rate in rates]


async def _warm_up(contestant: Contestant, secret: str) -> None:
    offer = await _redeem(contestant, token_hex(3), secret, 2_000)
    await fire(HOST, contestant.port, offer.requests)


async def _offer(contestant: Contestant, prepare: Prepare, secret: str, due: Sequence[float]) -> Paced:
    offer = await prepare(contestant, token_hex(4), secret, len(due))
    gc.collect()
    replied = await asyncio.to_thread(pace, contestant.port, offer.requests, due, CONNECTIONS)
    await check(contestant, offer, replied)
    return _figures(replied, offer.expected if contestant.decides else 200)


async def check(contestant: Contestant, offer: Offer, replied: Replied) -> None:
    """What is shed may be; nothing may be answered that is not so. Raises Wrong."""
    heard = Counter(replied.statuses)
    expected = offer.expected if contestant.decides else 200
    if strange := set(heard) - {expected, *_SHED, *_UNDECIDED, UNSENT}:
        raise Wrong(f"{contestant.name} answered {sorted(strange)} where {expected} was due: {dict(heard)}")
    if not contestant.decides or offer.expected == 200:
        return
    books = await contestant.books(offer.code)
    least = offer.held + heard[201]
    most = least + sum(heard[status] for status in _UNDECIDED) * (offer.expected == 201)
    if len({books.redemptions, books.users, books.claimed}) != 1 or not least <= books.claimed <= most:
        raise Wrong(f"{contestant.name} acknowledged {least:,} and has {books}")


def _figures(replied: Replied, expected: int) -> Paced:
    ordered = sorted(replied.seconds)
    heard = Counter(replied.statuses)
    return Paced(
        achieved=heard[expected] / replied.took_s,
        p50=at_percent(ordered, 50),
        p99=at_percent(ordered, 99),
        p999=at_percent(ordered, 99.9),
        statuses=dict(sorted(heard.items())),
        failed=len(ordered) - heard[expected],
        client_us=replied.cpu_s / len(ordered) * 1e6,
        late_p99=at_percent(sorted(replied.late), 99),
        spread=spread_of(ordered),
    )


def _arguments() -> Namespace:
    parser = ArgumentParser()
    parser.add_argument("--call", action="append", choices=tuple(CALLS), help="only this one (may be repeated)")
    parser.add_argument("--rate", action="append", type=int, help="requests a second (may be repeated)")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--frontdoors", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    run(open_loop, _arguments())

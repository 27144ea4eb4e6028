"""How many guesses does it take to find a code, and how many does a bot get?

    python -m loadtest.guessing [--issued 5000] [--bots 400] [--trials 5]

Codes of four characters, so that somebody finds one within the run: one guess in two hundred is a code. Bots guess at random,
each with a token of its own and as long as it is heard, with rate limits as they are by default. Chance alone finds one in as
many guesses as the codes are sparse; a door that told more than "no" would be found out sooner. Then a few bots guess as fast
as they can, and in the end stands what that comes to for codes as they are minted by default.
"""

import sys
from argparse import ArgumentParser, Namespace
from collections import Counter, deque
from random import Random
from uuid import uuid4

import msgspec
import uvloop

from lastslot.burst import fire
from lastslot.campaign_office import office_of
from lastslot.crowd import redeem
from lastslot.running import Stack, address, own_stack
from shared.codes import CodesMinted
from shared.domain.limits import BAN_FAILURES, BAN_MS
from shared.domain.minting import CROCKFORD, DEFAULT_PATTERN

_PATTERN = "####"
_CONNECTIONS = 32
_FEW = 8
_HOUR_MS = 3_600_000
#: What is told of codes as they are minted by default: so many issued, so many users or addresses that guess.
_ISSUED, _GUESSERS = 1_000_000, 10_000


class Trial(msgspec.Struct, frozen=True):
    """One search. `judged`: guesses that were looked up until one was a code; None when all bots were shut out before.

    `most`: the most that any one bot was heard; `shed`: guesses that were answered 429.
    """

    judged: int | None
    heard: int
    most: int
    shed: int


async def guessing(given: Namespace) -> bool:
    """Search, several times; whether every bot was kept to its budget."""
    async with own_stack("--frontdoors", "2", "--workers", "2") as stack:
        await _issue(stack, given.issued)
        trials = [await _search(stack, Random(given.seed + number), f"{number}", given.bots) for number in range(given.trials)]
        few = await _search(stack, Random(given.seed), "few", _FEW)
    space = len(CROCKFORD) ** len(_PATTERN)
    print(f"{given.issued:,} of {space:,} possible codes are issued: by chance one guess in {space / given.issued:,.0f} is one")
    for trial in trials:
        found = "none was found" if trial.judged is None else f"the first code after {trial.judged:,} guesses"
        print(f"{found}; {trial.heard:,} judged, {trial.shed:,} shed; at most {trial.most} judged of one bot")
    hits = sum(trial.judged is not None for trial in trials)
    print(f"in all one code in {sum(trial.heard for trial in trials) / max(1, hits):,.0f} guesses")
    print(f"{_FEW} bots that guess as fast as they can: {few.heard} judged before each had heard 429, {few.most} of one bot")
    print(_by_default())
    return all(trial.most <= BAN_FAILURES for trial in (*trials, few))


async def _issue(stack: Stack, count: int) -> None:
    office = office_of(stack)
    discount = {"type": "amount", "value": 1000, "currency": "EUR"}
    shown = await office.create("GUESSED", type="pool", discount=discount, timezone="UTC", total_limit=None)
    await office.insist(CodesMinted, f"/{shown.campaign_id}/codes", str(uuid4()), json={"count": count, "pattern": _PATTERN})


async def _search(stack: Stack, dice: Random, named: str, count: int) -> Trial:
    """Guess, a bot after the other, until one finds a code or nobody is heard any more."""
    host, port = address(stack.base_url)
    bots = deque((user, stack.token(user)) for user in (f"guesser-{named}-{number}" for number in range(count)))
    judged: Counter[str] = Counter()
    shed = 0
    while bots:
        turn = [bots.popleft() for _ in range(min(_CONNECTIONS, len(bots)))]
        codes = ["".join(dice.choices(CROCKFORD, k=len(_PATTERN))) for _ in turn]
        asked = [redeem(host, code, *bot) for bot, code in zip(turn, codes, strict=True)]
        answers = await fire(host, port, asked, _CONNECTIONS)
        for number, answer in enumerate(sorted(answers, key=lambda each: each.index)):
            if answer.status == 429:
                shed += 1
                continue
            judged[turn[number][0]] += 1
            if answer.status == 201:
                return Trial(judged.total(), judged.total(), max(judged.values()), shed)
            bots.append(turn[number])
    return Trial(None, judged.total(), max(judged.values()), shed)


def _by_default() -> str:
    an_hour = BAN_FAILURES * _HOUR_MS // BAN_MS
    needed = len(CROCKFORD) ** len(DEFAULT_PATTERN) // _ISSUED
    years = needed / an_hour / _GUESSERS / 24 / 365
    return (
        f"codes of {len(DEFAULT_PATTERN)} characters, {_ISSUED:,} issued: one guess in {needed:.2g}; at {an_hour} guesses an "
        f"hour for each of {_GUESSERS:,} users or addresses that is {years:,.0f} years"
    )


def _arguments() -> Namespace:
    parser = ArgumentParser()
    parser.add_argument("--issued", type=int, default=5_000)
    parser.add_argument("--bots", type=int, default=400)
    parser.add_argument("--trials", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(0 if uvloop.run(guessing(_arguments())) else 1)

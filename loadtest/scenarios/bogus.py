"""Guessers: every request names another code that does not exist."""

from frontdoor.tokens import issue
from lastslot.crowd import redeem
from loadtest.contestants import Contestant
from loadtest.trial import HOST, Scenario, Trial

GUESSES = 10_000


async def prepare(contestant: Contestant, named: str, secret: str) -> Trial:
    users = [f"usr_{named}_{number}" for number in range(GUESSES)]
    codes = [f"GUESS-{named}-{number}" for number in range(GUESSES)]
    requests = [redeem(HOST, code, user, issue(secret, user)) for code, user in zip(codes, users, strict=True)]
    return Trial(requests, {404: GUESSES}, "", 0)


SCENARIO = Scenario("bogus", "10,000 codes that do not exist", ("bare", "lastslot"), prepare)

"""Guessers: every request names another code that does not exist.

Each answer is held back for 10 ms or more, so that it tells nothing by its time. To find out how many are given in a second,
and not how long each takes, more of them have to be under way at once than elsewhere; against bare aiohttp as well.
"""

from frontdoor.tokens import issue
from lastslot.crowd import redeem
from loadtest.contestants import Contestant
from loadtest.trial import HOST, Scenario, Trial

GUESSES = 20_000
CONNECTIONS = 1_024


async def prepare(contestant: Contestant, named: str, secret: str) -> Trial:
    users = [f"usr_{named}_{number}" for number in range(GUESSES)]
    codes = [f"GUESS-{named}-{number}" for number in range(GUESSES)]
    requests = [redeem(HOST, code, user, issue(secret, user)) for code, user in zip(codes, users, strict=True)]
    return Trial(requests, {404: GUESSES}, "", 0, CONNECTIONS)


SCENARIO = Scenario("bogus", "20,000 codes that do not exist", ("bare", "lastslot"), prepare)

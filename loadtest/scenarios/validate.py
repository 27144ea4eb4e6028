"""Carts that ask what a code is worth, of a front door that has its campaign in memory."""

from lastslot.burst import fire
from loadtest.contestants import Contestant
from loadtest.trial import HOST, Scenario, Trial, validates

PEOPLE = 20_000


async def prepare(contestant: Contestant, named: str, secret: str) -> Trial:
    code = f"VALIDATE-{named}".upper()
    await contestant.open_campaign(code, 1_000)
    await fire(HOST, contestant.port, validates(secret, code, 200, f"{named}_early"))
    return Trial(validates(secret, code, PEOPLE, named), {200: PEOPLE}, code, 0)


SCENARIO = Scenario("validate", "20,000 carts validate a code", ("bare", "lastslot"), prepare)

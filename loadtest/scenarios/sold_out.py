"""After the burst: people who keep coming to a campaign that has nothing left."""

from lastslot.burst import fire
from loadtest.contestants import Contestant
from loadtest.trial import HOST, Scenario, Trial, redeems

PEOPLE, SLOTS = 20_000, 100


async def prepare(contestant: Contestant, named: str, secret: str) -> Trial:
    code = f"SOLDOUT-{named}".upper()
    await contestant.open_campaign(code, SLOTS)
    await fire(HOST, contestant.port, redeems(secret, code, SLOTS, f"{named}_early"))
    return Trial(redeems(secret, code, PEOPLE, named), {410: PEOPLE}, code, SLOTS)


SCENARIO = Scenario("sold_out", "20,000 people, sold out", ("bare", "lastslot"), prepare)

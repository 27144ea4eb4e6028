"""The burst: 10,000 people, 1,000 slots."""

from loadtest.contestants import Contestant
from loadtest.trial import Scenario, Trial, redeems

PEOPLE, SLOTS = 10_000, 1_000


async def prepare(contestant: Contestant, named: str, secret: str) -> Trial:
    code = f"BURST-{named}".upper()
    await contestant.open_campaign(code, SLOTS)
    return Trial(redeems(secret, code, PEOPLE, named), {201: SLOTS, 410: PEOPLE - SLOTS}, code, SLOTS)


SCENARIO = Scenario(
    "burst",
    "10,000 people, 1,000 slots",
    ("bare", "textbook", "tuned", "for_update", "lastslot"),
    prepare,
    rounds=9,  # its p99 is a matter of a hundred answers
    drawn=True,
)

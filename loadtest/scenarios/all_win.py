"""A slot for everyone: what an acknowledged claim costs when each one must reach the disk."""

from loadtest.contestants import Contestant
from loadtest.trial import Scenario, Trial, redeems

PEOPLE = 10_000


async def prepare(contestant: Contestant, named: str, secret: str) -> Trial:
    code = f"ALLWIN-{named}".upper()
    await contestant.open_campaign(code, PEOPLE)
    return Trial(redeems(secret, code, PEOPLE, named), {201: PEOPLE}, code, PEOPLE)


SCENARIO = Scenario(
    "all_win", "10,000 people, 10,000 slots", ("bare", "textbook", "tuned", "lastslot"), prepare, commits=PEOPLE
)

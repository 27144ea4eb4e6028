"""One campaign, ten, a thousand at once: the same people, spread over them, and everybody wins."""

from secrets import token_hex

from loadtest.growths.rounds import Rounds, Size, ground
from loadtest.growths.winners import Campaigns
from loadtest.records import Growth

COUNTS = (1, 10, 1_000)


async def grow(size: Size) -> Growth:
    """In turn, on one stack. Raises Wrong."""
    people = max(size.people // 1_000, 1) * 1_000
    async with ground() as on:
        everyone = people * (size.rounds + 1)
        opened = [await Campaigns.open(on.stack, token_hex(3), count, everyone // count) for count in COUNTS]
        sizes = [Rounds(on, count) for count in COUNTS]
        for _ in range(size.rounds + 1):
            for campaigns, rounds in zip(opened, sizes, strict=True):
                await rounds.take(campaigns.trial(people, token_hex(4)), campaigns.verify)
        points = [rounds.point() for rounds in sizes]
        return Growth(on.taken, "campaigns", "Busy campaigns, everybody wins", "campaigns", "claims", people, True, points)

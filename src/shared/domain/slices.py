"""How a campaign is cut into slices: whose claims go to which, and how its budget is shared out among them."""

from collections.abc import Sequence
from hashlib import md5

from shared.domain.ids import UserId

#: No more than there are partitions, for no two slices of a campaign live in the same one.
MAX_SLICES = 16


def slice_of(user: UserId, slices: int) -> int:
    """Which of a campaign's slices serves this user: the first four bytes of an md5, which Postgres can compute, too."""
    if slices == 1:
        return 0
    return int.from_bytes(md5(user.encode(), usedforsecurity=False).digest()[:4], "big") % slices


def spread(total: int | None, held: Sequence[int]) -> list[int | None]:
    """Budgets that make `total` (None: no end), each what is `held` of its slice and an even share of what is free."""
    if total is None:
        return [None] * len(held)
    share, rest = divmod(total - sum(held), len(held))
    return [taken + share + (number < rest) for number, taken in enumerate(held)]


def pulled(short: int, free: Sequence[int]) -> list[int]:
    """What a slice that is `short` of something takes of its siblings' `free`, of each in proportion.

    Enough for what it has at hand, or its even share of all, so that it need not come again at once.
    """
    if not short:
        return [0] * len(free)
    total = sum(free)
    wanted = min(total, max(short, total // (len(free) + 1)))
    taken = [wanted * each // max(total, 1) for each in free]
    for number in sorted(range(len(free)), key=lambda number: taken[number] - free[number]):
        taken[number] += min(wanted - sum(taken), free[number] - taken[number])
    return taken

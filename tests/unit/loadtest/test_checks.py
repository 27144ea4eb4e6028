"""A wrong run fails, however fast it was."""

from collections.abc import Sequence

import pytest

from loadtest.contestants import Bare, Peer
from loadtest.open_loop import Offer, check
from loadtest.pacer import UNANSWERED, UNSENT, Replied
from loadtest.peers.books import Books
from loadtest.trial import Wrong

WINS, SOLD_OUT = Offer((), 201, "CODE"), Offer((), 410, "CODE", 100)


class Kept(Peer):
    """A contestant whose database says this."""

    def __init__(self, redemptions: int, users: int | None = None, claimed: int | None = None) -> None:
        super().__init__("kept", 0, "")
        self._books = Books(redemptions, redemptions if users is None else users, redemptions if claimed is None else claimed)

    async def books(self, code: str) -> Books:
        return self._books


def heard(*statuses: int) -> Replied:
    return Replied(statuses, [0.0] * len(statuses), [], 1.0, 0.0)


@pytest.mark.parametrize(
    ("statuses", "kept"),
    [
        ((201, 201, 201), 3),
        ((201, 429, 503), 1),
        ((201, UNSENT), 1),
        # Whoever was told nothing may have won, or not.
        ((201, 202, 0, UNANSWERED), 1),
        ((201, 202, 0, UNANSWERED), 4),
    ],
)
async def test_a_run_is_right_when_all_who_were_told_so_have_won(statuses: Sequence[int], kept: int) -> None:
    await check(Kept(kept), WINS, heard(*statuses))


@pytest.mark.parametrize(
    ("statuses", "books"),
    [
        ((201, 201), Kept(1)),
        ((201, 503), Kept(2)),
        ((201, UNSENT), Kept(2)),
        ((201, 202), Kept(3)),
        ((201, 201), Kept(2, users=1)),
        ((201, 201), Kept(2, claimed=1)),
        ((201, 410), Kept(1)),
        ((201, 500), Kept(1)),
    ],
)
async def test_an_answer_that_the_database_does_not_bear_out_is_wrong(statuses: Sequence[int], books: Kept) -> None:
    with pytest.raises(Wrong):
        await check(books, WINS, heard(*statuses))


async def test_what_was_sold_out_stays_as_it_was() -> None:
    await check(Kept(100), SOLD_OUT, heard(410, 410, 503))
    with pytest.raises(Wrong):
        await check(Kept(101), SOLD_OUT, heard(410, 0))
    with pytest.raises(Wrong):
        await check(Kept(101), SOLD_OUT, heard(410, 201))


async def test_bare_aiohttp_decides_nothing_but_answers_all() -> None:
    await check(Bare("bare", 0), WINS, heard(200, 200))
    with pytest.raises(Wrong):
        await check(Bare("bare", 0), WINS, heard(200, 404))

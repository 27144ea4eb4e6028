"""The one 404: whether there is no such code, or one that is not for who asks, is told by nothing at all."""

import random
from math import sqrt

import pytest

from lastslot.running import Stack
from loadtest.hidden import TOLERANCE, Guesser

WIDELY = 10_000
#: How far the AUC of so many samples may stray by chance: five standard deviations of the comparison of equals.
CHANCE = {samples: 5 / sqrt(6 * samples) for samples in (3_000, WIDELY)}


@pytest.mark.alone
@pytest.mark.parametrize(
    ("call", "chunked", "samples"),
    [("validate", False, WIDELY), ("validate", True, 3_000), ("redeem", False, 3_000), ("redeem", True, 3_000)],
    ids=["validate", "validate, through aiohttp", "redeem", "redeem, through aiohttp"],
)
async def test_hidden_codes_cannot_be_told_from_none(stack: Stack, call: str, chunked: bool, samples: int) -> None:
    guesser = Guesser(stack, samples, random.Random(404))
    told = await getattr(guesser, call)(chunked=chunked, connections=32)
    assert len(told.answers) == 1
    assert told.worst <= max(TOLERANCE, CHANCE[samples]), told.auc

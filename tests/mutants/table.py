"""The mutants: every mistake that was seen to cost somebody a coupon, as this engine would make it.

What its source has no place for stands here as the nearest thing that it has: there is no outbox to be polled by a serial
number, but a log of codes that front doors read by position.
"""

from tests.mutants.committing import COMMITTING
from tests.mutants.door import DOOR
from tests.mutants.gate import GATE
from tests.mutants.mutant import Mutant
from tests.mutants.without_redis import WITHOUT_REDIS

MUTANTS: tuple[Mutant, ...] = (*COMMITTING, *GATE, *DOOR, *WITHOUT_REDIS)

"""Clocks that jump: the wall clock of one process, ahead and back, while the stores and all others go on as ever.

Nothing but the check of a token and the first look at a campaign's window goes by that clock. So nothing may happen here, where
tokens live for days and campaigns for ever: no lease is lost, no hold ends, nobody is refused by a certificate of old.
"""

import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from tests.soak.runs import Demand, Harm, Run, Scenario
from tests.soak.stage import Place

_OFF = Path(__file__).parent / "off"
_HOUR_S, _DAY_S = 3_600, 86_400
_LEASES = "SELECT epoch FROM partitions ORDER BY partition_no"
_JUMPS_S = (_HOUR_S, -_HOUR_S, _DAY_S, -_DAY_S, 0)
#: For as long as it takes to lose a lease; and every slot is a hold, which a clock that is an hour ahead would end.
_STEADY = Demand(per_s=40, terms={"hold_ttl_s": 600})


def clocks() -> Iterator[Scenario]:
    """One of each kind, the other beside it in time."""
    for role, place in {"front door": lambda run: run.stage.doors[0], "worker": lambda run: run.stage.workers[0]}.items():
        name = f"a {role}'s clock jumps an hour and a day, ahead and back"
        yield Scenario(name=name, prepare=_with_a_clock(place), harm=_jumps(place), demand=_STEADY)


def _with_a_clock(place: Callable[[Run], Place]) -> Callable[[Run], Awaitable[None]]:
    async def prepare(run: Run) -> None:
        run.client.tokens_live_s = 10 * _DAY_S
        _set(run, 0)
        _says(run).with_suffix(".read").unlink(missing_ok=True)
        path = os.pathsep.join(filter(None, (str(_OFF), os.environ.get("PYTHONPATH"))))
        await place(run).replace(PYTHONPATH=path, SOAK_CLOCK=str(_says(run)))
        await run.stage.whole()

    return prepare


def _jumps(place: Callable[[Run], Place]) -> Harm:
    async def harm(run: Run) -> None:
        leases = await run.fetch(_LEASES)
        for number, seconds in enumerate(_JUMPS_S):
            await run.sold(0.15 * (number + 1))
            _set(run, seconds)
        if await run.fetch(_LEASES) != leases:
            run.wrong.append("a lease was lost")
        if not _says(run).with_suffix(".read").exists():
            run.wrong.append("no clock jumped")

    return harm


def _set(run: Run, seconds: int) -> None:
    """Have the clock so much ahead, at once and whole."""
    new = _says(run).with_suffix(".new")
    new.write_text(str(seconds))
    new.replace(_says(run))


def _says(run: Run) -> Path:
    return run.stage.directory / "clock"

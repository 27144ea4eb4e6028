"""Campaigns that are split and moved in the middle of their own burst, again and again, while something breaks.

One is cut into a slice more each time, the other goes to a partition that is drawn each time: so whatever happens, it happens
to one that is held, that is drained, or that has just moved.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any

import aiohttp

from shared import crash_points
from shared.clock import monotonic
from shared.domain.ids import PARTITIONS
from shared.domain.slices import MAX_SLICES
from shared.moving import HOLD_MAX_S
from tests.soak.crashes import flush
from tests.soak.runs import Demand, Harm, Run, Scenario
from tests.soak.stage import Place
from tests.soak.stores import postgres_stopped, redis_killed

#: Answers after which an administrator asks again: it is being moved, not drained, or a store is away.
_NOT_YET = (409, 503)
_MOVED_WITHIN_S = 30.0
#: For so long it may sell between two moves.
_SELLING_S = 0.2
_STEADY = Demand(per_s=80)

_HELD = "SELECT count(*) FROM campaign_slices WHERE held_at IS NOT NULL AND campaign_id = ANY ($1)"

#: What to ask for next: the call, and its body.
Wish = Callable[[], tuple[str, dict[str, int]]]


def moves() -> Iterator[Scenario]:
    """Stores, owners, and at last the front doors that move."""
    for words, fault in {
        "nothing breaks": _nothing,
        "Redis is emptied": _emptied,
        "Redis is killed": redis_killed(lambda run, directory: None),
        "Postgres is restarted": postgres_stopped(signal.SIGINT),
    }.items():
        yield Scenario(name=f"split and moved while {words}", harm=_while(fault), demand=_STEADY)
    for label in ("W3", "W5"):
        name = f"split and moved while an owner dies: {label} {crash_points.POINTS[label]}"
        yield Scenario(name=name, prepare=_armed_worker(label), harm=_while(_owner_dies), demand=_STEADY)
    for label in ("M1", "M2"):
        name = f"split and moved while each door dies: {label} {crash_points.POINTS[label]}"
        yield Scenario(name=name, prepare=_armed_doors(label), harm=_while(_doors_die), demand=_STEADY)


def _while(fault: Harm) -> Harm:
    async def harm(run: Run) -> None:
        wishes = zip(run.campaigns, (_one_slice_more(), _anywhere(run)), strict=True)
        async with asyncio.TaskGroup() as moving:
            struck = moving.create_task(fault(run))
            for campaign, wish in wishes:
                moving.create_task(_moved_about(run, campaign, wish, struck))

    return harm


async def _moved_about(run: Run, campaign: dict[str, Any], wish: Wish, struck: asyncio.Task[None]) -> None:
    """Have it moved until something has broken, then look that it is let go of by itself, and have it moved once more."""
    while not struck.done():
        await _moved(run, campaign, wish, until=struck.done)
        await asyncio.sleep(_SELLING_S)
    await _let_go(run, campaign)
    ends = monotonic() + _MOVED_WITHIN_S
    if not await _moved(run, campaign, wish, until=lambda: monotonic() > ends):
        run.wrong.append("a campaign could not be moved any more")


async def _moved(run: Run, campaign: dict[str, Any], wish: Wish, until: Callable[[], bool]) -> bool:
    """Ask for it as a well-behaved administrator, again while it is not done; whether it was."""
    call, body = wish()
    while not until():
        with suppress(aiohttp.ClientError, TimeoutError):
            reply = await run.client.administer("POST", f"/api/v1/campaigns/{campaign['campaign_id']}/{call}", body)
            if reply.status == 200:
                return True
            if reply.status not in _NOT_YET:
                run.wrong.append(f"{call} was answered {reply.status} {reply.code}")
        await asyncio.sleep(0.1)
    return False


async def _let_go(run: Run, campaign: dict[str, Any]) -> None:
    """Nobody moves it any more: a hold that was left behind ends by itself."""
    ends = monotonic() + HOLD_MAX_S + _MOVED_WITHIN_S
    while (await run.fetch(_HELD, [campaign["campaign_id"]])) != [0]:
        if monotonic() > ends:
            run.wrong.append("a campaign stayed held")
            return
        await asyncio.sleep(0.1)


def _one_slice_more() -> Wish:
    slices = iter(range(2, MAX_SLICES + 1))
    return lambda: ("split", {"slices": next(slices, MAX_SLICES)})


def _anywhere(run: Run) -> Wish:
    return lambda: ("move", {"partition": run.dice.randrange(PARTITIONS)})


async def _nothing(run: Run) -> None:
    await run.sold(0.8)


async def _emptied(run: Run) -> None:
    await run.sold(run.dice.uniform(0.1, 0.6))
    await flush(run)
    run.over()


def _armed_worker(label: str) -> Callable[[Run], Awaitable[Place | None]]:
    async def prepare(run: Run) -> Place | None:
        place = run.stage.workers[0]
        await place.replace(LASTSLOT_CRASH_AT=f"{label}:{run.dice.randint(5, 25)}")
        await run.stage.whole()
        return place

    return prepare


async def _owner_dies(run: Run) -> None:
    await run.stage.death(run.stage.workers[0].pid)
    run.over()


def _armed_doors(label: str) -> Callable[[Run], Awaitable[Place | None]]:
    async def prepare(run: Run) -> Place | None:
        for door in run.stage.doors:
            await door.replace(LASTSLOT_CRASH_AT=f"{label}:{run.dice.randint(1, 2)}")
        await run.stage.whole()
        return None

    return prepare


async def _doors_die(run: Run) -> None:
    for pid in [door.pid for door in run.stage.doors]:
        await run.stage.death(pid)
    run.over()

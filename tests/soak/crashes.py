"""A process dies at each point, with Redis kept and with Redis emptied at that moment.

What lies between two lines of code, a reply on its way, is a proxy's to take: whoever would have heard it dies with it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from hashlib import sha1
from uuid import UUID

import redis.asyncio

from shared import crash_points
from shared.scripts import script
from tests.proxy import Link
from tests.soak.runs import Demand, Harm, Run, Scenario
from tests.soak.stage import Place

#: Where a worker dies at once when it is armed: it is started in the middle of the burst, and takes over what others have.
_NEWCOMERS = ("W0", "W8")
#: Slowly enough that something is left to be sold when another owner is there.
_STEADY = Demand(per_s=50)
#: In so many partitions that the newcomer gets some, and for longer than it takes to start.
_MANY = Demand(campaigns=6, slots=100, people=130, per_s=60)
#: What the reply is to that is lost.
ADMIT = sha1(script("admit").encode()).hexdigest().encode()
COMMIT = b"COMMIT;"
_REDEEM = b"POST /api/v1/coupons/redeem"


def crashes() -> Iterator[Scenario]:
    """Each point of the list, in its order; those of campaigns that move are in `moves`."""
    told = {label: words for label, words in crash_points.POINTS.items() if label[0] in "FW"} | {
        "F2": "the gate's reply is lost",
        "F4": "the door's own answers are lost",
        "W4": "the reply to COMMIT is lost",
    }
    for label in sorted(told):
        for flushed in (False, True):
            name = f"{label} {told[label]}, Redis {'flushed' if flushed else 'kept'}"
            yield _scenario(label, name, flushed)


def _scenario(label: str, name: str, flushed: bool) -> Scenario:
    if label == "F4":
        return Scenario(name=name, harm=_answers_lost(flushed))
    if label == "F2":
        return Scenario(name=name, harm=_deaf(_door, ADMIT, flushed))
    if label == "W4":
        return Scenario(name=name, prepare=the_worker, harm=_deaf(_worker, COMMIT, flushed), demand=_STEADY)
    if label[0] == "F":
        return Scenario(name=name, prepare=_armed_door(label), harm=_dies(_door, flushed))
    if label in _NEWCOMERS:
        return Scenario(name=name, harm=_newcomer_dies(label, flushed), demand=_MANY)
    if label == "W9":
        # Slowly, so that somebody still asks for the gate that is gone.
        return Scenario(name=name, prepare=_armed_worker(label), harm=_dies(_worker, flushed, _spoil), demand=Demand(per_s=40))
    return Scenario(name=name, prepare=_armed_worker(label), harm=_dies(_worker, flushed), demand=_STEADY)


def _door(run: Run) -> Place:
    return run.stage.doors[0]


def _worker(run: Run) -> Place:
    return run.stage.workers[0]


async def the_worker(run: Run) -> Place | None:
    """The worker to which it will happen: the campaigns live in its partitions."""
    return _worker(run)


def _armed_door(label: str) -> Callable[[Run], Awaitable[Place | None]]:
    async def prepare(run: Run) -> Place | None:
        await _door(run).replace(LASTSLOT_CRASH_AT=f"{label}:{run.dice.randint(1, 3)}")
        await run.stage.whole()
        return None

    return prepare


def _armed_worker(label: str) -> Callable[[Run], Awaitable[Place | None]]:
    async def prepare(run: Run) -> Place | None:
        times = 1 if label == "W9" else run.dice.randint(1, 4)
        await _worker(run).replace(LASTSLOT_CRASH_AT=f"{label}:{times}")
        await run.stage.whole()
        return _worker(run)

    return prepare


def _dies(place: Callable[[Run], Place], flushed: bool, spoil: Harm | None = None) -> Harm:
    async def harm(run: Run) -> None:
        pid, shard = place(run).pid, place(run).shard
        if spoil is not None:
            await run.sold(0.2)
            while pid not in run.stage.ended:
                await spoil(run)
                await asyncio.sleep(0.2)
        at = await run.stage.death(pid)
        run.lost_owner(at, await run.stage.owned_by({shard}))
        if flushed:
            await flush(run)
        run.over()

    return harm


def _newcomer_dies(label: str, flushed: bool) -> Harm:
    async def harm(run: Run) -> None:
        await run.sold(0.2)
        # In the middle of what it will own, so that it owns something when it dies, and has not yet read it all.
        await _worker(run).replace(LASTSLOT_CRASH_AT=f"{label}:{run.dice.randint(3, 6) if label == 'W0' else 2}")
        at = await run.stage.death(_worker(run).pid)
        run.lost_owner(at, await run.stage.owned_by({_worker(run).shard}))
        if flushed:
            await flush(run)
        run.over()

    return harm


def _deaf(place: Callable[[Run], Place], asked: bytes, flushed: bool) -> Harm:
    """Who asked dies at the very moment at which the reply would have come."""

    async def harm(run: Run) -> None:
        await run.sold(run.dice.uniform(0.1, 0.5))
        there, pid, shard = place(run), place(run).pid, place(run).shard
        link: Link = there.redis if asked == ADMIT else there.postgres
        link.swallow(asked, then=there.kill)
        at = await run.stage.death(pid)
        run.lost_owner(at, await run.stage.owned_by({shard}))
        if flushed:
            await flush(run)
        run.over()

    return harm


def _answers_lost(flushed: bool) -> Harm:
    async def harm(run: Run) -> None:
        link = run.stage.door
        run.base_url = link.url.rstrip("/")
        before = link.swallowed
        for number in range(1, 11):
            link.swallow(_REDEEM)
            while link.swallowed < before + number:  # noqa: ASYNC110 (the network counts it, in a thread of its own)
                await asyncio.sleep(0.01)
            if flushed and number == 5:
                await flush(run)
        run.over()

    return harm


async def flush(run: Run) -> None:
    """Empty Redis."""
    async with redis.asyncio.Redis.from_url(run.stage.redis.url) as store:
        await store.flushall()


async def _spoil(run: Run) -> None:
    """Take the campaigns' gates away, so that they are rebuilt."""
    async with redis.asyncio.Redis.from_url(run.stage.redis.url) as store:
        for campaign in run.campaigns:
            name = UUID(campaign["campaign_id"]).hex
            gates = [key async for key in store.scan_iter(match=f"*:gate:{name}")]
            if gates:
                await store.delete(*gates)

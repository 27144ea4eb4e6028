"""What befalls owners of partitions short of dying, and everybody when a new version is rolled out."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress

import aiohttp
import psutil
import redis.asyncio

from shared import keys
from shared.clock import utc_now
from shared.domain.ids import PartitionNo
from shared.gate import Gate
from tests.acceptance.history import Ask, Reply
from tests.soak.crashes import the_worker
from tests.soak.runs import NOT_YET, Demand, Harm, Run, Scenario

#: Longer than a lease (3 s), and than whoever has it may trust it.
_PAST_THE_LEASE_S = 4.5
#: Longer than it takes to notice that nothing is read any more.
_CUT_OFF_S = 12.0
#: Some are still to come when the owner is gone.
_STEADY = Demand(per_s=50)
#: So many, and so slowly, that they come from the first restart to the last.
_ALL_DAY = Demand(slots=1_300, people=1_350, per_s=50)


def owners() -> Iterator[Scenario]:
    """Each of them, the rolling restart last."""
    for name, harm in {
        "an owner frozen past its lease": _zombie,
        "an owner cut off from Postgres in a transaction": _cut_off("postgres"),
        "an owner that lives and makes no progress": _cut_off("redis"),
    }.items():
        yield Scenario(name=name, prepare=the_worker, harm=harm, demand=_STEADY)
    yield Scenario(name="owners that are slow", harm=_slow)
    yield Scenario(name="entries delivered many times, out of order", harm=_delivered_again)
    yield Scenario(name="every process restarted in turn", harm=_rolling_restart, demand=_ALL_DAY, within_s=100.0, brief=False)


async def _zombie(run: Run) -> None:
    await run.sold(run.dice.uniform(0.1, 0.5))
    place = run.stage.workers[0]
    partitions, process = await run.stage.owned_by({place.shard}), psutil.Process(place.pid)
    process.suspend()
    run.lost_owner(utc_now(), partitions)
    try:
        await asyncio.sleep(_PAST_THE_LEASE_S)
    finally:
        process.resume()


def _cut_off(store: str) -> Harm:
    """One owner alone hears nothing more from a store; another has to take what it owns."""

    async def harm(run: Run) -> None:
        await run.sold(run.dice.uniform(0.1, 0.5))
        place = run.stage.workers[0]
        partitions = await run.stage.owned_by({place.shard})
        link = place.postgres if store == "postgres" else place.redis
        link.silence()
        run.lost_owner(utc_now(), partitions)
        try:
            await asyncio.sleep(_CUT_OFF_S)
        finally:
            link.heal()

    return harm


async def _delivered_again(run: Run) -> None:
    """Append what is in the mailboxes once more, again and again, the latest first; owners are slow, so that something is."""
    links = [worker.postgres for worker in run.stage.workers]
    for link in links:
        link.delay(0.02)
    async with redis.asyncio.Redis.from_url(run.stage.redis.url) as store:
        for share in (0.05, 0.2, 0.35, 0.5, 0.65, 0.8):
            await run.sold(share)
            for _ in range(20):
                for partition in set(run.partitions):
                    await _append_again(store, PartitionNo(partition))
    for link in links:
        link.heal()


async def _append_again(store: redis.asyncio.Redis, partition: PartitionNo) -> None:
    living = await Gate(store, 20_000).living(partition)
    if living is None:
        return
    mail = keys.mailbox(partition, living)
    for _, fields in await store.xrevrange(mail, count=10):
        await store.xadd(mail, fields)


async def _slow(run: Run) -> None:
    links = [worker.postgres for worker in run.stage.workers]
    for link in links:
        link.delay(0.05)
    await run.sold(0.8)
    for link in links:
        link.heal()


async def _rolling_restart(run: Run) -> None:
    """One process after the other, each when the one before is back. Clients ask again once, with the same key, after as long
    as they are told to wait; that has to do."""

    async def once_more(ask: Ask) -> Reply:
        for attempt in (1, 2):
            reply: Reply | None = None
            with suppress(aiohttp.ClientError, TimeoutError):
                reply = await run.client.redeem(ask, prefer="wait=30")
            if reply is not None and reply.status not in NOT_YET:
                return reply
            if attempt == 1:
                await asyncio.sleep(float(reply.headers.get("Retry-After", 0.1)) if reply is not None else 0.1)
        run.wrong.append(f"one retry did not mend it: {'no answer' if reply is None else reply.status}")
        return await run.insist(ask)

    run.ask = once_more
    for place in run.stage.places:
        await run.sold(0.05)
        partitions = await run.stage.owned_by({place.shard}) if place in run.stage.workers else []
        run.lost_owner(utc_now(), partitions)
        await place.replace()
        await run.stage.whole()

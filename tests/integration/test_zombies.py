"""Whoever was frozen and has an heir meanwhile can hurt nothing in Redis when it wakes."""

import asyncio
from typing import Any

import pytest

from claim_workers.consumer import Stores
from claim_workers.incarnation import enter
from shared import keys
from shared.domain.ids import Incarnation, PartitionNo
from shared.errors import IncarnationOver
from shared.gate import Gate, Mode, Verdict
from tests.integration.engine import MAILBOX_MAX, Owner, claim_of, gain, home, launch

LOOKS = {Verdict.LOOK_ALREADY, Verdict.LOOK_EXHAUSTED, Verdict.LOOK_CLOSED}


async def test_a_zombie_that_was_seeding_forgets_no_winner_of_its_heir(stores: Stores) -> None:
    """Frozen for three to five seconds between reading the facts and wiping the gate; woken when the heir has sold."""
    campaign = await launch(stores.pool, 2, partition=5)
    zombie = await Owner.of(stores.pool, stores.redis, home(campaign))
    assert (await zombie.ask((campaign, claim_of(campaign, "a"))))[0] == [Verdict.COLD]
    frozen, woken, real = asyncio.Event(), asyncio.Event(), zombie.settler._apply

    async def apply(settlements: Any, cursor: str, mode: Mode = "move", seeding: str = "") -> Any:
        if mode == "wipe" and not woken.is_set():
            frozen.set()
            await woken.wait()
        return await real(settlements, cursor, mode, seeding)

    zombie.settler._apply = apply  # type: ignore[method-assign]
    seeding = asyncio.create_task(zombie.turn())
    await frozen.wait()
    heir = await Owner.of(stores.pool, stores.redis, home(campaign))
    assert heir.life.incarnation == zombie.life.incarnation
    await heir.settler.seed([campaign.campaign_id], heir.cursor)
    assert (await heir.ask((campaign, claim_of(campaign, "a"))))[0] == [Verdict.ADMITTED]
    await heir.turn()
    assert (await heir.ask((campaign, claim_of(campaign, "a"))))[0] == [Verdict.LOOK_ALREADY]
    woken.set()
    with pytest.raises(IncarnationOver):
        await seeding
    await heir.settler.tick(heir.cursor)
    assert (await heir.ask((campaign, claim_of(campaign, "b"))))[0] == [Verdict.ADMITTED]
    await heir.turn()
    await heir.settler.tick(heir.cursor)
    verdicts, [reply] = await heir.ask((campaign, claim_of(campaign, "a")), (campaign, claim_of(campaign, "c")))
    assert verdicts[0] in LOOKS, (verdicts, reply.certified, reply.marks_total)


async def test_a_zombie_that_was_beginning_a_life_ends_no_other(stores: Stores) -> None:
    """Frozen between naming a life in Postgres and pointing at it; its heir has begun another, with a claim in it."""
    campaign = await launch(stores.pool, 2, partition=5)
    partition = home(campaign)
    frozen, woken = asyncio.Event(), asyncio.Event()

    class Frozen(Gate):
        async def point(self, partition: PartitionNo, expected: bytes, incarnation: Incarnation, epoch: int) -> bool:
            frozen.set()
            await woken.wait()
            return await super().point(partition, expected, incarnation, epoch)

    epoch = await gain(stores.pool, partition)
    zombie = asyncio.create_task(enter(stores.pool, stores.redis, Frozen(stores.redis, MAILBOX_MAX), partition, epoch))
    await frozen.wait()
    heir = await Owner.of(stores.pool, stores.redis, partition)
    await heir.settler.seed([campaign.campaign_id], heir.cursor)
    claim = claim_of(campaign, "a")
    assert (await heir.ask((campaign, claim)))[0] == [Verdict.ADMITTED]
    woken.set()
    with pytest.raises(IncarnationOver):
        await zombie
    assert await stores.gate.living(partition) == heir.life.incarnation
    assert await stores.gate.pending(partition, [claim.claim_id]) == {claim.claim_id: "a"}


async def test_a_zombie_that_was_tidying_up_deletes_nothing_of_its_heir(stores: Stores) -> None:
    """Frozen after it has pointed, before it has deleted what is left of other lives; meanwhile its heir has begun another."""
    campaign = await launch(stores.pool, 2, partition=5)
    partition = home(campaign)
    frozen, woken = asyncio.Event(), asyncio.Event()

    class Frozen(Gate):
        async def forget_others(self, partition: PartitionNo, incarnation: Incarnation) -> None:
            frozen.set()
            await woken.wait()
            await super().forget_others(partition, incarnation)

    epoch = await gain(stores.pool, partition)
    zombie = asyncio.create_task(enter(stores.pool, stores.redis, Frozen(stores.redis, MAILBOX_MAX), partition, epoch))
    await frozen.wait()
    await stores.redis.flushall()  # why the heir begins another life
    heir = await Owner.of(stores.pool, stores.redis, partition)
    await heir.settler.seed([campaign.campaign_id], heir.cursor)
    claim = claim_of(campaign, "a")
    assert (await heir.ask((campaign, claim)))[0] == [Verdict.ADMITTED]
    woken.set()
    await zombie
    assert await stores.gate.pending(partition, [claim.claim_id]) == {claim.claim_id: "a"}
    await heir.turn()
    assert await stores.pool.fetchval("SELECT count(*) FROM redemptions") == 1


async def test_a_seeding_that_arrives_late_does_not_warm_a_gate_that_was_lost(stores: Stores) -> None:
    """The call had no answer, and is delivered when the gate's keys have gone: nobody who holds something is in it."""
    campaign = await launch(stores.pool, 1, partition=5)
    owner = await Owner.of(stores.pool, stores.redis, home(campaign))
    real, calls = owner.settler._apply, []

    async def apply(settlements: Any, cursor: str, mode: Mode = "move", seeding: str = "") -> Any:
        calls.append((list(settlements), mode, seeding))
        return await real(settlements, cursor, mode, seeding)

    owner.settler._apply = apply  # type: ignore[method-assign]
    await owner.settler.seed([campaign.campaign_id], owner.cursor)
    [(late, _, seeding)] = [call for call in calls if call[1] == "seed"]
    await owner.ask((campaign, claim_of(campaign, "a")))
    await owner.turn()
    redis: Any = stores.redis
    for name in (keys.gate, keys.users, keys.marks):
        await redis.delete(name(home(campaign), owner.life.incarnation, campaign.campaign_id))
    await real(late, "0-0", "seed", seeding)
    await owner.settler.tick(owner.cursor)
    while (verdict := (await owner.ask((campaign, claim_of(campaign, "a"))))[0][0]) is Verdict.COLD:
        await owner.turn()
    assert verdict in LOOKS, verdict

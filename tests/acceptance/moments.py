"""Bursts in the middle of which something happens, on a stack that is whole before and sells exactly its slots all the same."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import psycopg

from tests.acceptance.client import Client
from tests.acceptance.history import Ask, Reply
from tests.acceptance.stacks import RunningStack

PEOPLE, SLOTS = 1_200, 300
AT_ONCE = 60


class Moments:
    """Does something each time so many have won."""

    def __init__(self, moments: dict[int, Callable[[], Any]]) -> None:
        self.left = dict(moments)
        self.wins = 0

    async def __call__(self, reply: Reply) -> None:
        if reply.status != 201:
            return
        self.wins += 1
        act = self.left.pop(self.wins, None)
        if act is not None:
            act()


async def sold_out(client: Client, moments: dict[int, Callable[[], Any]]) -> list[Ask]:
    """A burst in which things happen at `moments`; afterwards exactly the slots are sold. The winners."""
    campaign = await client.campaign(total_limit=SLOTS)
    return await sell(client, campaign, moments)


async def sell(client: Client, campaign: dict[str, Any], moments: dict[int, Callable[[], Any]]) -> list[Ask]:
    asks = [client.ask(campaign, f"user-{number}") for number in range(PEOPLE)]
    happening = Moments(moments)
    replies = await client.burst(asks, at_once=AT_ONCE, on_reply=happening)
    assert happening.left == {}, "the burst was over before everything had happened"
    outcomes = Counter((reply.status, reply.code) for reply in replies)
    # A reply that was lost on the way is asked for again, so some of the winners hear 200 and never 201.
    assert outcomes[201, None] + outcomes[200, None] == SLOTS, outcomes
    assert outcomes[410, "exhausted"] == PEOPLE - SLOTS, outcomes
    winners = [ask for ask, reply in zip(asks, replies, strict=True) if reply.status in (200, 201)]
    again = await client.burst(winners)
    assert {reply.status for reply in again} == {200}
    proof = await client.proof(campaign)
    assert (proof.redemptions, proof.active, proof.users, proof.claimed, proof.budget) == (SLOTS,) * 5
    return winners


async def whole(running: RunningStack) -> bool:
    """Whether everything runs that should, and every partition has an owner that lives; of the dead nobody believes it."""
    if len(running.processes("worker")) < 2 or len(running.processes("frontdoor")) < 2:
        return False
    with psycopg.connect(running.stack.postgres_dsn) as connection:
        row = connection.execute(
            "SELECT (SELECT count(*) FROM shards WHERE seen_until > clock_timestamp()), count(*) "
            "FROM partitions JOIN shards ON shard_id = owner "
            "WHERE lease_until > clock_timestamp() AND seen_until > clock_timestamp()"
        ).fetchone()
    return row == (2, 16)

"""The history of an order, a user or a code is what the ledger tells of it, in the ledger's order."""

import asyncio
from typing import Any

import pytest
from click.testing import CliRunner

from lastslot.cli import cli
from shared import campaigns, codes, lifecycle
from shared import history as told_by
from shared.book import append, lock_partition
from shared.claims import Verdicts, read_facts, write_decisions
from shared.codes import Minted, Wish
from shared.domain.campaign import Campaign, CampaignStatus
from shared.domain.code import normal_form
from shared.domain.decide import decide
from shared.domain.ids import PartitionNo, UserId
from shared.domain.ledger import Event, Kind
from shared.domain.operations import SubmitClaim
from shared.domain.redemption import Step
from shared.errors import LastslotError
from shared.history import history, told
from shared.postgres import Pool
from tests.integration.engine import claim_of, home, launch

HERE, THERE = PartitionNo(3), PartitionNo(11)
ADMIN = UserId("admin")


async def claim(pool: Pool, campaign: Campaign, *claims: SubmitClaim) -> None:
    """Commit claims in one batch, as an owner does."""
    async with pool.acquire() as connection, connection.transaction():
        head = await lock_partition(connection, home(campaign))
        facts = await read_facts(connection, [head], claims)
        await write_decisions(connection, facts, [Verdicts(head, decide(claims, facts))])


async def read(dsn: str, name: str) -> list[str]:
    """What happened, without when and to which redemption."""
    return [" ".join(line.split("  [")[0].split()[3:]) for line in [line async for line in history(dsn, name)]]


async def places(dsn: str, name: str) -> list[str]:
    """Partitions and sequences of the rows that tell it."""
    return [line.split()[2] for line in [line async for line in history(dsn, name)]]


@pytest.fixture
async def shared(pool: Pool) -> Campaign:
    """One slot, for which ann and bob asked; ann's was refunded, and then everything ended."""
    campaign = await launch(pool, 1, partition=HERE, code="SAVE10", release_on_refund=True)
    await claim(pool, campaign, claim_of(campaign, "ann", order_id="ord_1"), claim_of(campaign, "bob", order_id="ord_2"))
    for step in (Step.CONFIRM, Step.RELEASE_FOR_REFUND):
        assert isinstance(await lifecycle.take(pool, claim_of(campaign, "ann").claim_id, step), lifecycle.Stepped)
    await campaigns.set_status(pool, campaign.campaign_id, CampaignStatus.ENDED, ADMIN)
    return campaign


ANN = [
    "claimed SAVE10 by ann for order ord_1: 10 %",
    "redeemed SAVE10 by ann for order ord_1",
    "released SAVE10 by ann for order ord_1: refund",
]
BOB = "refused SAVE10 by bob for order ord_2: exhausted"


async def test_a_users_and_an_orders_history_is_the_same_story(dsn: str, shared: Campaign) -> None:
    assert await read(dsn, "ann") == await read(dsn, "ord_1") == ANN
    assert await places(dsn, "ann") == ["3/2", "3/4", "3/5"]


async def test_a_refusal_is_told_too(dsn: str, shared: Campaign) -> None:
    assert await read(dsn, "bob") == await read(dsn, "ord_2") == [BOB]


async def test_a_shared_code_tells_of_its_campaign_and_of_everybody(dsn: str, shared: Campaign) -> None:
    assert await read(dsn, " save10 ") == [
        "created campaign Black Friday (active, limit 1) by admin",
        ANN[0],
        BOB,
        *ANN[1:],
        "changed campaign Black Friday (ended, limit 1) by admin",
    ]


async def test_a_single_use_code_tells_of_its_own_claims(dsn: str, pool: Pool) -> None:
    campaign = await launch(pool, 5, partition=HERE, type="pool", code="POOL")
    made = await codes.mint(pool, campaign.campaign_id, Wish([None] * 3), ADMIN)
    assert isinstance(made, Minted)
    await claim(pool, campaign, claim_of(campaign, "ann", code=made.codes[1]), claim_of(campaign, "bob", code=made.codes[1]))
    first, second = await read(dsn, made.codes[1].lower())
    assert first.startswith(f"claimed {made.codes[1]} by ann for order order")
    assert second == f"refused {made.codes[1]} by bob for order order: code_used"
    assert [line for line in await read(dsn, "pool") if "3 codes of campaign" in line]


async def test_partitions_are_told_by_the_clock_but_never_against_their_own_order(dsn: str, pool: Pool) -> None:
    here, there = [await launch(pool, 5, partition=partition) for partition in (HERE, THERE)]
    await claim(pool, here, claim_of(here, "ann", "1"))
    await claim(pool, there, claim_of(there, "ann", "2"))
    assert isinstance(await lifecycle.take(pool, claim_of(here, "ann", "1").claim_id, Step.CONFIRM), lifecycle.Stepped)
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        # As if the clock had been set back before the confirmation.
        await connection.execute("UPDATE ledger SET at = at - interval '1 hour' WHERE kind = 'redeemed'")
    assert await places(dsn, "ann") == ["3/2", "3/3", "11/2"]


async def test_only_a_shared_code_and_a_clock_set_back_have_the_ledger_read(
    dsn: str, pool: Pool, shared: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = await launch(pool, 5, partition=HERE, type="pool", code=None, release_on_failure=True)
    made = await codes.mint(pool, campaign.campaign_id, Wish([None] * 2), ADMIN)
    assert isinstance(made, Minted)
    names = {"ann", "bob", "cat", "ord_1", "ord_2", *made.codes, "SAVE10"}
    for user, code in zip(("ann", "cat"), made.codes, strict=True):
        await claim(pool, campaign, claim_of(campaign, user, code=code, order_id=f"ord of {code}"))
    assert await lifecycle.take(pool, claim_of(campaign, "ann").claim_id, Step.RELEASE_FOR_FAILURE)
    by_reading = {}
    with monkeypatch.context() as patched:
        patched.setattr(told_by, "_places", nowhere)
        by_reading = {name: await places(dsn, name) for name in names}
    assert {name: await places(dsn, name) for name in names} == by_reading
    async with pool.acquire() as connection:
        for name in sorted(names - {"SAVE10"}):
            assert await told_by._places(connection, name, normal_form(name)) is not None
        assert await told_by._places(connection, "SAVE10", normal_form("SAVE10")) is None
        async with connection.transaction():
            await connection.execute("SET LOCAL session_replication_role = replica")
            await connection.execute("UPDATE ledger SET at = at - interval '1 hour' WHERE kind = 'released'")
            assert await told_by._places(connection, "ann", normal_form("ann")) is None


async def nowhere(*_: object) -> None:
    """As if no place could be told."""


async def test_names_are_not_taken_for_parts_of_others(dsn: str, shared: Campaign) -> None:
    for name in ("an", "ord", "SAVE", "%", 'ann"', "reason", "admin\\"):
        assert await read(dsn, name) == []


async def test_what_a_terminal_would_obey_is_spelt_out_and_what_is_no_story_is_shown(dsn: str, pool: Pool) -> None:
    async with pool.acquire() as connection, connection.transaction():
        head = await lock_partition(connection, HERE)
        await append(connection, head, [Event(Kind.DEAD_LETTERED, None, '{"user_id":"a\\u001b[31m","error":"DataError"}')])
    assert await read(dsn, "a\x1b[31m") == ["set aside a claim of 'a\\x1b[31m': DataError"]
    assert told("claimed", None, "gone") == "claimed: 'gone'"
    assert told("claimed", None, "{}") == "claimed: '{}'"


async def test_the_command_prints_the_lines_and_says_when_there_are_none(dsn: str, shared: Campaign) -> None:
    async def types(name: str) -> Any:
        return await asyncio.to_thread(CliRunner().invoke, cli, ["history", name, "--postgres-dsn", dsn])

    result = await types("ord_1")
    assert result.exit_code == 0
    assert result.stdout.count("\n") == 3
    assert str(claim_of(shared, "ann").claim_id) in result.stdout
    assert isinstance((await types("nobody")).exception, LastslotError)

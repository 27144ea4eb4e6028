"""What the growths look for in the database is found, and what is not there is missed."""

import asyncpg
import pytest

from lastslot.running import Stack
from loadtest.growths.redemptions import insert
from loadtest.growths.winners import Campaigns
from loadtest.trial import Wrong
from shared.postgres import Pool
from tests.integration.engine import launch


@pytest.fixture
def stack(dsn: str) -> Stack:
    """A stack of which only the Postgres is there."""
    return Stack("", "", dsn, "", "s" * 32, "")


async def two(pool: Pool, stack: Stack, slots: int) -> Campaigns:
    made = [await launch(pool, slots) for _ in range(2)]
    return Campaigns(stack, [campaign.code or "" for campaign in made], [campaign.campaign_id for campaign in made], 0)


async def test_winners_are_right_when_each_campaign_has_its_own(pool: Pool, stack: Stack) -> None:
    campaigns = await two(pool, stack, 10)
    trial = campaigns.trial(6, "people")
    assert trial.expected == {201: 6}
    for code in campaigns.codes:
        await insert(stack, code, 3)
    await campaigns.verify()


async def test_winners_of_one_campaign_do_not_stand_for_those_of_another(pool: Pool, stack: Stack) -> None:
    campaigns = await two(pool, stack, 10)
    campaigns.trial(6, "people")
    for code, winners in zip(campaigns.codes, (2, 4), strict=True):
        await insert(stack, code, winners)
    with pytest.raises(Wrong):
        await campaigns.verify()


async def test_a_winner_who_is_not_counted_is_wrong(pool: Pool, stack: Stack) -> None:
    campaigns = await two(pool, stack, 10)
    campaigns.trial(6, "people")
    for code in campaigns.codes:
        await insert(stack, code, 3)
    await pool.execute("UPDATE campaign_slices SET claimed = claimed - 1")
    with pytest.raises(Wrong):
        await campaigns.verify()


async def test_inserted_redemptions_are_held_to_the_engines_own_constraints(pool: Pool, stack: Stack) -> None:
    campaign = await launch(pool, 5)
    with pytest.raises(asyncpg.CheckViolationError):
        await insert(stack, campaign.code or "", 6)

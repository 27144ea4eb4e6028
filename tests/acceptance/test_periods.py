"""Limits per day, week and month of each user, by the clocks of the campaign's city.

Nobody waits for midnight here: claims that are committed are moved to just before and just after the last one. When that was
is said by Postgres, which knows time zones by itself.
"""

import pytest

from tests.acceptance.client import Client
from tests.acceptance.office import rows, told

#: Half-hour and quarter-hour offsets, both sides of Greenwich, and cities whose clocks change.
CITIES = ["Asia/Kathmandu", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Kiritimati", "America/Los_Angeles"]


#: Those in which no day begins or ends while a test runs; the city whose day began first comes first.
_IN_MIDDAY = """
SELECT zone
FROM unnest($1::text[]) AS zone
WHERE (clock_timestamp() AT TIME ZONE zone)::time BETWEEN '00:05' AND '23:55'
ORDER BY date_trunc('day', clock_timestamp() AT TIME ZONE zone) AT TIME ZONE zone
"""
_MOVE = """
UPDATE redemptions
SET claimed_at = date_trunc($2, clock_timestamp() AT TIME ZONE $3) AT TIME ZONE $3 - $4::text::interval
WHERE redemption_id = $1
RETURNING claimed_at
"""


async def cities(client: Client) -> list[str]:
    return [row["zone"] for row in await rows(client, _IN_MIDDAY, CITIES)]


async def move(client: Client, redemption_id: str, period: str, zone: str, before: str) -> None:
    """Let a claim have been made so long before the present period began in `zone`."""
    assert len(await rows(client, _MOVE, redemption_id, period, zone, before)) == 1


@pytest.mark.parametrize("period", ["day", "week", "month"])
async def test_a_period_ends_at_its_midnight_in_the_campaigns_city(client: Client, period: str) -> None:
    zone, *_ = await cities(client)
    campaign = await client.campaign(timezone=zone, per_user_limit=9, **{f"per_{period}_limit": 1})
    first = await client.redeem(client.ask(campaign, "ann"))
    assert first.status == 201
    today = client.ask(campaign, "ann", key="today")
    refused = await client.redeem(today)
    assert (refused.status, refused.code) == (409, "period_limit_reached")

    await move(client, first.body["redemption_id"], period, zone, "0")
    assert (await client.redeem(today)).code == "period_limit_reached", "midnight belongs to the day that it begins"
    await move(client, first.body["redemption_id"], period, zone, "1 microsecond")
    second = await client.redeem(today)
    assert second.status == 201

    # And so on, period after period, until the user has had all that a user may.
    more = [client.ask(campaign, "ann", key=f"more-{number}") for number in range(2)]
    assert [(await client.redeem(ask)).code for ask in more] == ["period_limit_reached"] * 2
    await move(client, second.body["redemption_id"], period, zone, "1 microsecond")
    assert [(await client.redeem(ask)).code for ask in more] == [None, "period_limit_reached"]


async def test_midnight_is_the_citys_own(client: Client) -> None:
    """A claim of one moment is of today in one city, and of yesterday in another."""
    early, *_, late = await cities(client)
    answers = {}
    for zone in (early, late):
        campaign = await client.campaign(timezone=zone, per_user_limit=9, per_day_limit=1)
        taken = await client.redeem(client.ask(campaign, "ann"))
        # The day began in the one city when it had been going on in the other for some time.
        await move(client, taken.body["redemption_id"], "day", late, "1 microsecond")
        answers[zone] = (await client.redeem(client.ask(campaign, "ann", key="again"))).code
    assert answers == {early: "period_limit_reached", late: None}


async def test_a_limit_per_day_holds_for_tabs_at_two_doors_at_once(client: Client, two_doors: list[str]) -> None:
    zone, *_ = await cities(client)
    campaign = await client.campaign(timezone=zone, total_limit=None, per_user_limit=20, per_day_limit=2, per_week_limit=3)
    tabs = [client.ask(campaign, "ann", key=f"tab-{tab}") for tab in range(30)]
    replies = await client.race(tabs, two_doors)
    assert told(replies) == {(201, None): 2, (409, "period_limit_reached"): 28}
    assert (await client.redeem(client.ask(campaign, "bob"))).status == 201


async def test_what_was_given_back_was_not_had_today(client: Client) -> None:
    zone, *_ = await cities(client)
    campaign = await client.campaign(timezone=zone, per_user_limit=9, per_day_limit=1, release_on_failure=True)
    first = await client.redeem(client.ask(campaign, "ann"))
    again = client.ask(campaign, "ann", key="again")
    assert (await client.redeem(again)).code == "period_limit_reached"
    await client.release(first.body["redemption_id"], "failure")
    assert (await client.insist(again)).status == 201
    assert (await client.redeem(client.ask(campaign, "ann", key="third"))).code == "period_limit_reached"

"""Campaigns are opened and closed by the clocks of a city, on the days those clocks are changed too.

The table was made with a calendar and not with the product's code. Clocks change at 10:00Z on 8 March and at 09:00Z on
1 November 2026 in Los Angeles (UTC-8 and -7), at 15:00Z on 4 April and at 15:30Z on 3 October on Lord Howe Island (UTC+11
and +10:30: half an hour), never in Tokyo, and at midnight of 6 September in Santiago (from UTC-4 to -3), and in
Nuuk (UTC-2 and -1) at 01:00Z on 29 March and 25 October, an hour before midnight and at midnight.
"""

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.acceptance.client import Client
from tests.acceptance.office import rows

TOKYO, LOS_ANGELES, LORD_HOWE = "Asia/Tokyo", "America/Los_Angeles", "Australia/Lord_Howe"
SANTIAGO, NUUK = "America/Santiago", "America/Nuuk"

STARTS = [
    (TOKYO, "2026-03-08T02:30", "2026-03-07T17:30Z"),
    (TOKYO, "2026-11-27T00:00", "2026-11-26T15:00Z"),
    (LOS_ANGELES, "2026-03-08T01:59", "2026-03-08T09:59Z"),
    (LOS_ANGELES, "2026-03-08T03:00", "2026-03-08T10:00Z"),
    (LOS_ANGELES, "2026-11-01T00:59", "2026-11-01T07:59Z"),
    (LOS_ANGELES, "2026-11-01T02:00", "2026-11-01T10:00Z"),
    (LOS_ANGELES, "2026-11-01T01:30-07:00", "2026-11-01T08:30Z"),
    (LOS_ANGELES, "2026-11-01T01:30-08:00", "2026-11-01T09:30Z"),
    (LORD_HOWE, "2026-04-05T01:29", "2026-04-04T14:29Z"),
    (LORD_HOWE, "2026-04-05T02:00", "2026-04-04T15:30Z"),
    (LORD_HOWE, "2026-04-05T01:45+11:00", "2026-04-04T14:45Z"),
    (LORD_HOWE, "2026-04-05T01:45+10:30", "2026-04-04T15:15Z"),
    (LORD_HOWE, "2026-10-04T01:59", "2026-10-03T15:29Z"),
    (LORD_HOWE, "2026-10-04T02:30", "2026-10-03T15:30Z"),
]
REFUSED = [
    (LOS_ANGELES, "2026-03-08T02:30", "does not exist", "2026-03-08T02:30:00-08:00", "2026-03-08T02:30:00-07:00"),
    (LOS_ANGELES, "2026-03-08T02:00", "does not exist", "2026-03-08T02:00:00-08:00", "2026-03-08T02:00:00-07:00"),
    (LOS_ANGELES, "2026-11-01T01:00", "is ambiguous", "2026-11-01T01:00:00-07:00", "2026-11-01T01:00:00-08:00"),
    (LOS_ANGELES, "2026-11-01T01:59", "is ambiguous", "2026-11-01T01:59:00-07:00", "2026-11-01T01:59:00-08:00"),
    (LORD_HOWE, "2026-10-04T02:00", "does not exist", "2026-10-04T02:00:00+10:30", "2026-10-04T02:00:00+11:00"),
    (LORD_HOWE, "2026-10-04T02:29", "does not exist", "2026-10-04T02:29:00+10:30", "2026-10-04T02:29:00+11:00"),
    (LORD_HOWE, "2026-04-05T01:30", "is ambiguous", "2026-04-05T01:30:00+11:00", "2026-04-05T01:30:00+10:30"),
    (LORD_HOWE, "2026-04-05T01:59", "is ambiguous", "2026-04-05T01:59:00+11:00", "2026-04-05T01:59:00+10:30"),
]
LAST_DAYS = [
    (TOKYO, "2026-11-30", "2026-11-30T15:00Z"),
    (LOS_ANGELES, "2026-03-07", "2026-03-08T08:00Z"),
    (LOS_ANGELES, "2026-03-08", "2026-03-09T07:00Z"),
    (LOS_ANGELES, "2026-10-31", "2026-11-01T07:00Z"),
    (LOS_ANGELES, "2026-11-01", "2026-11-02T08:00Z"),
    (LORD_HOWE, "2026-04-04", "2026-04-04T13:00Z"),
    (LORD_HOWE, "2026-04-05", "2026-04-05T13:30Z"),
    (LORD_HOWE, "2026-10-03", "2026-10-03T13:30Z"),
    (LORD_HOWE, "2026-10-04", "2026-10-04T13:00Z"),
    # The last hour of this day is shown twice, and of that one never.
    (NUUK, "2026-10-24", "2026-10-25T02:00Z"),
    (NUUK, "2026-03-28", "2026-03-29T01:00Z"),
    # The midnight after this day does not exist: the next one begins at 01:00.
    (SANTIAGO, "2026-09-05", "2026-09-06T04:00Z"),
    (SANTIAGO, "2026-09-06", "2026-09-07T03:00Z"),
]


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def committed(client: Client, campaign: dict[str, Any]) -> dict[str, Any]:
    """What is read of the campaign, as far as its creator was told."""
    reply = await client.administer("GET", f"/api/v1/campaigns/{campaign['campaign_id']}", None)
    return {name: reply.body[name] for name in campaign}


@pytest.mark.parametrize("field", ["starts_at", "ends_at"])
@pytest.mark.parametrize(("zone", "wall", "utc"), STARTS)
async def test_a_time_on_the_wall_is_one_moment(client: Client, field: str, zone: str, wall: str, utc: str) -> None:
    campaign = await client.campaign(timezone=zone, **{field: wall})
    assert moment(campaign[field]) == moment(utc)
    assert campaign[field].endswith("Z")
    assert await committed(client, campaign) == campaign


@pytest.mark.parametrize(("zone", "wall", "why", "one", "other"), REFUSED)
async def test_a_time_that_comes_twice_or_never_is_refused_with_both_readings(
    client: Client, zone: str, wall: str, why: str, one: str, other: str
) -> None:
    campaign = await client.campaign(timezone=zone)
    for refused in (await client.create(timezone=zone, ends_at=wall), await client.try_change(campaign, ends_at=wall)):
        assert (refused.status, refused.code, refused.body["field"]) == (400, "field_invalid", "ends_at")
        for words in (why, zone, one, other):
            assert words in refused.body["detail"]
    # Either reading can be chosen, and they are two moments.
    chosen = [(await client.campaign(timezone=zone, ends_at=each))["ends_at"] for each in (one, other)]
    assert [moment(each) for each in chosen] == [moment(one), moment(other)]
    assert await committed(client, campaign) == campaign


@pytest.mark.parametrize(("zone", "day", "utc"), LAST_DAYS)
async def test_the_last_day_counts_to_its_end(client: Client, zone: str, day: str, utc: str) -> None:
    created = await client.campaign(timezone=zone, ends_on=day)
    changed = await client.change(await client.campaign(timezone=zone), ends_on=day)
    assert moment(created["ends_at"]) == moment(changed.body["ends_at"]) == moment(utc)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        (TOKYO, "2026-11-01", 24),
        (LOS_ANGELES, "2026-03-08", 23),
        (LOS_ANGELES, "2026-11-01", 25),
        (LORD_HOWE, "2026-04-05", 24.5),
        (LORD_HOWE, "2026-10-04", 23.5),
    ],
)
async def test_a_day_has_as_many_hours_as_its_clocks_give_it(client: Client, zone: str, day: str, hours: float) -> None:
    campaign = await client.campaign(timezone=zone, starts_at=f"{day}T00:00", ends_on=day)
    length = moment(campaign["ends_at"]) - moment(campaign["starts_at"])
    assert length.total_seconds() == hours * 3_600


async def test_the_door_is_open_through_the_last_day_in_each_city_and_shut_the_day_after(client: Client) -> None:
    today = "SELECT zone, (clock_timestamp() AT TIME ZONE zone)::date AS day FROM unnest($1::text[]) AS zone"
    # Not where midnight may strike meanwhile.
    steady = "((clock_timestamp() AT TIME ZONE zone)::time BETWEEN '00:02' AND '23:58')"
    cities = await rows(client, f"{today} WHERE {steady}", [TOKYO, LOS_ANGELES, LORD_HOWE])
    assert len(cities) >= 2
    for zone, day in cities:
        last = [str(day), str(day - timedelta(days=1))]
        campaigns = [await client.campaign(timezone=zone, ends_on=each) for each in last]
        campaigns.append(await client.campaign(timezone=zone, starts_at=f"{day + timedelta(days=1)}T03:00"))
        replies = [await client.redeem(client.ask(each, "ann")) for each in campaigns]
        assert [(reply.status, reply.code) for reply in replies] == [(201, None), (410, "expired"), (409, "not_started")]

"""Rate limits and bans at two real front doors: who asks too often, or guesses, is refused at both, and nobody else is."""

from collections.abc import Iterator
from itertools import count, cycle

import msgspec
import pytest

from lastslot.running import Stack
from shared.clock import monotonic
from tests.acceptance.client import Client, until
from tests.acceptance.history import Reply
from tests.acceptance.stacks import extra_door

_numbers = count(1)


@pytest.fixture(scope="module")
def limited_doors(stack: Stack) -> Iterator[list[str]]:
    """Two front doors that limit as they do by default, behind one proxy."""
    behind = limiting(stack, LASTSLOT_TRUSTED_PROXIES="1")
    with extra_door(stack, **behind) as one, extra_door(stack, **behind) as other:
        yield [one, other]


@pytest.fixture(scope="module")
def patient_doors(stack: Stack) -> Iterator[list[str]]:
    """Two front doors at which a cooldown lasts milliseconds."""
    plenty = limiting(stack, LASTSLOT_REDEEM_PER_MINUTE="60000", LASTSLOT_VALIDATE_PER_MINUTE="60000")
    with extra_door(stack, **plenty) as one, extra_door(stack, **plenty) as other:
        yield [one, other]


def limiting(stack: Stack, **settings: str) -> dict[str, str]:
    return {"LASTSLOT_JWT_SECRET": stack.jwt_secret, "LASTSLOT_RATE_LIMITS": "on", **settings}


async def look(client: Client, door: str, code: str, forwarded: str) -> Reply:
    """Validate without a token, as a proxy passes it on."""
    headers = {"Content-Type": "application/json", "X-Forwarded-For": forwarded}
    return await client.send("POST", f"{door}/api/v1/coupons/validate", headers, msgspec.json.encode({"code": code}))


def network() -> str:
    """The first half of IPv6 addresses that no test has asked from; the limits outlive a test."""
    return f"2001:db8:{int(monotonic()) & 0xFFFF:x}:{next(_numbers):x}"


async def test_the_sixth_redeem_in_a_minute_is_refused_whichever_door_it_enters(
    client: Client, limited_doors: list[str]
) -> None:
    campaign = await client.campaign()
    doors = cycle(limited_doors)
    asks = [client.ask(campaign, "ann", key=f"key-{number}") for number in range(5)]
    first = [await client.redeem(ask, base_url=next(doors)) for ask in asks]
    assert [reply.status for reply in first] == [201, 409, 409, 409, 409]
    for door in limited_doors:
        refused = await client.redeem(client.ask(campaign, "ann", key="sixth"), base_url=door)
        assert (refused.status, refused.code) == (429, "rate_limited")
        wait_s = int(refused.headers["Retry-After"])
        assert 0 < wait_s <= 12
        assert refused.headers["RateLimit-Policy"] == '"redeem";q=5;w=60'
        assert refused.headers["RateLimit"] == f'"redeem";r=0;t={wait_s}'
        # Neither another user, nor another call of the same one, is hurt.
        assert (await client.redeem(client.ask(campaign, f"neighbour-{door}"), base_url=door)).status == 201
        assert (await client.validate(campaign["code"], client.user("ann"), base_url=door)).status == 200


async def test_of_fifty_at_once_at_two_doors_five_are_decided(client: Client, limited_doors: list[str]) -> None:
    campaign = await client.campaign()
    asks = [client.ask(campaign, "ann", key=f"tab-{tab}") for tab in range(50)]
    replies = await client.race(asks, limited_doors)
    assert sorted(reply.status for reply in replies) == [201, *[409] * 4, *[429] * 45]


async def test_who_sends_no_token_is_limited_by_address_and_spoofed_entries_change_nothing(
    client: Client, limited_doors: list[str]
) -> None:
    code, net = (await client.campaign())["code"], network()
    doors = cycle(limited_doors)
    heard: list[int] = []

    async def limited() -> bool:
        number = len(heard)
        heard.append((await look(client, next(doors), code, f"192.0.2.{number}, {net}::{number:x}")).status)
        return heard[-1] == 429

    await until(limited)
    # Validate is answered from memory: what one door gave, the other knows within 200 ms.
    assert 10 <= heard.count(200) <= 20
    assert set(heard) == {200, 429}
    assert (await look(client, limited_doors[0], code, f"{network()}::1")).status == 200


async def test_who_guesses_is_made_to_wait_at_both_doors_and_others_are_not(client: Client, limited_doors: list[str]) -> None:
    one, other = limited_doors
    campaign, net = await client.campaign(), network()
    guesses = [await look(client, one, f"GUESS-{number}", f"{net}::1") for number in range(6)]
    assert [reply.status for reply in guesses] == [404] * 5 + [429]
    assert guesses[-1].code == "too_many_failures"
    assert guesses[-1].headers["RateLimit-Policy"] == '"failures";q=10;w=3600'

    async def known() -> bool:
        return (await look(client, other, campaign["code"], f"{net}::2")).code == "too_many_failures"

    await until(known, within_s=1.0)
    assert (await look(client, other, campaign["code"], f"{network()}::1")).status == 200


async def test_a_ban_is_known_at_the_other_door_within_a_second(client: Client, patient_doors: list[str]) -> None:
    one, other = patient_doors
    campaign, bot = await client.campaign(), client.user("bot")
    failures = 0

    async def banned() -> bool:
        nonlocal failures
        reply = await client.validate(f"GUESS-{failures}", bot, base_url=one)
        failures += reply.status == 404
        return reply.status == 429 and int(reply.headers["Retry-After"]) > 3_000

    await until(banned)
    assert failures == 10
    banned_at = monotonic()

    async def known() -> bool:
        return (await client.validate(campaign["code"], bot, base_url=other)).status == 429

    await until(known)
    assert monotonic() - banned_at < 1.0
    refused = await client.redeem(client.ask(campaign, "bot"), base_url=other)
    assert (refused.status, refused.code) == (429, "too_many_failures")
    assert (await client.redeem(client.ask(campaign, "shopper"), base_url=other)).status == 201


async def test_a_winner_who_asks_again_and_again_fails_at_nothing(client: Client, patient_doors: list[str]) -> None:
    campaign = await client.campaign(total_limit=1)
    won = await client.redeem(client.ask(campaign, "ann"), base_url=patient_doors[0])
    assert won.status == 201
    for number in range(30):
        door = patient_doors[number % 2]
        assert (await client.redeem(client.ask(campaign, "ann"), base_url=door)).status == 200
        assert (await client.redeem(client.ask(campaign, "bob"), base_url=door)).code == "exhausted"

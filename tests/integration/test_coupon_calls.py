"""The rules of redemption over HTTP, on real stores with a shard at work: who is told what, in which order."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import jwt
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from multidict import CIMultiDict, CIMultiDictProxy

from claim_workers.consumer import Stores
from frontdoor import redeem, tokens, validate
from frontdoor.app import application, opened_door
from frontdoor.context import Door
from frontdoor.problems import Problem
from frontdoor.reception import HIDDEN, Answering
from frontdoor.replies import Reply, Shown, respond
from frontdoor.ticks import TICK_S
from frontdoor.visit import Visit
from shared import campaigns, clock, codes
from shared.audit import audit
from shared.campaigns import Committed
from shared.codes import Minted, Wish
from shared.domain.campaign import Campaign, StackingRules
from shared.domain.discount import MAX_SUBTOTAL, Discount
from shared.domain.draft import CampaignChange
from shared.domain.ids import UserId, claim_id
from shared.settings import Settings
from tests.integration.engine import home, launch, opened_stores, shard_at_work, until

SECRET = "only-for-tests-only-for-tests-only-for-tests"
ADULT = {">=": [{"var": "attrs.age"}, 18]}
LOYAL = {"!!": {"var": "segments.loyal"}}
ALONE = StackingRules(exclusive=True)
VALIDATE = "/api/v1/coupons/validate"
Answer = tuple[int, dict[str, Any]]


class Shop:
    """A front door with everything behind it, and what is said to it."""

    def __init__(self, client: TestClient[web.Request, web.Application], door: Door, stores: Stores) -> None:
        self.client = client
        self.door = door
        self.pool = stores.pool
        self.gate = stores.gate

    async def launch(self, total_limit: int | None = 10, **terms: Any) -> Campaign:
        campaign = await launch(self.pool, total_limit, **terms)
        await self.door.codes_added()
        # Claims are waited for only so long, and on a busy machine it may take that until a shard that has just begun serves.
        await until(lambda: self.gate.pointed(home(campaign)))
        return campaign

    async def mint(self, campaign: Campaign, *users: str | None) -> list[str]:
        wish = Wish([None if user is None else UserId(user) for user in users])
        made = await codes.mint(self.pool, campaign.campaign_id, wish, UserId("admin"))
        assert isinstance(made, Minted)
        await self.door.codes_added()
        return made.codes

    async def knows_all_codes(self) -> bool:
        return self.door.code_filter.trusted

    async def segment(self, name: str, user: str) -> None:
        made = "INSERT INTO segments (name, members, loaded_at) VALUES ($1, 1, now()) RETURNING segment_no"
        number = await self.pool.fetchval(made, name)
        await self.pool.execute("INSERT INTO segment_members (segment_no, user_id) VALUES ($1, $2)", number, user)

    async def redeem(self, code: str | None, user: str = "ann", key: str = "for", **said: Any) -> Answer:
        body = {"code": code, "order_id": f"order of {user}"} | said
        return await self.post("/api/v1/coupons/redeem", body, user, key=f"{key} {code}")

    async def serve(self, code: str | None, user: str, **said: Any) -> Answer:
        """Redeem by a service, for the user."""
        body = {"code": code, "order_id": f"order of {user}", "user_id": user} | said
        return await self.post("/api/v1/coupons/redeem", body, "checkout", "service", key=f"for {code}")

    async def validate(self, code: str | None, user: str | None = None, *scopes: str, **said: Any) -> Answer:
        return await self.post(VALIDATE, {"code": code} | said, user, *scopes)

    async def read(self, path: str, user: str, *scopes: str) -> Answer:
        headers = {"Authorization": f"Bearer {tokens.issue(SECRET, user, scopes)}"}
        async with self.client.get(path, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def post(
        self, path: str, body: Any = None, user: str | None = "checkout", *scopes: str, key: str = "k", **attrs: Any
    ) -> Answer:
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        if user is not None:
            headers["Authorization"] = f"Bearer {tokens.issue(SECRET, user, scopes)}"
        async with self.client.post(path, data=msgspec.json.encode(body), headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)


@pytest.fixture
async def shop(postgres_dsn: str, redis_url: str) -> AsyncIterator[Shop]:
    settings = Settings(postgres_dsn=postgres_dsn, redis_url=redis_url, jwt_secret=SECRET, rate_limits="off")
    async with (
        opened_stores(postgres_dsn, redis_url) as stores,
        opened_door(settings) as door,
        shard_at_work(stores),
        TestClient(TestServer(application(door))) as client,
    ):
        yield Shop(client, door, stores)
    report = await audit(postgres_dsn)
    assert report.clean, report.faults


def code(answer: Answer) -> tuple[int, str]:
    return answer[0], answer[1]["code"]


async def test_a_code_made_for_one_user_does_not_exist_for_others(shop: Shop) -> None:
    campaign = await shop.launch(type="unique", code=None)
    [anns] = await shop.mint(campaign, "ann")
    unknown = await shop.redeem("NO-SUCH-CODE", "bob")
    assert unknown[0] == 404
    assert await shop.redeem(anns, "bob") == unknown
    assert await shop.validate(anns) == await shop.validate(anns, "bob") == unknown
    assert (await shop.validate(anns, "ann"))[1]["valid"] is True
    assert (await shop.validate(anns, "checkout", "service", user_id="ann"))[1]["valid"] is True
    assert (await shop.serve(anns, "ann"))[0] == 201


async def test_a_pool_gives_its_codes_one_by_one_and_a_used_one_is_gone(shop: Shop) -> None:
    campaign = await shop.launch(type="pool", per_user_limit=2)
    both = set(await shop.mint(campaign, None, None))
    status, won = await shop.redeem(campaign.code)
    assert status == 201
    one = won["code"]
    [two] = both - {one}
    assert code(await shop.redeem(one, "bob")) == (410, "code_used")
    assert code(await shop.validate(one)) == (410, "code_used")
    assert (await shop.validate(two))[1]["code"] == two
    assert (await shop.redeem(two, "bob"))[1]["code"] == two
    assert code(await shop.redeem(campaign.code, "cat")) == (410, "exhausted")


async def test_a_pool_with_codes_for_others_only_is_sold_out_but_for_them(shop: Shop) -> None:
    campaign = await shop.launch(None, type="pool")
    await shop.mint(campaign, None)
    [anns] = await shop.mint(campaign, "ann")
    assert (await shop.redeem(campaign.code, "bob"))[0] == 201

    async def certified() -> bool:
        assert code(await shop.redeem(campaign.code, "cat")) == (410, "exhausted")
        return shop.door.certificates.refusal(campaign.campaign_id, UserId("cat"), clock.monotonic()) is not None

    await until(certified)
    refusals = "SELECT count(*) FROM ledger WHERE kind = 'refused'"
    before = await shop.pool.fetchval(refusals)
    for user in ("dan", "eve", "ann"):
        assert code(await shop.redeem(campaign.code, user)) == (410, "exhausted")
    assert await shop.pool.fetchval(refusals) == before, "the gate lets through only what can win"

    async def told() -> bool:
        return (await shop.validate(campaign.code))[0] == 410

    await until(told)
    assert (await shop.validate(anns, "ann"))[1].get("valid") is True
    assert await certified()
    assert (await shop.redeem(anns, "ann"))[0] == 201
    assert (await shop.redeem(campaign.code, "bob"))[0] == 200


async def test_who_is_not_in_the_audience_is_told_so_but_never_instead_of_their_own_success(shop: Shop) -> None:
    campaign = await shop.launch(1, audience_filter=ADULT)
    assert code(await shop.redeem(campaign.code)) == (403, "audience_mismatch")
    status, won = await shop.serve(campaign.code, "ann", attrs={"age": 18})
    assert status == 201
    assert await shop.redeem(campaign.code) == (200, won)
    assert code(await shop.redeem(campaign.code, key="other")) == (403, "audience_mismatch")
    # Sold out by now: the audience is told first, by the gate as from memory.
    for _ in range(3):
        assert code(await shop.redeem(campaign.code, "bob")) == (403, "audience_mismatch")
        assert code(await shop.serve(campaign.code, "bob", attrs={"age": 20})) == (410, "exhausted")
    assert await shop.redeem(campaign.code) == (200, won)


def visit(headers: CIMultiDictProxy[str], body: dict[str, Any]) -> Visit:
    return Visit(headers, msgspec.json.encode(body), "127.0.0.1", 0.0)


async def known(answering: Answering) -> Reply | None:
    """What was answered without waiting."""
    if isinstance(answering, (Problem, Shown)):
        return answering
    await answering
    return None


async def at_once(shop: Shop, campaign: Campaign, user: str, **attrs: Any) -> str | None:
    """What is answered from memory."""
    token = jwt.encode({"sub": user, "exp": clock.unix_now() + 60, "attrs": attrs}, SECRET)
    headers = CIMultiDictProxy(CIMultiDict({"Authorization": f"Bearer {token}", "Idempotency-Key": "k"}))
    answer = await known(redeem.answer(shop.door, visit(headers, {"code": campaign.code, "order_id": "o"})))
    return answer.code if isinstance(answer, Problem) else None


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ({}, ("exhausted", "exhausted")),
        ({"audience_filter": ADULT}, ("exhausted", "audience_mismatch")),
        ({"first_order_only": True}, ("not_first_order", "not_first_order")),
        ({"audience_filter": {"or": [LOYAL, ADULT]}}, (None, None)),
    ],
    ids=["plain", "by the token", "first order", "by segments"],
)
async def test_from_memory_only_what_is_certain_is_answered(
    shop: Shop, terms: dict[str, Any], expected: tuple[str | None, str | None]
) -> None:
    campaign = await shop.launch(1, **terms)
    said: dict[str, Any] = {"attrs": {"age": 18}, "first_order": True}
    assert (await shop.serve(campaign.code, "ann", **said))[0] == 201

    heard: list[tuple[str | None, str | None]] = []

    def is_certified() -> bool:
        return shop.door.certificates.refusal(campaign.campaign_id, UserId("loser"), clock.monotonic()) is not None

    async def heard_while_certified() -> bool:
        # A loser brings the certificate, which may end before both were answered.
        assert code(await shop.serve(campaign.code, "loser", **said)) == (410, "exhausted")
        before = is_certified()
        heard.append((await at_once(shop, campaign, "bob", age=18), await at_once(shop, campaign, "bob", age=17)))
        return before and is_certified()

    await until(heard_while_certified)
    assert heard[-1] == expected
    assert await at_once(shop, campaign, "ann", age=17) is None


async def certified(shop: Shop, campaign: Campaign) -> bool:
    # A loser brings the certificate.
    await shop.redeem(campaign.code, "loser")
    return shop.door.certificates.refusal(campaign.campaign_id, UserId("loser"), clock.monotonic()) is not None


async def test_a_certificate_is_renewed_while_people_keep_coming_and_none_of_them_asks_the_gate(shop: Shop) -> None:
    campaign = await shop.launch(1)
    assert (await shop.redeem(campaign.code))[0] == 201
    await until(lambda: certified(shop, campaign))
    held = shop.door.certificates._held[campaign.campaign_id, 0, 0]
    first = held.until

    async def renewed() -> bool:
        assert await at_once(shop, campaign, "bob") == "exhausted" or clock.monotonic() > held.until
        return held.until > first and shop.door.availability.knows(campaign)

    await until(renewed)


async def test_whoever_only_looks_does_not_have_others_hear_sold_out_of_what_is_over(shop: Shop) -> None:
    campaign = await shop.launch(1)
    assert (await shop.redeem(campaign.code))[0] == 201
    change = CampaignChange(starts_at="2000-01-01T00:00", ends_at="2001-01-01T00:00")
    changed = await campaigns.change(shop.pool, campaign.campaign_id, change, UserId("admin"))
    assert isinstance(changed, Committed)
    await shop.door.campaigns.changed(changed.campaign)

    async def surveyed() -> bool:
        assert code(await shop.validate(campaign.code)) == (410, "expired")
        return shop.door.availability.knows(changed.campaign)

    await until(surveyed)
    assert code(await shop.redeem(campaign.code, "bob")) == (410, "expired")


async def test_segments_are_looked_up_where_the_filter_names_them(shop: Shop) -> None:
    campaign = await shop.launch(audience_filter=LOYAL)
    assert code(await shop.redeem(campaign.code)) == (403, "audience_mismatch")
    assert code(await shop.validate(campaign.code, "ann")) == (403, "audience_mismatch")
    await shop.segment("loyal", "ann")
    assert (await shop.validate(campaign.code, "ann"))[0] == 200
    assert (await shop.redeem(campaign.code))[0] == 201
    assert code(await shop.validate(campaign.code)) == (404, "unknown_code")


async def test_a_first_order_is_what_the_token_or_a_service_says_it_is(shop: Shop) -> None:
    campaign = await shop.launch(first_order_only=True)
    assert code(await shop.redeem(campaign.code)) == (403, "not_first_order")
    assert code(await shop.redeem(campaign.code, first_order=True)) == (403, "scope_required")
    assert code(await shop.validate(campaign.code, "ann")) == (403, "not_first_order")
    for said in (None, True):
        assert (await shop.validate(campaign.code, first_order=said))[1]["first_order_only"] is True
    assert code(await shop.validate(campaign.code, first_order=False)) == (403, "not_first_order")
    assert code(await shop.validate(campaign.code, "ann", first_order=True)) == (403, "scope_required")
    assert (await shop.serve(campaign.code, "ann", first_order=True))[0] == 201
    assert (await shop.serve(campaign.code, "bob", attrs={"first_order": True}))[0] == 201


async def test_what_is_refused_at_commit_says_why(shop: Shop) -> None:
    daily = await shop.launch(per_user_limit=5, per_day_limit=1)
    assert (await shop.redeem(daily.code))[0] == 201
    assert code(await shop.redeem(daily.code, key="again")) == (409, "period_limit_reached")
    dear = await shop.launch(minimum_subtotal=500)
    assert code(await shop.redeem(dear.code)) == (409, "subtotal_required")
    assert code(await shop.redeem(dear.code, subtotal=499)) == (409, "minimum_not_met")
    money = await shop.launch(discount=Discount("amount", 400, "EUR"), amount_limit=600)
    assert (await shop.redeem(money.code))[0] == 201
    assert code(await shop.redeem(money.code, "bob")) == (409, "budget_insufficient")


async def test_no_cart_is_so_large_that_it_spoils_the_campaign_for_others(shop: Shop) -> None:
    campaign = await shop.launch(None, discount=Discount("percent", 100))
    for subtotal in (MAX_SUBTOTAL + 1, 2**63 - 1):
        for answer in (
            await shop.redeem(campaign.code, "eve", subtotal=subtotal),
            await shop.validate(campaign.code, subtotal=subtotal),
        ):
            assert (*code(answer), answer[1]["field"]) == (400, "field_invalid", "subtotal")
    for user in ("eve", "ann"):
        assert (await shop.redeem(campaign.code, user, subtotal=MAX_SUBTOTAL))[0] == 201


async def test_who_has_a_hold_of_today_and_asks_for_more_is_told_how_it_stands_also_by_polling(shop: Shop) -> None:
    campaign = await shop.launch(per_user_limit=2, per_day_limit=1, hold_ttl_s=600)
    assert (await shop.redeem(campaign.code))[0] == 201
    body = {"code": campaign.code, "order_id": "o"}
    assert code(await shop.post("/api/v1/coupons/redeem", body, "ann", key="two")) == (409, "period_limit_reached")
    token = tokens.issue(SECRET, "ann", ())
    headers = {"Content-Type": "application/json", "Idempotency-Key": "three", "Prefer": "respond-async"}
    headers |= {"Authorization": f"Bearer {token}"}
    async with shop.client.post("/api/v1/coupons/redeem", data=msgspec.json.encode(body), headers=headers) as answer:
        pending = await answer.json(content_type=None)
        assert answer.status == 202
    path = f"/api/v1/claims/{pending['claim_id']}?wait=5"
    async with shop.client.get(path, headers=headers) as answer:
        assert (answer.status, (await answer.json(content_type=None))["code"]) == (409, "period_limit_reached")


async def test_the_code_that_is_in_the_way_is_named(shop: Shop) -> None:
    first = await shop.launch(code="SAVE10")
    shy = await shop.launch(stacking_rules=StackingRules(("SAVE*",)))
    assert (await shop.redeem(first.code))[0] == 201
    status, problem = await shop.redeem(shy.code)
    assert (status, problem["code"], problem["with"]) == (409, "not_stackable", "SAVE10")
    assert problem["detail"] == "This code cannot be combined with SAVE10."
    # The order's own redemptions count for validate as what the cart says it has.
    for said in ({"order_id": "order of ann"}, {"applied_codes": ["save10"]}):
        status, quoted = await shop.validate(shy.code, "ann", **said)
        assert (status, quoted["valid"], quoted["reason"]) == (200, False, "not_stackable_with_SAVE10")
    assert (await shop.validate(shy.code, "bob", order_id="order of ann"))[1]["valid"] is True


async def test_a_code_of_somebody_else_is_in_the_way_without_a_name(shop: Shop) -> None:
    unique = await shop.launch(type="unique", code=None)
    [anns] = await shop.mint(unique, "ann")
    pushy = await shop.launch(stacking_rules=ALONE)
    assert (await shop.redeem(anns, "ann", order_id="o"))[0] == 201
    status, problem = await shop.redeem(pushy.code, "eve", order_id="o")
    assert (status, problem["code"], "with" in problem) == (409, "not_stackable", False)
    assert anns not in str(problem)
    assert (await shop.redeem(pushy.code, "ann", order_id="o"))[1]["with"] == anns


async def test_validate_and_redeem_agree_on_a_second_use_for_one_order(shop: Shop) -> None:
    campaign = await shop.launch(per_user_limit=2, stacking_rules=ALONE)
    assert (await shop.redeem(campaign.code, order_id="o"))[0] == 201
    assert (await shop.validate(campaign.code, "ann", order_id="o"))[1]["valid"] is True
    assert (await shop.redeem(campaign.code, key="two", order_id="o"))[0] == 201


@pytest.mark.parametrize("remembered", [False, True])
async def test_applied_codes_tell_nobody_of_codes_made_for_others(shop: Shop, remembered: bool) -> None:
    plain = await shop.launch()
    theirs = await shop.launch(type="unique", code=None, stacking_rules=ALONE)
    [anns] = await shop.mint(theirs, "ann")
    if remembered:
        await shop.validate(anns, "ann")
        await shop.validate(plain.code)
    said: dict[str, Any] = {"code": plain.code, "applied_codes": [anns]}
    for stranger in (None, "bob"):
        assert (await shop.validate(**said, user=stranger))[1]["valid"] is True
    for asked in (shop.validate(**said, user="ann"), shop.post(VALIDATE, said | {"user_id": "ann"}, "till", "service")):
        assert (await asked)[1]["with"] == anns


async def test_applied_codes_tell_nobody_of_codes_for_an_audience(shop: Shop) -> None:
    plain = await shop.launch()
    closed = [await shop.launch(audience_filter=rule, stacking_rules=ALONE) for rule in (ADULT, LOYAL, {"!": LOYAL})]
    await shop.segment("loyal", "ann")

    async def seen(user: str | None, *scopes: str, **said: Any) -> list[bool]:
        answers = [await shop.validate(plain.code, user, *scopes, applied_codes=[each.code], **said) for each in closed]
        return [answer[1]["valid"] is False for answer in answers]

    for _ in range(2):
        assert await seen(None) == [False, False, True]
        assert await seen("bob") == [False, False, True]
        assert await seen("ann") == [False, True, False]
        assert await seen("till", "service", user_id="ann", attrs={"age": 18}) == [True, True, False]


async def test_an_applied_code_that_is_not_spelt_right_is_unknown(shop: Shop) -> None:
    plain = await shop.launch()
    exact = await shop.launch(type="pool", code=None, exact=True, stacking_rules=ALONE)
    wish = Wish([None], "Ab-########", "cdefghijkm")
    made = await codes.mint(shop.pool, exact.campaign_id, wish, UserId("admin"))
    assert isinstance(made, Minted)
    [spelt] = made.codes
    await shop.door.codes_added()
    for _ in range(2):
        assert (await shop.validate(plain.code, applied_codes=[spelt.upper()]))[1]["valid"] is True
        assert (await shop.validate(plain.code, applied_codes=[spelt]))[1]["valid"] is False


async def test_a_poll_names_the_code_that_was_in_the_way_as_redeem_did(shop: Shop) -> None:
    alone, other = await shop.launch(stacking_rules=ALONE), await shop.launch()
    assert (await shop.redeem(alone.code, order_id="o"))[0] == 201
    refused = await shop.redeem(other.code, key="k", order_id="o")
    assert (refused[0], refused[1]["code"], refused[1]["with"]) == (409, "not_stackable", alone.code)
    path = f"/api/v1/claims/{claim_id(UserId('ann'), f'k {other.code}')}"
    for query in ("", "?wait=1"):
        assert await shop.read(path + query, "ann") == refused
    assert await shop.read(path, "checkout", "service") == refused
    assert code(await shop.read(path, "bob")) == (404, "claim_unknown")


async def test_a_hold_never_blocks_its_owner_and_ends(shop: Shop) -> None:
    campaign = await shop.launch(1, hold_ttl_s=2)
    status, held = await shop.redeem(campaign.code)
    assert (status, "hold_expires_at" in held) == (201, True)
    assert await shop.redeem(campaign.code, key="another tab") == (200, held)
    path = f"/api/v1/redemptions/{held['redemption_id']}"

    async def expired() -> bool:
        return bool(await shop.pool.fetchval("SELECT released_at IS NOT NULL FROM redemptions"))

    await until(expired)
    assert code(await shop.post(f"{path}/confirm", user="checkout")) == (403, "scope_required")
    headers = {"Authorization": f"Bearer {tokens.issue(SECRET, 'checkout', ['service'])}"}
    async with shop.client.post(f"{path}/confirm", headers=headers) as answer:
        assert (answer.status, (await answer.json(content_type=None))["code"]) == (409, "hold_expired")


async def test_an_order_is_refunded_as_its_campaigns_allow_and_alike_when_told_again(shop: Shop) -> None:
    giving, keeping = [await shop.launch(1, release_on_refund=allowed) for allowed in (True, False)]
    early = await shop.launch(1, release_on_refund=True)
    ids = []
    for campaign in (giving, keeping, early):
        status, won = await shop.redeem(campaign.code, order_id="o 1", key=campaign.campaign_id.hex)
        assert status == 201
        ids.append(won["redemption_id"])
    headers = {"Authorization": f"Bearer {tokens.issue(SECRET, 'checkout', ['service'])}"}
    for redemption_id in ids[:2]:
        async with shop.client.post(f"/api/v1/redemptions/{redemption_id}/confirm", headers=headers) as answer:
            assert answer.status == 200
    told = [await shop.post("/api/v1/orders/o%201/refunded", None, "checkout", "service") for _ in range(2)]
    assert told[0] == told[1]
    status, refunded = told[0]
    assert (status, refunded["order_id"]) == (200, "o 1")
    assert {each["redemption_id"]: each["state"] for each in refunded["redemptions"]} == dict(
        zip(ids, ("released", "redeemed", "claimed"), strict=True)
    )
    assert {each["redemption_id"]: each["code"] for each in refunded["kept"]} == dict(
        zip(ids[1:], ("release_not_allowed", "not_redeemed"), strict=True)
    )

    async def free_again() -> bool:
        return (await shop.redeem(giving.code, "bob"))[0] == 201

    await until(free_again)


@pytest.mark.parametrize(
    ("order", "scopes", "expected"),
    [
        ("none", ("service",), (200, None)),
        ("x" * 201, ("service",), (400, "field_invalid")),
        ("o", (), (403, "scope_required")),
    ],
)
async def test_a_refund_of_nothing_is_told_with_empty_lists(
    shop: Shop, order: str, scopes: tuple[str, ...], expected: tuple[int, str | None]
) -> None:
    status, body = await shop.post(f"/api/v1/orders/{order}/refunded", None, "checkout", *scopes)
    assert (status, body.get("code")) == expected
    if status == 200:
        assert body == {"order_id": "none", "redemptions": [], "kept": []}


async def test_what_the_order_has_redeemed_is_shown_to_its_user_and_to_services(shop: Shop) -> None:
    campaign = await shop.launch(1)
    assert (await shop.redeem(campaign.code, subtotal=1_000))[0] == 201
    order = {"order_id": "order of ann", "subtotal": 99}
    for answer in (
        await shop.validate(campaign.code, "ann", **order),
        await shop.validate(campaign.code, "checkout", "service", **order),
    ):
        status, quoted = answer
        assert (status, quoted["already_redeemed_for_this_order"], quoted["discount"]["amount"]) == (200, True, 100)
    for stranger in (None, "bob"):
        assert code(await shop.validate(campaign.code, stranger, **order)) == (410, "exhausted")
    assert code(await shop.validate(campaign.code, "ann", order_id="another")) == (410, "exhausted")


async def test_validate_from_memory_says_what_the_long_way_says(shop: Shop) -> None:
    await shop.launch(code="PLAIN")
    await shop.launch(code="FIRST", first_order_only=True)
    await shop.launch(code="COY", stacking_rules=ALONE)
    await shop.launch(code="SHY", stacking_rules=StackingRules(("PL*",)), minimum_subtotal=100, audience_filter=ADULT)
    bodies: list[dict[str, Any]] = [
        {"code": "plain"},
        {"code": "plain", "applied_codes": ["coy"]},
        {"code": "plain", "subtotal": 10, "order_id": "o"},
        {"code": "shy", "subtotal": 99},
        {"code": "shy"},
        {"code": "PLAIN", "applied_codes": ["PLAIN"]},
        {"code": "FIRST"},
        {"code": "FIRST", "first_order": False},
    ]
    for body in bodies:
        slow = await shop.post(VALIDATE, body, None)
        fast = await known(validate.answer(shop.door, visit(CIMultiDictProxy(CIMultiDict()), body)))
        assert fast is not None
        assert json.loads(respond(fast).text or "") == slow[1]


async def test_a_door_that_is_full_says_so_before_it_reads_what_is_asked(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shop.door.desk, "_waiters_max", 0)
    assert code(await shop.post("/api/v1/coupons/redeem", {"no": "redeem"}, None)) == (503, "busy")
    assert code(await shop.validate("NO-SUCH-CODE")) == (404, "unknown_code")


async def test_what_is_no_code_is_answered_from_memory_and_what_may_be_one_is_looked_up(shop: Shop) -> None:
    campaign = await shop.launch(type="unique", code=None)
    [code_for_bob] = await shop.mint(campaign, "bob")
    await until(shop.knows_all_codes)
    authorized = {"Authorization": f"Bearer {tokens.issue(SECRET, 'ann')}", "Idempotency-Key": "k"}
    headers = CIMultiDictProxy(CIMultiDict(authorized))
    for call in (validate.answer, redeem.answer):
        body = {"code": "NO-SUCH-CODE"} | ({"order_id": "o"} if call is redeem.answer else {})
        assert await known(call(shop.door, visit(headers, body))) is HIDDEN
        assert await known(call(shop.door, visit(headers, body | {"code": "no code at all"}))) is HIDDEN
    asked = {"code": code_for_bob, "order_id": "o"}
    assert await known(redeem.answer(shop.door, visit(headers, asked))) is None
    assert await known(redeem.answer(shop.door, visit(headers, asked))) is HIDDEN
    shop.door.code_filter._trusted_until = float("-inf")
    assert await known(validate.answer(shop.door, visit(headers, {"code": "NO-SUCH-CODE"}))) is None


async def test_a_code_that_is_tried_beside_another_is_hidden_for_a_tick(shop: Shop) -> None:
    plain = await shop.launch(code="PLAIN", stacking_rules=StackingRules(("NOTHING*",)))
    [of_bob] = await shop.mint(await shop.launch(type="unique", code=None), "bob")
    await until(shop.knows_all_codes)
    told = []
    for tried in (of_bob, "NO-SUCH-CODE", of_bob):
        began = asyncio.get_running_loop().time()
        status, body = await shop.validate(plain.code, "ann", applied_codes=[tried])
        assert asyncio.get_running_loop().time() - began >= TICK_S
        told.append((status, body.get("valid")))
    assert told == [(200, True)] * 3


async def test_a_code_for_others_is_hidden_before_anything_more_is_looked_up(shop: Shop) -> None:
    campaign = await shop.launch(code="SHY", audience_filter=ADULT)
    assert code(await shop.validate(campaign.code)) == (404, "unknown_code")
    assert not shop.door.availability.knows(campaign)
    assert await known(validate.answer(shop.door, visit(CIMultiDictProxy(CIMultiDict()), {"code": "SHY"}))) is HIDDEN


async def test_a_list_of_guesses_is_no_cart_unless_a_service_sends_it(shop: Shop) -> None:
    campaign = await shop.launch()
    guesses = [f"GUESS-{number}" for number in range(6)]
    for user in (None, "ann"):
        assert code(await shop.validate(campaign.code, user, applied_codes=guesses)) == (400, "field_invalid")
        assert (await shop.validate(campaign.code, user, applied_codes=guesses[:5]))[0] == 200
    assert (await shop.validate(campaign.code, "checkout", "service", applied_codes=guesses))[0] == 200

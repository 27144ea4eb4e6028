"""People who ask again as the answers tell them to, in front of a server that makes them."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import jwt
from aiohttp import web

from lastslot.crowd import Crowd, Heard, gather, press_redeem, problem_code
from lastslot.running import Stack

SECRET = "0123456789abcdef0123456789abcdef"
PEOPLE = 12

Handler = Callable[[web.Request], Awaitable[web.Response]]


@asynccontextmanager
async def serving(handlers: Mapping[str, Handler]) -> AsyncIterator[Stack]:
    app = web.Application()
    for path, handler in handlers.items():
        app.router.add_route("*", path, handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield Stack(url, url, "", "", SECRET, "admin-token")
    finally:
        await runner.cleanup()


async def press(redeem: Handler, read_claim: Handler | None = None) -> tuple[Crowd, Heard]:
    handlers = {"/api/v1/coupons/redeem": redeem}
    if read_claim is not None:
        handlers["/api/v1/claims/{claim}"] = read_claim
    async with serving(handlers) as stack:
        crowd = gather(stack, "CODE", PEOPLE, "test")
        return crowd, await press_redeem(crowd, connections=4)


def refusal(status: int, code: str, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.json_response({"code": code}, status=status, headers=headers)


def statuses(heard: Heard) -> Counter[int]:
    return Counter(answer.status for answer in heard.answers)


async def test_each_person_has_a_token_and_a_key_of_their_own() -> None:
    seen: set[tuple[str, str, str]] = set()

    async def redeem(request: web.Request) -> web.Response:
        claims = jwt.decode(request.headers["Authorization"].removeprefix("Bearer "), SECRET, algorithms=["HS256"])
        body = await request.json()
        assert body.keys() == {"code", "order_id"}
        seen.add((claims["sub"], request.headers["Idempotency-Key"], body["order_id"]))
        return web.json_response({}, status=201)

    _, heard = await press(redeem)
    assert statuses(heard) == {201: PEOPLE}
    assert all(len(set(column)) == PEOPLE for column in zip(*seen, strict=True))
    assert (heard.asked_again, heard.polled) == (0, 0)


async def test_a_503_is_asked_again_with_the_same_key_and_timed_from_the_first_asking() -> None:
    asked: Counter[str] = Counter()

    async def redeem(request: web.Request) -> web.Response:
        key = request.headers["Idempotency-Key"]
        asked[key] += 1
        if asked[key] == 1:
            return refusal(503, "busy", {"Retry-After": "0.1"})
        return web.json_response({}, status=200)

    _, heard = await press(redeem)
    assert statuses(heard) == {200: PEOPLE}
    assert set(asked.values()) == {2}
    assert heard.asked_again == PEOPLE
    assert all(answer.seconds >= 0.1 for answer in heard.answers)


async def test_a_202_is_followed_to_its_outcome_by_whose_it_is() -> None:
    polls: Counter[str] = Counter()

    async def redeem(request: web.Request) -> web.Response:
        user = jwt.decode(request.headers["Authorization"][7:], SECRET, algorithms=["HS256"])["sub"]
        return web.json_response({}, status=202, headers={"Location": f"/api/v1/claims/{user}?partition=3"})

    async def read_claim(request: web.Request) -> web.Response:
        user = jwt.decode(request.headers["Authorization"][7:], SECRET, algorithms=["HS256"])["sub"]
        assert (request.match_info["claim"], request.query["partition"]) == (user, "3")
        polls[user] += 1
        return web.json_response({}, status=202) if polls[user] == 1 else refusal(410, "exhausted")

    _, heard = await press(redeem, read_claim)
    assert statuses(heard) == {410: PEOPLE}
    assert {problem_code(answer) for answer in heard.answers} == {"exhausted"}
    assert set(polls.values()) == {2}
    assert heard.polled == 2 * PEOPLE


async def test_a_claim_that_became_unknown_is_sent_again() -> None:
    asked: Counter[str] = Counter()

    async def redeem(request: web.Request) -> web.Response:
        key = request.headers["Idempotency-Key"]
        asked[key] += 1
        if asked[key] == 1:
            return web.json_response({}, status=202, headers={"Location": "/api/v1/claims/lost"})
        return web.json_response({}, status=201)

    async def read_claim(_: web.Request) -> web.Response:
        return refusal(404, "claim_unknown")

    _, heard = await press(redeem, read_claim)
    assert statuses(heard) == {201: PEOPLE}


async def test_a_refusal_is_taken_for_an_answer() -> None:
    async def redeem(_: web.Request) -> web.Response:
        return refusal(409, "campaign_paused")

    _, heard = await press(redeem)
    assert statuses(heard) == {409: PEOPLE}
    assert heard.asked_again == 0

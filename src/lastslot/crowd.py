"""People who press redeem, each with a token and an intent of their own, and who ask again as the answers tell them to."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from frontdoor.campaign_shapes import CampaignShown
from lastslot.burst import LOST, Answer, fire
from lastslot.campaign_office import office_of
from lastslot.running import Stack, address
from lastslot.wire import render
from shared.clock import monotonic

#: "Send it again with the same key": the connection broke, or 503 was said.
_ASK_AGAIN = (LOST, 503)
_PENDING = 202
_PATIENCE_S = 30.0


class Crowd(msgspec.Struct, frozen=True):
    """People in front of one front door: what each of them sends, and the token each sends it with."""

    host: str
    port: int
    requests: Sequence[bytes]
    tokens: Sequence[str]


class Heard(msgspec.Struct, frozen=True):
    """The last word each person got, with the latency from their first asking; and how often they had to ask again."""

    answers: list[Answer]
    asked_again: int
    polled: int


async def open_campaign(stack: Stack, code: str, slots: int | None) -> CampaignShown:
    """Create a campaign that is open now, one slot a user, through the admin API. Raises Refused."""
    discount = {"type": "amount", "value": 1000, "currency": "EUR"}
    return await office_of(stack).create(code, discount=discount, total_limit=slots, timezone="Europe/Amsterdam")


def gather(stack: Stack, code: str, people: int, named: str) -> Crowd:
    """`people` different users, each about to redeem `code` once. `named` keeps them apart from other crowds."""
    host, port = address(stack.base_url)
    users = [f"usr_{named}_{number}" for number in range(people)]
    tokens = [stack.token(user) for user in users]
    requests = [redeem(host, code, user, token) for user, token in zip(users, tokens, strict=True)]
    return Crowd(host, port, requests, tokens)


def redeem(host: str, code: str, user: str, token: str) -> bytes:
    """One user's redeem request; the same for the same user, so sending it twice is asking twice for one thing."""
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": f"key-{user}"}
    body = msgspec.json.encode({"code": code, "order_id": f"order-{user}"})
    return render("POST", "/api/v1/coupons/redeem", host, headers, body)


async def press_redeem(crowd: Crowd, connections: int, on_answer: Callable[[Answer], None] | None = None) -> Heard:
    """All at once, and then as well-behaved clients: a 503 is asked again with its key, a 202 is followed to its outcome."""
    answers = await fire(crowd.host, crowd.port, crowd.requests, connections, on_answer, keep_bodies=True)
    asked_again = polled = 0
    deadline = monotonic() + _PATIENCE_S
    while monotonic() < deadline:
        again = [answer for answer in answers if answer.status in _ASK_AGAIN]
        pending = [answer for answer in answers if answer.status == _PENDING]
        if not again and not pending:
            break
        asked_again, polled = asked_again + len(again), polled + len(pending)
        await asyncio.sleep(max(_pause_s(answer) for answer in again + pending))
        requests = [crowd.requests[answer.index] for answer in again] + [_poll(crowd, answer) for answer in pending]
        for before, after in zip(again + pending, await _fire_again(crowd, requests, connections), strict=True):
            answers[before.index] = _later(before, after)
    return Heard(answers, asked_again, polled)


async def _fire_again(crowd: Crowd, requests: Sequence[bytes], connections: int) -> list[Answer]:
    try:
        return await fire(crowd.host, crowd.port, requests, connections, keep_bodies=True)
    except OSError:
        return [Answer(index, LOST, 0.0, monotonic()) for index in range(len(requests))]


def _poll(crowd: Crowd, pending: Answer) -> bytes:
    location = pending.header("Location") or "/"
    waiting = f"{location}{'&' if '?' in location else '?'}wait=5"
    return render("GET", waiting, crowd.host, {"Authorization": f"Bearer {crowd.tokens[pending.index]}"})


def _pause_s(answer: Answer) -> float:
    # A poll waits at the server, so it may be sent at once.
    return 0.05 if answer.status == _PENDING else float(answer.header("Retry-After") or 0.2)


def _later(before: Answer, after: Answer) -> Answer:
    """`after` in the place of `before`, timed from the first asking."""
    status = LOST if _is_unknown_claim(after) else after.status
    seconds = after.started + after.seconds - before.started
    head = before.head if status == _PENDING else after.head
    return Answer(before.index, status, seconds, before.started, head, after.body)


def problem_code(answer: Answer) -> str:
    """The machine code of a refusal; "" when the answer has none."""
    try:
        body: Any = msgspec.json.decode(answer.body)
    except msgspec.DecodeError:
        return ""
    return str(body.get("code", "")) if isinstance(body, dict) else ""


def _is_unknown_claim(answer: Answer) -> bool:
    # 404 of a poll means: not in any mailbox, send the request again with the same key.
    return answer.status == 404 and problem_code(answer) == "claim_unknown"

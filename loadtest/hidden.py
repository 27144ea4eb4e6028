"""Can a guesser tell what a 404 hides: that there is no such code, or that there is one which is not for him?

    python -m loadtest.hidden --samples 10000

Every class of hidden answers is asked for in one interleaved run over several connections, each code for the first time, so
that the look-ups it takes are measured too: by both calls, and in both ways a request may come in. All answers must be the
same bytes (but for request id and date); their times are compared by AUC: how often an answer of one class takes longer than
one of another. 0.5 is a coin; 0.02 beside it is all that is allowed. On an embedded stack, without rate limits.
"""

import os
import random
import re
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from itertools import combinations
from secrets import token_hex
from typing import NamedTuple
from uuid import UUID

import asyncpg
import msgspec
import numpy
from rich.console import Console

from frontdoor.tokens import issue
from lastslot.burst import Answer, fire
from lastslot.campaign_office import office_of
from lastslot.running import Stack, address, own_stack
from lastslot.wire import END_OF_HEAD, render
from loadtest.running import run
from loadtest.trial import Wrong
from shared.codes import CodesMinted

TOLERANCE = 0.02
CONNECTIONS = 16

_ADULTS = {">=": [{"var": "attrs.age"}, 18]}
_OF_THIS_REQUEST = re.compile(rb"\r\n(X-Request-Id|Date): [^\r]*")
_AT_ONCE = 10_000


class Told(NamedTuple):
    """What a guesser learnt of one way to ask: which answers there were, and the AUC of each two classes."""

    way: str
    answers: set[bytes]
    auc: Mapping[tuple[str, str], float]

    @property
    def worst(self) -> float:
        """How far the AUC of two classes is from a coin's."""
        return max(abs(each - 0.5) for each in self.auc.values())


class Guesser:
    """Makes codes that are none, or not for him, and asks for each of them once."""

    def __init__(self, stack: Stack, samples: int, dice: random.Random) -> None:
        self._stack = stack
        self._office = office_of(stack)
        self._samples = samples
        self._dice = dice

    async def validate(self, *, chunked: bool = False, connections: int = CONNECTIONS) -> Told:
        """Ask what codes give, without a token."""
        codes = {
            "no such code": self._strangers(),
            "somebody else's": await self._of_others(),
            "for an audience": await self._for_an_audience(),
        }
        requests = {kind: [_validate(code) for code in each] for kind, each in codes.items()}
        return await self._ask("validate", requests, chunked, connections)

    async def redeem(self, *, chunked: bool = False, connections: int = CONNECTIONS) -> Told:
        """Ask for a slot, each time as another user."""
        codes = {"no such code": self._strangers(), "somebody else's": await self._of_others()}
        requests = {kind: [_redeem(code, self._stack.jwt_secret) for code in each] for kind, each in codes.items()}
        return await self._ask("redeem", requests, chunked, connections)

    async def _ask(self, call: str, requests: Mapping[str, Sequence[bytes]], chunked: bool, connections: int) -> Told:
        mixed = [(kind, request) for kind, each in requests.items() for request in each]
        self._dice.shuffle(mixed)
        sent = [_chunked(request) if chunked else request for _, request in mixed]
        host, port = address(self._stack.base_url)
        answers = await fire(host, port, sent, connections, keep_bodies=True)
        seconds: dict[str, list[float]] = {kind: [] for kind in requests}
        for (kind, _), answer in zip(mixed, answers, strict=True):
            seconds[kind].append(answer.seconds)
        return Told(
            f"{call}{', chunked' if chunked else ''}",
            set(map(_without_what_is_of_this_request, answers)),
            {(one, other): auc(seconds[one], seconds[other]) for one, other in combinations(seconds, 2)},
        )

    def _strangers(self) -> list[str]:
        return [f"{self._dice.getrandbits(60):012X}"[:12] for _ in range(self._samples)]

    async def _of_others(self) -> list[str]:
        campaign = await self._pool()
        users = [f"other-{number}" for number in range(self._samples)]
        for first in range(0, self._samples, _AT_ONCE):
            await self._mint(campaign, users=users[first : first + _AT_ONCE])
        return await self._codes(campaign)

    async def _for_an_audience(self) -> list[str]:
        campaign = await self._pool(audience_filter=_ADULTS)
        await self._mint(campaign, count=self._samples)
        return await self._codes(campaign)

    async def _pool(self, **terms: object) -> UUID:
        terms |= {"type": "pool", "discount": {"type": "percent", "value": 10}, "total_limit": None, "timezone": "UTC"}
        return (await self._office.create(f"HIDDEN-{token_hex(4)}".upper(), **terms)).campaign_id

    async def _mint(self, campaign: UUID, **wish: object) -> None:
        await self._office.ask(CodesMinted, "POST", f"/{campaign}/codes", json=wish)

    async def _codes(self, campaign: UUID) -> list[str]:
        connection = await asyncpg.connect(self._stack.postgres_dsn)
        try:
            rows = await connection.fetch("SELECT code FROM codes WHERE campaign_id = $1 AND state <> 'shared'", campaign)
        finally:
            await connection.close()
        return [row["code"] for row in rows]


def auc(one: Sequence[float], other: Sequence[float]) -> float:
    """How likely one of `one` is greater than one of `other` (Mann-Whitney); equals count half."""
    ordered = numpy.sort(numpy.asarray(other))
    asked = numpy.asarray(one)
    below, up_to = numpy.searchsorted(ordered, asked, "left"), numpy.searchsorted(ordered, asked, "right")
    return float((below + up_to).mean() / 2 / len(ordered))


def _validate(code: str) -> bytes:
    return render("POST", "/api/v1/coupons/validate", "door", None, msgspec.json.encode({"code": code}))


def _redeem(code: str, secret: str) -> bytes:
    headers = {"Authorization": f"Bearer {issue(secret, f'guesser-{code}')}", "Idempotency-Key": "guess"}
    return render("POST", "/api/v1/coupons/redeem", "door", headers, msgspec.json.encode({"code": code, "order_id": "1"}))


def _chunked(request: bytes) -> bytes:
    """The same, in a framing that is served by aiohttp's ordinary way."""
    head, _, body = request.partition(END_OF_HEAD)
    head = head.replace(b"Content-Length: %d" % len(body), b"Transfer-Encoding: chunked")
    return head + END_OF_HEAD + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


def _without_what_is_of_this_request(answer: Answer) -> bytes:
    return _OF_THIS_REQUEST.sub(b"", answer.head) + END_OF_HEAD + answer.body


async def hidden(console: Console, given: Namespace) -> None:
    """Compare the hidden answers of both calls, in both ways. Raises Wrong when they can be told apart."""
    async with own_stack() as stack:
        guesser = Guesser(stack, given.samples, random.Random(given.seed))
        for ask in (guesser.validate, guesser.redeem):
            for chunked in (False, True):
                _judge(console, await ask(chunked=chunked, connections=given.connections))


def _judge(console: Console, told: Told) -> None:
    console.print(f"{told.way}: {len(told.answers)} kind(s) of answers")
    for (one, other), each in told.auc.items():
        console.print(f"    {one} / {other}: AUC {each:.3f}")
    for answer in sorted(told.answers)[:8] if len(told.answers) > 1 else ():
        console.print(answer.decode(), highlight=False)
    if len(told.answers) > 1 or told.worst > TOLERANCE:
        raise Wrong(f"what {told.way} hides can be told")


def _arguments() -> Namespace:
    parser = ArgumentParser()
    parser.add_argument("--samples", type=int, default=10_000, help="of each class")
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    # A guesser has ten guesses an hour, and this one needs ten thousand. The stack that is started inherits it.
    os.environ["LASTSLOT_RATE_LIMITS"] = "off"
    run(hidden, _arguments())

"""How long after Redis lost everything somebody wins again, where a million hold something of the same campaign.

    python -m loadtest.rebuild --redemptions 1000000

The redemptions are inserted in SQL, as claims leave them. Then, several times over, Redis is emptied: the owner begins a new
life of the partition and makes the gate anew, with everybody who holds something in it, while a newcomer asks for a slot again
and again. He must win; one of the million must be shown what he has and not "sold out", once nothing is left.
"""

from argparse import ArgumentParser, Namespace
from secrets import token_hex
from statistics import median

from redis.asyncio import Redis
from rich.console import Console

from frontdoor.tokens import issue
from lastslot import crowd
from lastslot.burst import LOST, fire
from lastslot.running import Stack, address, own_stack
from loadtest.growths.redemptions import insert
from loadtest.machine import machine_line
from loadtest.processes import takings
from loadtest.running import run
from loadtest.trial import Wrong
from shared.clock import monotonic

_ASK_AGAIN = (LOST, 503, 202)
_WITHIN_S = 120.0


async def rebuild(console: Console, given: Namespace) -> None:
    """Empty Redis, `rounds` times. Raises Wrong."""
    async with own_stack("--frontdoors", "2", "--workers", "2") as stack:
        console.print(await machine_line(stack, 2, 2), highlight=False, soft_wrap=True)
        code = f"REBUILD-{token_hex(3)}".upper()
        await crowd.open_campaign(stack, code, given.redemptions + given.rounds)
        with console.status(f"inserting {given.redemptions:,} redemptions"):
            await insert(stack, code, given.redemptions)
        before = takings()
        took = [await _emptied(stack, code) for _ in range(given.rounds)]
        spent = {kind: (after.cpu_s - before[kind].cpu_s) / given.rounds for kind, after in takings().items()}
    rounds = ", ".join(f"{seconds:.2f}" for seconds in took)
    console.print(
        f"{given.redemptions:,} redemptions of one campaign: somebody wins {median(took):.2f} s after Redis was emptied "
        f"({rounds}), {given.redemptions / median(took):,.0f} a second",
        highlight=False,
    )
    shares = ", ".join(f"{kind} {seconds:.1f}" for kind, seconds in spent.items())
    console.print(f"seconds of CPU a round: {sum(spent.values()):.1f} ({shares})", highlight=False)
    if median(took) > given.within_s:
        raise Wrong(f"that is more than {given.within_s:.0f} s")


async def _emptied(stack: Stack, code: str) -> float:
    """Seconds from the loss to the next win."""
    async with Redis.from_url(stack.redis_url) as redis:
        began = monotonic()
        await redis.flushall()
    user = f"new_{token_hex(4)}"
    status = await _decided(stack, code, user)
    if status not in (200, 201):
        raise Wrong(f"a newcomer heard {status}")
    return monotonic() - began


async def _decided(stack: Stack, code: str, user: str) -> int:
    """What a user hears who does not give up."""
    host, port = address(stack.base_url)
    request = crowd.redeem(host, code, user, issue(stack.jwt_secret, user))
    until = monotonic() + _WITHIN_S
    while monotonic() < until:
        [answer] = await fire(host, port, [request], 1)
        if answer.status not in _ASK_AGAIN:
            return answer.status
    raise Wrong(f"nobody won within {_WITHIN_S:.0f} s")


def _arguments() -> Namespace:
    parser = ArgumentParser()
    parser.add_argument("--redemptions", type=int, default=10**6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--within-s", type=float, default=10.0, help="longer than this is wrong")
    return parser.parse_args()


if __name__ == "__main__":
    run(rebuild, _arguments())

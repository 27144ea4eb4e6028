"""One scenario played once: a burst on campaigns of its own, something bad in the middle of it, and the account afterwards.

Whoever asks is a well-behaved client: it asks again with the same key until it is told yes or no. So when all have been told,
exactly the slots are sold; and if they are not, those who come later are asked to take the rest.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, TypeAlias

import aiohttp
import asyncpg
import msgspec

from shared.audit import audit
from shared.clock import monotonic, utc_now
from tests.acceptance.client import Client
from tests.acceptance.history import Ask, Reply
from tests.soak.result import Result
from tests.soak.stage import Place, Stage
from tests.soak.watch import watched

#: How many come a second: slowly, so that something is left to be sold after a fault, or almost all at once.
_PACES = (50, 100, 400)
#: Answers that are not the last word.
NOT_YET = (202, 503)
_SETTLED_WITHIN_S = 90.0
_LATER = 40

_LETTERS = "SELECT count(*) FROM dead_letters"
_PARTITION = "SELECT partition_no FROM campaign_slices WHERE campaign_id = $1"
_NEXT_COMMITS = (
    "SELECT min(at) FROM ledger WHERE kind = 'claimed' AND at > $1 AND partition_no = ANY ($2) GROUP BY partition_no"
)
_NEXT_WINNERS = "SELECT min(claimed_at) FROM redemptions WHERE claimed_at > $1 AND campaign_id = ANY ($2) GROUP BY campaign_id"


class Run:
    """What a scenario sees of its run, and does to it."""

    def __init__(self, stage: Stage, client: Client, demand: "Demand", dice: random.Random) -> None:
        self.stage, self.client, self.demand, self.dice = stage, client, demand, dice
        self.campaigns: list[dict[str, Any]] = []
        self.partitions: list[int] = []
        self.base_url: str | None = None
        #: How a client asks until it is told; a scenario may know worse ones.
        self.ask: Callable[[Ask], Awaitable[Reply]] = self.insist
        self.wrong: list[str] = []
        self.missed = False
        self._losses: list[tuple[datetime, list[int]]] = []
        self._ends: list[datetime] = []
        self._sold = 0
        self._letters: list[int] = []
        self._selling = asyncio.Condition()

    async def insist(self, ask: Ask) -> Reply:
        return await self.client.insist(ask, base_url=self.base_url, within_s=_SETTLED_WITHIN_S)

    async def sold(self, share: float) -> None:
        """Wait until this share of all slots has been acknowledged."""
        async with self._selling:
            await self._selling.wait_for(lambda: self._sold >= share * self.demand.slots * self.demand.campaigns)

    def lost_owner(self, at: datetime, partitions: Sequence[int]) -> None:
        """These partitions lost their owner at that moment."""
        self._losses.append((at, [partition for partition in partitions if partition in self.partitions]))

    def over(self) -> None:
        """The fault has ended."""
        self._ends.append(utc_now())

    async def launch(self, owner: Place | None) -> None:
        """Create the campaigns; of an `owner`, if any is named, in partitions of its own."""
        self._letters = await self.fetch(_LETTERS)
        while len(self.campaigns) < self.demand.campaigns:
            campaign = await self.client.campaign(total_limit=self.demand.slots, **self.demand.terms)
            [partition] = await self.fetch(_PARTITION, campaign["campaign_id"])
            if owner is None or (await self.stage.owners()).get(partition) == owner.shard:
                self.campaigns.append(campaign)
                self.partitions.append(partition)

    async def burst(self) -> None:
        """Everybody comes, one after the other, and nobody waits for those before him."""
        people = range(self.demand.people)
        asks = [self.client.ask(campaign, f"user-{number}") for number in people for campaign in self.campaigns]
        pace = self.demand.per_s or self.dice.choice(_PACES)
        begins = monotonic()

        async def one(number: int, ask: Ask) -> None:
            await asyncio.sleep(begins + number / pace - monotonic())
            reply = await self.ask(ask)
            if reply.status not in (200, 201) and reply.code != "exhausted":
                self.wrong.append(f"answered {reply.status} {reply.code}")
            if reply.status in (200, 201):
                async with self._selling:
                    self._sold += 1
                    self._selling.notify_all()

        async with asyncio.TaskGroup() as asking:
            for number, ask in enumerate(asks):
                asking.create_task(one(number, ask))

    async def winners_ask_again(self) -> None:
        """Who has won hears so again."""
        replies = await asyncio.gather(*map(self.insist, self.client.history.successes()))
        told = Counter(reply.status for reply in replies if reply.status != 200)
        if told:
            self.wrong.append(f"winners were answered {dict(told)}")

    async def others_come(self) -> None:
        """Whatever may be left is asked for, until nothing is."""
        for campaign in self.campaigns:
            for number in range(_LATER):
                reply = await self.insist(self.client.ask(campaign, f"later-{number}"))
                if reply.code == "exhausted":
                    break

    async def account(self, name: str, seed: int, seconds: float, seen: list[str]) -> Result:
        """What it came to, as committed."""
        verdict = await self.client.history.verdict(self.stage.stack.postgres_dsn)
        proofs = [await self.client.proof(campaign) for campaign in self.campaigns]
        report = await audit(self.stage.stack.postgres_dsn)
        wrong = [f"{words}, {times} times" for words, times in Counter(self.wrong).items()]
        wrong += [f"{fault.kind}: {fault.where}: {fault.detail}" for fault in report.faults]
        wrong += ["refused after a success"] * bool(verdict.refused_after)
        wrong += ["a claim was put aside"] * (await self.fetch(_LETTERS) != self._letters)
        return Result(
            scenario=name,
            seed=seed,
            acked=len(self.client.history.successes()),
            lost=len(verdict.lost),
            over=sum(max(0, proof.active - self.demand.slots) for proof in proofs) + len(seen),
            double=len(verdict.doubled) + len(verdict.shared) + sum(proof.active - proof.users for proof in proofs),
            under=sum(max(0, self.demand.slots - proof.active) for proof in proofs) + len(verdict.kept_from),
            takeover_s=[gap for at, lost in self._losses for gap in await self._gaps(at, _NEXT_COMMITS, lost)],
            recovery_s=[gap for at in self._ends for gap in await self._gaps(at, _NEXT_WINNERS, self._named())],
            seconds=seconds,
            wrong=wrong,
            missed=self.missed,
        )

    async def _gaps(self, at: datetime, statement: str, going_on: Sequence[Any]) -> list[float]:
        """How long after that moment each of these went on; those that had nothing left to do are passed over."""
        return [(commit - at).total_seconds() for commit in await self.fetch(statement, at, going_on)]

    def _named(self) -> list[str]:
        return [campaign["campaign_id"] for campaign in self.campaigns]

    async def fetch(self, statement: str, *arguments: Any) -> list[Any]:
        """The first column, straight from the database."""
        connection = await asyncpg.connect(self.stage.postgres.url, timeout=10)
        try:
            return [row[0] for row in await connection.fetch(statement, *arguments)]
        finally:
            connection.terminate()


@asynccontextmanager
async def prepared(stage: Stage, scenario: "Scenario", seed: int) -> AsyncIterator[Run]:
    """A run on a stage that is whole, with a client that connects anew for each call, now to this front door, now to that."""
    await stage.heal()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True)) as session:
        yield Run(stage, Client(stage.stack, session), scenario.demand, random.Random(seed))


async def play(stage: Stage, scenario: "Scenario", seed: int) -> Result:
    """Play a scenario once. What breaks is part of the result: the next one can be played."""
    began = monotonic()
    try:
        async with prepared(stage, scenario, seed) as run:
            owner = await scenario.prepare(run)
            await run.launch(owner)
            async with watched(
                stage.postgres.url, [campaign["campaign_id"] for campaign in run.campaigns], run.demand.slots
            ) as seen:
                async with asyncio.TaskGroup() as happening:
                    harm = happening.create_task(scenario.harm(run))
                    await run.burst()
                    done, _ = await asyncio.wait([harm], timeout=scenario.within_s)
                    if not done:
                        run.missed = harm.cancel()
                stage.let_go()
                await run.winners_ask_again()
                await run.others_come()
            return await run.account(scenario.name, seed, monotonic() - began, seen)
    except Exception as error:
        return Result(scenario=scenario.name, seed=seed, seconds=monotonic() - began, wrong=[_words(error)])


def _words(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(sorted({_words(each) for each in error.exceptions}))
    return f"{type(error).__name__}: {error}"[:300]


async def _nothing(run: Run) -> Place | None:
    return None


class Demand(msgspec.Struct, frozen=True):
    """How many campaigns, and of each its slots and who wants one; how many come a second (None: drawn for each run); what else
    the campaigns are to be."""

    campaigns: int = 2
    slots: int = 120
    people: int = 200
    per_s: int | None = None
    terms: dict[str, Any] = {}


#: What happens to a run, from its beginning on.
Harm: TypeAlias = Callable[[Run], Coroutine[Any, Any, None]]


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """`prepare` makes ready, and names the worker whose partitions the campaigns shall live in; `harm` does what happens, and
    may take so long after the burst. One that is not `brief` is too long for two minutes of many."""

    name: str
    harm: Harm
    prepare: Callable[[Run], Awaitable[Place | None]] = _nothing
    demand: Demand = Demand()
    within_s: float = 20.0
    brief: bool = True

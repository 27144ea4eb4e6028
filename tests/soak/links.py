"""Every kind of harm to every kind of link: between front doors or workers and Redis or Postgres."""

import asyncio
from collections.abc import Callable, Iterator

from tests.proxy import Link
from tests.soak.crashes import ADMIT, COMMIT
from tests.soak.runs import Harm, Run, Scenario

#: What a link is told, and for how long it stays so.
_HARMS: dict[str, tuple[Callable[[Run, Link], None], float]] = {
    "40 ms late": (lambda run, link: link.delay(0.02), 2.0),
    "silent on the way there": (lambda run, link: link.silence("there"), 2.5),
    "silent on the way back": (lambda run, link: link.silence("back"), 2.5),
    "reset": (lambda run, link: link.reset(), 0.1),
    "refusing": (lambda run, link: link.refuse(), 1.5),
    "cut within a request": (lambda run, link: link.cut_after(run.dice.randint(1, 3_000), "there"), 0.5),
    "cut within a reply": (lambda run, link: link.cut_after(run.dice.randint(1, 3_000), "back"), 0.5),
    "losing a reply": (lambda run, link: link.swallow(_asked(run, link)), 0.5),
}


def links() -> Iterator[Scenario]:
    """Each harm to each link; both processes of a kind suffer it."""
    for role in ("front doors", "workers"):
        for store in ("Redis", "Postgres"):
            for words, (harm, seconds) in _HARMS.items():
                yield Scenario(name=f"{role}–{store} {words}", harm=_harmed(role, store, harm, seconds))


def _harmed(role: str, store: str, harm: Callable[[Run, Link], None], seconds: float) -> Harm:
    async def act(run: Run) -> None:
        await run.sold(run.dice.uniform(0.1, 0.5))
        places = run.stage.doors if role == "front doors" else run.stage.workers
        harmed = [place.redis if store == "Redis" else place.postgres for place in places]
        for link in harmed:
            harm(run, link)
        await asyncio.sleep(seconds)
        for link in harmed:
            link.heal()
        run.over()

    return act


def _asked(run: Run, link: Link) -> bytes:
    """A request whose reply matters on this link."""
    stage = run.stage
    if link in [place.postgres for place in stage.workers]:
        return COMMIT
    return ADMIT if link in [place.redis for place in stage.doors] else b"\r\n"

"""Two releases side by side, as in every rolling restart: this one, and a next one, which says more than this one knows.

What is said in passing (entries of mailboxes, outcomes, copies of campaigns) may be written by either and read by either: who
knows more reads what is not there as nothing said, who knows less passes over what it does not know.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.mutants.mutant import SOURCE, Edit, Mutant
from tests.soak.runs import Demand, Run, Scenario
from tests.soak.stage import Place


def _with_a_field_more(path: str, last: str, field: str) -> Edit:
    return Edit(path, f"    {last}\n", f"    {last}\n    {field}\n")


#: One field more in whatever passes from process to process.
_NEXT = Mutant(
    "next-release",
    "none",
    (
        _with_a_field_more("shared/domain/operations.py", 'typed: str = ""', 'channel: str = "app"'),
        _with_a_field_more("shared/domain/outcomes.py", "about: str | None = None", 'hint: str = "later"'),
        _with_a_field_more("shared/domain/redemption.py", "spelling: str | None = None", "gift: bool = True"),
        _with_a_field_more("shared/domain/discount.py", "value: int = 0\n    currency: str | None = None", "most: int = 9"),
        _with_a_field_more("shared/domain/campaign.py", "category: str | None = None", "weight: int = 1"),
        _with_a_field_more("shared/domain/campaign.py", "layout: int = 0", "region: str = 'home'"),
    ),
    "",
)
#: So many that each kind of worker owns some, for each kind of front door.
_MANY = Demand(campaigns=4, slots=60, people=100, per_s=100, terms={"stacking_rules": {"excludes": ["OTHER*"]}})


def releases() -> Iterator[Scenario]:
    """One process of each kind is of the next release, so that each kind meets each other both ways; then it is taken back."""
    yield Scenario(
        name="a next release beside this one, and taken back", prepare=_some_are_newer, harm=_taken_back, demand=_MANY
    )


async def _some_are_newer(run: Run) -> None:
    source = _next_release(run.stage.directory / "next")
    path = os.pathsep.join(filter(None, (str(source), os.environ.get("PYTHONPATH"))))
    for place in _newer(run):
        await place.replace(PYTHONPATH=path)
    await run.stage.whole()


async def _taken_back(run: Run) -> None:
    await run.sold(0.6)
    for place in _newer(run):
        await place.replace()
    run.over()


def _newer(run: Run) -> list[Place]:
    return [run.stage.workers[0], run.stage.doors[0]]


def _next_release(source: Path) -> Path:
    if not source.exists():
        shutil.copytree(SOURCE, source, ignore=shutil.ignore_patterns("__pycache__"))
        for path, text in _NEXT.sources().items():
            (source / path).write_text(text)
    return source

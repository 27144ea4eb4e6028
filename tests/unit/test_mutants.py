"""The table of mutants is of this source: each would change what it means to, and names a test that there is."""

import pytest

from tests.mutants.mutant import ROOT, Mutant
from tests.mutants.table import MUTANTS

#: What costs somebody a coupon where it is done.
MISTAKES = {
    "reply before commit",
    "plain epoch read",
    "count(*) guard",
    "MAXLEN on the mailbox",
    "serial outbox poll",
    "retries on",
    "cursor without incarnation",
    "rebuild while admitting",
    "cursor moved before commit",
    "user key without campaign",
    "ack from Redis",
    "certificate without the winners' set",
    "certificate while claims are pending",
    "counter moved by what was decided",
    "settle that adds",
    "settle accepted when stale",
    "window checked before replay",
    "inserts before releases",
    "freed slot given out before the certificate ran out",
    "certificate of a life that may be over",
    "refusal by a life that is over",
    "decided beside a living gate",
    "a gate that forgot its winners is warm",
    "a no to who has a claim in the mailbox",
    "a no to whom there is a slot for",
    "refusal after a success",
}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_changes_what_it_means_to(mutant: Mutant) -> None:
    for path, text in mutant.sources().items():
        assert text != (ROOT / "src" / path).read_text()


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_names_a_test_that_there_is(mutant: Mutant) -> None:
    path, _, test = mutant.test.partition("::")
    assert f"def {test}(" in (ROOT / path).read_text()


def test_every_mistake_is_made_and_mutants_are_told_apart() -> None:
    assert {mutant.mistake for mutant in MUTANTS} == MISTAKES
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)

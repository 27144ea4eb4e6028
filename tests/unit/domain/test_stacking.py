"""What may stand beside what on one order, and that it is the same whoever came first."""

from uuid import UUID

import msgspec
import pytest

from shared.domain.campaign import StackingRules
from shared.domain.code import Code
from shared.domain.ids import CampaignId
from shared.domain.stacking import Stacked, conflict


def stacked(code: str, rules: StackingRules | None = None, of: str | None = None) -> Stacked:
    return Stacked(Code(code), None if of is None else Code(of), rules)


CASES = [
    ("no rules at all", stacked("A"), stacked("B"), False),
    ("rules without a demand", stacked("A", StackingRules()), stacked("B", StackingRules()), False),
    ("one is exclusive", stacked("A", StackingRules(exclusive=True)), stacked("B"), True),
    ("a glob fits", stacked("A", StackingRules(("SAVE*",))), stacked("SAVE10"), True),
    ("a glob does not fit", stacked("A", StackingRules(("SAVE*",))), stacked("XSAVE10"), False),
    ("a bracket is a bracket", stacked("A", StackingRules(("VIP[0-9]",))), stacked("VIP[0-9]"), True),
    ("no set of characters", stacked("A", StackingRules(("VIP[0-9]",))), stacked("VIP7"), False),
    ("one character", stacked("A", StackingRules(("VIP?",))), stacked("VIP7"), True),
    ("codes are told apart by case", stacked("A", StackingRules(("save*",))), stacked("SAVE10"), False),
    ("the code of a pool's campaign", stacked("A", StackingRules(("POOL",))), stacked("X7Q2", of="POOL"), True),
    ("a code of a pool", stacked("A", StackingRules(("X*",))), stacked("X7Q2", of="POOL"), True),
    ("the same category", stacked("A", StackingRules(category="s")), stacked("B", StackingRules(category="s")), True),
    ("another category", stacked("A", StackingRules(category="s")), stacked("B", StackingRules(category="t")), False),
    ("a category and none", stacked("A", StackingRules(category="s")), stacked("B", StackingRules()), False),
]


@pytest.mark.parametrize(("one", "other", "apart"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_rules_bind_both_ways(one: Stacked, other: Stacked, apart: bool) -> None:
    assert conflict(one, [other]) == (other if apart else None)
    assert conflict(other, [one]) == (one if apart else None)


def test_the_first_code_that_is_in_the_way_is_named() -> None:
    others = [stacked("FREE"), stacked("SAVE1"), stacked("SAVE2")]
    assert conflict(stacked("A", StackingRules(("SAVE*",))), others) == others[1]


def test_a_campaign_is_not_in_its_own_way() -> None:
    rules, campaign = StackingRules(("*",), category="s"), CampaignId(UUID(int=1))
    one, two = Stacked(Code("A"), Code("POOL"), rules, campaign), Stacked(Code("B"), Code("POOL"), rules, campaign)
    assert conflict(one, [two]) is None
    another = msgspec.structs.replace(two, campaign_id=CampaignId(UUID(int=2)))
    assert conflict(one, [two, another]) == another


def test_an_exclusive_code_goes_with_no_other_of_its_campaign() -> None:
    rules, campaign = StackingRules(exclusive=True), CampaignId(UUID(int=1))
    one, two = Stacked(Code("A"), Code("POOL"), rules, campaign), Stacked(Code("B"), Code("POOL"), rules, campaign)
    assert conflict(one, [two]) == two
    assert conflict(one, [one]) is None, "how often one code may be used is for the limits to say"


def test_an_exclusive_code_alone_is_in_nobodys_way() -> None:
    assert conflict(stacked("A", StackingRules(exclusive=True)), []) is None

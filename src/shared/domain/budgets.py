"""When a slice has nothing left and its siblings have: what it needs of them for the claims at hand."""

from collections.abc import Sequence
from typing import NamedTuple

from shared.domain import discount
from shared.domain.decide import Decision
from shared.domain.facts import Facts, SliceFacts, SliceKey
from shared.domain.outcomes import Granted, Heard, Refusal, Refused, Replayed

_FOR_LACK = (Refusal.EXHAUSTED, Refusal.BUDGET_INSUFFICIENT)


class Want(NamedTuple):
    """What a slice is short of: slots, and money in minor units."""

    slots: int
    amount: int


def wants(decisions: Sequence[Decision], facts: Facts) -> dict[SliceKey, Want]:
    """What slices are short of for claims that were refused for want of it, where their siblings have some of it.

    Of what nobody has, nothing is wanted: such claims are refused with good reason.
    """
    lacking: dict[SliceKey, list[Decision]] = {}
    for decision in decisions:
        key = (decision.claim.campaign_id, decision.claim.slice_no)
        terms = facts.slices.get(key)
        if terms is not None and terms.siblings and _lacks(decision.outcome):
            lacking.setdefault(key, []).append(decision)
    found = {key: _want(facts.slices[key], few, _taken(key, decisions)) for key, few in lacking.items()}
    return {key: want for key, want in found.items() if any(want)}


def _lacks(outcome: Heard) -> bool:
    match outcome:
        case Refused(reason) | Replayed(_, Refusal() as reason):
            return reason in _FOR_LACK
        case _:
            return False


def _taken(key: SliceKey, decisions: Sequence[Decision]) -> Want:
    """What the batch takes of a slice."""
    granted = [each.outcome.redemption for each in decisions if isinstance(each.outcome, Granted)]
    ours = [row for row in granted if (row.campaign_id, row.slice_no) == key]
    return Want(len(ours), sum(row.amount for row in ours))


def _want(terms: SliceFacts, lacking: Sequence[Decision], taken: Want) -> Want:
    # A claim that costs nothing is granted all the same only while there is some money left.
    amounts = [max(1, discount.amount(terms.discount, decision.claim.subtotal)) for decision in lacking]
    slots_there = sum(other.free for other in terms.siblings)
    amount_there = sum(other.amount_free for other in terms.siblings)
    slots = _short([1] * len(lacking), _left(terms.budget, terms.claimed + taken.slots), slots_there)
    amount = _short(amounts, _left(terms.amount_budget, terms.amount_claimed + taken.amount), amount_there)
    if slots is None or amount is None:
        # Without the one the other would be of no use.
        return Want(0, 0)
    return Want(slots, amount)


def _left(budget: int | None, taken: int) -> int | None:
    return None if budget is None else budget - taken


def _short(sought: Sequence[int], here: int | None, there: int) -> int | None:
    """What is wanted of what is `there` for claims of which each seeks so much. None: all of it would serve none of them."""
    if here is None:
        return 0
    if here + there < min(sought):
        return None
    return max(0, min(sum(sought) - here, there))

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
    slots = _short(len(lacking), terms.budget, terms.claimed + taken.slots)
    sought = sum(discount.amount(terms.discount, decision.claim.subtotal) for decision in lacking)
    amount = _short(max(1, sought), terms.amount_budget, terms.amount_claimed + taken.amount)
    others = terms.siblings
    slots_there = sum(other.free for other in others) if slots else 0
    amount_there = sum(other.amount_free for other in others) if amount else 0
    if (slots and not slots_there) or (amount and not amount_there):
        # Without the one the other would be of no use.
        return Want(0, 0)
    return Want(slots, amount)


def _short(sought: int, budget: int | None, taken: int) -> int:
    return 0 if budget is None else max(0, sought - (budget - taken))

"""What a gate is set to, computed from what was just committed."""

from collections.abc import Mapping, Sequence

import msgspec

from shared.domain.campaign import closed_by_status
from shared.domain.decide import Decision, Facts, Holder, SliceFacts, SliceKey
from shared.domain.ids import CampaignId, UserId
from shared.domain.outcomes import Granted, Refusal, Refused, Replayed


class Settlement(msgspec.Struct, frozen=True):
    """The gate of one campaign's slice as the ledger's row `seq` left it.

    `free`: slots that can be had (see `free_slots`). `closed`: why nothing is given whatever is free. `users`: active
    redemptions of each user whose number may have changed (all of them, 0 included, when a gate is seeded).
    """

    campaign_id: CampaignId
    seq: int
    free: int | None
    per_user_limit: int
    closed: Refusal | None
    users: dict[UserId, int]


def free_slots(budget: int | None, claimed: int, amount_budget: int | None, amount_claimed: int) -> int | None:
    """Slots that nobody holds, None for any number; none once the money is spent, whatever number of slots is left."""
    if amount_budget is not None and amount_claimed >= amount_budget:
        return 0
    return None if budget is None else budget - claimed


class Counts(msgspec.Struct, frozen=True):
    """A slice's counters: slots that are held, and money that is given."""

    claimed: int
    amount_claimed: int


def settlements(facts: Facts, decisions: Sequence[Decision], moved: Mapping[SliceKey, Counts], seq: int) -> list[Settlement]:
    """What the gates of a committed batch are set to.

    `moved` is what the commit returned for the slices it moved; the others stand as the facts say.
    """
    users = _holders(facts, decisions)
    return [
        Settlement(
            campaign_id=key[0],
            seq=seq,
            free=_free(terms, moved.get(key)),
            per_user_limit=terms.per_user_limit,
            closed=closed_by_status(terms.status),
            users={user: active for (campaign, user), active in users.items() if campaign == key[0]},
        )
        for key, terms in facts.slices.items()
    ]


def _free(terms: SliceFacts, moved: Counts | None) -> int | None:
    counts = moved or terms
    return free_slots(terms.budget, counts.claimed, terms.amount_budget, counts.amount_claimed)


def _holders(facts: Facts, decisions: Sequence[Decision]) -> dict[Holder, int]:
    """Active redemptions, after the batch, of everybody in it who holds or ever held something."""
    active: dict[Holder, int] = {}
    for claim, outcome in ((decision.claim, decision.outcome) for decision in decisions):
        holder = (claim.campaign_id, claim.user_id)
        before = active.get(holder, len(facts.uses.get(holder, ())))
        match outcome:
            case Granted():
                active[holder] = before + 1
            case Replayed() | Refused(Refusal.ALREADY_REDEEMED) | Refused(Refusal.PERIOD_LIMIT_REACHED):
                active[holder] = before
            case Refused():
                pass
    return active

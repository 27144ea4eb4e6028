"""What a gate is set to, computed from what was just committed."""

from collections.abc import Mapping, Sequence
from typing import Self

import msgspec

from shared.domain.campaign import CampaignStatus, closed_by_status
from shared.domain.decide import Decision
from shared.domain.facts import Facts, Sibling, SliceFacts, SliceKey
from shared.domain.ids import CampaignId, PartitionNo, UserId
from shared.domain.outcomes import Granted, Misrouted, Refusal, Refused, Replayed
from shared.domain.slices import slice_of


class Settlement(msgspec.Struct, frozen=True):
    """The gate of one campaign's slice as the ledger's row `seq` left it.

    `free`: slots that can be had, None for any number, in whichever slice: one that has nothing left pulls what the others
    have. `closed`: why nothing is given whatever is free. `users`: active redemptions of each user whose number may have
    changed (all of them, 0 included, when a gate is seeded). `dry`: the campaign's own code gives nothing, whatever is free:
    of its pool only codes are left that were made for somebody. `layout`: how the campaign is cut (see `campaign.Slice`).
    `held`: everybody waits, because slices are about to move.
    """

    campaign_id: CampaignId
    seq: int
    free: int | None
    per_user_limit: int
    closed: Refusal | None
    users: dict[UserId, int]
    dry: bool = False
    layout: int = 0
    held: bool = False

    @classmethod
    def of(
        cls,
        campaign_id: CampaignId,
        seq: int,
        *,
        budget: int | None,
        claimed: int,
        amount_budget: int | None,
        amount_claimed: int,
        per_user_limit: int,
        status: CampaignStatus,
        users: dict[UserId, int],
        dry: bool,
        layout: int = 0,
        held: bool = False,
    ) -> Self:
        """For a campaign of which `claimed` slots of `budget` (None: unlimited) are held, its money, and its terms."""
        free = _free_slots(budget, claimed, amount_budget, amount_claimed)
        return cls(campaign_id, seq, free, per_user_limit, closed_by_status(status), users, dry, layout, held)

    @classmethod
    def blank(cls, campaign_id: CampaignId) -> Self:
        """Nothing to be set: for a gate that is wiped."""
        return cls(campaign_id, 0, 0, 1, None, {})

    @property
    def terms(self) -> tuple[str, str, str, str, str]:
        """As a gate writes them: free slots, per-user limit, why closed (or "held") or "", whether dry, layout."""
        free = "unlimited" if self.free is None else str(self.free)
        closed = "" if self.closed is None else self.closed.value
        return free, str(self.per_user_limit), "held" if self.held else closed, str(int(self.dry)), str(self.layout)


class Counts(msgspec.Struct, frozen=True):
    """A slice's counters: slots that are held, and money that is given."""

    claimed: int
    amount_claimed: int


def settlements(
    facts: Facts, decisions: Sequence[Decision], moved: Mapping[SliceKey, Counts], seqs: Mapping[PartitionNo, int]
) -> dict[PartitionNo, list[Settlement]]:
    """What the gates of committed claims are set to, by where they are.

    `moved` is what the commit returned for the slices it moved; the others stand as the facts say. `seqs`: what the ledgers of
    the partitions have reached.
    """
    users = _holders(facts, decisions)
    taken = {decision.outcome.redemption.code_id for decision in decisions if isinstance(decision.outcome, Granted)}
    found: dict[PartitionNo, list[Settlement]] = {partition: [] for partition in seqs}
    for (campaign, slice_no), terms in facts.slices.items():
        parts: list[Counts | SliceFacts | Sibling] = [moved.get((campaign, slice_no), terms)]
        parts += [moved.get((campaign, other.slice_no), other) for other in terms.siblings]
        served = users.get(campaign, {})
        if terms.siblings:
            served = {user: active for user, active in served.items() if slice_of(user, terms.slices) == slice_no}
        settlement = Settlement.of(
            campaign,
            seqs[terms.partition_no],
            budget=_sum([terms.budget, *(other.budget for other in terms.siblings)]),
            claimed=sum(part.claimed for part in parts),
            amount_budget=_sum([terms.amount_budget, *(other.amount_budget for other in terms.siblings)]),
            amount_claimed=sum(part.amount_claimed for part in parts),
            per_user_limit=terms.per_user_limit,
            status=terms.status,
            users=served,
            dry=terms.type == "pool"
            and terms.code is not None
            and all(code.code_id in taken for code in facts.free_codes.get(campaign, ())),
            layout=terms.layout,
            held=terms.held,
        )
        found[terms.partition_no].append(settlement)
    return found


def _free_slots(budget: int | None, claimed: int, amount_budget: int | None, amount_claimed: int) -> int | None:
    """Slots that nobody holds, None for any number; none once the money is spent, whatever number of slots is left."""
    if amount_budget is not None and amount_claimed >= amount_budget:
        return 0
    return None if budget is None else budget - claimed


def _sum(budgets: Sequence[int | None]) -> int | None:
    """What budgets make together; None, no end, when they are none."""
    bounded = [budget for budget in budgets if budget is not None]
    return sum(bounded) if len(bounded) == len(budgets) else None


def _holders(facts: Facts, decisions: Sequence[Decision]) -> dict[CampaignId, dict[UserId, int]]:
    """Active redemptions, afterwards, of everybody among the claims' users who holds or ever held something."""
    active: dict[CampaignId, dict[UserId, int]] = {}
    for claim, outcome in ((decision.claim, decision.outcome) for decision in decisions):
        of, user = active.setdefault(claim.campaign_id, {}), claim.user_id
        before = of.get(user, len(facts.uses.get((claim.campaign_id, user), ())))
        match outcome:
            case Granted():
                of[user] = before + 1
            case Replayed() | Refused(Refusal.ALREADY_REDEEMED) | Refused(Refusal.PERIOD_LIMIT_REACHED):
                of[user] = before
            case Refused() | Misrouted():
                pass
    return active

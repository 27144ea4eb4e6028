"""The decision: claims and what is committed go in, outcomes and the rows they imply come out.

Nothing here does I/O, reads a clock or draws a number, so the same facts always give the same decisions. The guards stand
in one order of precedence: a replay first (a refusal never outranks it), then the campaign, then the user, then the slot;
after the last guard the claim is granted.
"""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from shared.domain import discount
from shared.domain.campaign import CampaignStatus, closed_by_status, closed_by_window
from shared.domain.discount import Discount
from shared.domain.ids import CampaignId, ClaimId, UserId
from shared.domain.operations import SubmitClaim
from shared.domain.outcomes import Granted, Outcome, Refusal, Refused, Replayed
from shared.domain.redemption import Redemption, State

SliceKey = tuple[CampaignId, int]
Holder = tuple[CampaignId, UserId]


class SliceFacts(msgspec.Struct, frozen=True):
    """A slice and the terms of its campaign, as committed. `budget` None: unlimited."""

    budget: int | None
    claimed: int
    status: CampaignStatus
    starts_at: datetime | None
    ends_at: datetime | None
    per_user_limit: int
    discount: Discount
    code_id: int


class Facts(msgspec.Struct, frozen=True):
    """All that a batch of claims is decided on, read after the partition was locked. `now` is Postgres's clock then."""

    now: datetime
    slices: dict[SliceKey, SliceFacts]
    redemptions: dict[ClaimId, Redemption]
    uses: dict[Holder, frozenset[int]]


class Decision(msgspec.Struct, frozen=True):
    """A claim and what became of it."""

    claim: SubmitClaim
    outcome: Outcome


def decide(claims: Iterable[SubmitClaim], facts: Facts) -> list[Decision]:
    """Decide claims in the order in which they came; each sees what the ones before it took."""
    working = _Working(facts)
    return [Decision(claim, working.decide(claim)) for claim in claims]


class _Working:
    """The facts, moved on by each grant."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._granted: dict[ClaimId, Redemption] = {}
        self._uses: dict[Holder, set[int]] = {}
        self._taken: dict[SliceKey, int] = {}

    def decide(self, claim: SubmitClaim) -> Outcome:
        known = self._facts.redemptions.get(claim.claim_id) or self._granted.get(claim.claim_id)
        if known is not None:
            return _replay(claim, known)
        key = (claim.campaign_id, claim.slice_no)
        terms = self._facts.slices.get(key)
        if terms is None:
            return Refused(Refusal.UNKNOWN_CODE)
        closed = closed_by_status(terms.status) or closed_by_window(terms.starts_at, terms.ends_at, self._facts.now)
        if closed is not None:
            return Refused(closed)
        uses = self._uses_of((claim.campaign_id, claim.user_id))
        if len(uses) >= terms.per_user_limit:
            return Refused(Refusal.ALREADY_REDEEMED)
        taken = self._taken.get(key, terms.claimed)
        if terms.budget is not None and taken >= terms.budget:
            return Refused(Refusal.EXHAUSTED)
        # After this point it must succeed.
        use_no = next(n for n in range(1, terms.per_user_limit + 1) if n not in uses)
        uses.add(use_no)
        self._taken[key] = taken + 1
        redemption = _redemption(claim, terms, use_no, self._facts.now)
        self._granted[claim.claim_id] = redemption
        return Granted(redemption)

    def _uses_of(self, holder: Holder) -> set[int]:
        uses = self._uses.get(holder)
        if uses is None:
            uses = self._uses[holder] = set(self._facts.uses.get(holder, ()))
        return uses


def _replay(claim: SubmitClaim, known: Redemption) -> Outcome:
    if known.user_id != claim.user_id or known.body_hash != claim.body_hash:
        return Refused(Refusal.KEY_REUSED)
    return Replayed(known)


def _redemption(claim: SubmitClaim, terms: SliceFacts, use_no: int, now: datetime) -> Redemption:
    return Redemption(
        redemption_id=claim.claim_id,
        campaign_id=claim.campaign_id,
        slice_no=claim.slice_no,
        code_id=terms.code_id,
        code=claim.code,
        user_id=claim.user_id,
        use_no=use_no,
        user_limit=terms.per_user_limit,
        order_id=claim.order_id,
        discount_applied=discount.apply(terms.discount, claim.subtotal),
        idempotency_key=claim.idempotency_key,
        body_hash=claim.body_hash,
        state=State.CLAIMED,
        claimed_at=now,
    )

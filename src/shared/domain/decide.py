"""The decision: claims and what is committed go in, outcomes and the rows they imply come out.

Nothing here does I/O, reads a clock or draws a number, so the same facts always give the same decisions. The guards stand
in one order of precedence: a replay first (a refusal never outranks it), then the route, then the campaign, then the user, then
the cart, then the code, then the slot and the money; after the last guard the claim is granted.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from shared.domain import discount, periods
from shared.domain.campaign import closed_by_status, closed_by_subtotal, closed_by_window
from shared.domain.facts import CodeFacts, Facts, Holder, SliceFacts, SliceKey, Use
from shared.domain.ids import ClaimId, PartitionNo
from shared.domain.operations import SubmitClaim
from shared.domain.outcomes import Granted, Heard, Misrouted, Outcome, Refusal, Refused, Replayed
from shared.domain.periods import Period
from shared.domain.redemption import Redemption, State, is_open_hold
from shared.domain.slices import slice_of
from shared.domain.stacking import Stacked, conflict


class Decision(msgspec.Struct, frozen=True):
    """A claim and what became of it."""

    claim: SubmitClaim
    outcome: Heard


def decide(claims: Iterable[SubmitClaim], facts: Facts) -> list[Decision]:
    """Decide one partition's claims in the order in which they came; each sees what the ones before it took."""
    working = _Working(facts)
    return [Decision(claim, working.decide(claim, working.slices)) for claim in claims]


def decide_together(mail: Mapping[PartitionNo, Iterable[SubmitClaim]], facts: Facts) -> dict[PartitionNo, list[Decision]]:
    """Decide the claims of several partitions, one partition after the other; each sees what those before it took anywhere.

    A claim is still served only by what lives where it lay: who routed it elsewhere is to route it again.
    """
    working = _Working(facts)
    return {
        partition: [Decision(claim, working.decide(claim, here)) for claim in claims]
        for partition, claims in mail.items()
        for here in [{key: part for key, part in working.slices.items() if part.terms.partition_no == partition}]
    }


class _Slice:
    """A slice, moved on by each grant."""

    __slots__ = ("claimed", "free_codes", "spent", "terms")

    def __init__(self, terms: SliceFacts, free_codes: Iterable[CodeFacts]) -> None:
        self.terms = terms
        self.claimed = terms.claimed
        self.spent = terms.amount_claimed
        self.free_codes = deque(free_codes)

    def short(self, amount: int) -> Refusal | None:
        """What there is not enough of: slots, or money. Money that is not spent may still do for a smaller claim."""
        if self.terms.budget is not None and self.claimed >= self.terms.budget:
            return Refusal.EXHAUSTED
        if self.terms.amount_budget is None:
            return None
        if self.spent >= self.terms.amount_budget:
            return Refusal.EXHAUSTED
        return Refusal.BUDGET_INSUFFICIENT if self.spent + amount > self.terms.amount_budget else None


class _Working:
    """The facts, moved on by each grant."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._granted: dict[ClaimId, Redemption] = {}
        self._uses: dict[Holder, list[Use]] = {}
        self.slices = {key: _Slice(terms, facts.free_codes.get(key[0], ())) for key, terms in facts.slices.items()}
        self._codes_taken: set[int] = set()
        self._orders: dict[str, list[Stacked]] = {}
        self._starts: dict[tuple[Period, str], datetime] = {}

    def decide(self, claim: SubmitClaim, here: Mapping[SliceKey, _Slice]) -> Heard:
        known = self._facts.redemptions.get(claim.claim_id) or self._granted.get(claim.claim_id)
        if known is not None:
            return _replay(claim, known)
        part, asked = here.get((claim.campaign_id, claim.slice_no)), self._facts.codes.get(claim.code)
        if part is None or slice_of(claim.user_id, part.terms.slices) != claim.slice_no:
            return Misrouted()
        if asked is None or not _is_for(asked, claim):
            return Refused(Refusal.UNKNOWN_CODE)
        terms = part.terms
        closed = closed_by_status(terms.status) or closed_by_window(terms.starts_at, terms.ends_at, self._facts.now)
        if closed is not None:
            return Refused(closed)
        uses = self._uses_of((claim.campaign_id, claim.user_id))
        limited = self._limited(terms, uses) if uses else None
        if limited is not None:
            # What is over for today is no question of what is held.
            return self._for_lack(limited, uses) if limited is Refusal.ALREADY_REDEEMED else Refused(limited)
        hold = self._open_hold(use for use in uses if use.hold and use.hold.single_use and use.hold.code_id == asked.code_id)
        if hold is not None:
            return Replayed(hold, Refusal.CODE_USED)
        unfit = closed_by_subtotal(terms.discount, terms.amount_budget, terms.minimum_subtotal, claim.subtotal)
        if unfit is not None:
            return Refused(unfit)
        code, other = self._code_for(claim, part, asked)
        if other is not None:
            # A code of somebody else may be meant for nobody else to see.
            return Refused(Refusal.NOT_STACKABLE, other.written if other.user_id == claim.user_id else None)
        if asked.state == "claimed" or asked.code_id in self._codes_taken:
            return Refused(Refusal.CODE_USED)
        if code is None:
            return self._for_lack(Refusal.EXHAUSTED, uses)
        amount = discount.amount(terms.discount, claim.subtotal)
        short = part.short(amount)
        if short is not None:
            return self._for_lack(short, uses) if short is Refusal.EXHAUSTED else Refused(short)
        # After this point it must succeed.
        redemption = _redemption(claim, terms, code, amount, uses, self._facts.now)
        self._take(part, redemption, uses)
        return Granted(redemption)

    def _take(self, part: _Slice, redemption: Redemption, uses: list[Use]) -> None:
        self._granted[redemption.redemption_id] = redemption
        hold = None if redemption.hold_expires_at is None else redemption
        uses.append(Use(redemption.use_no, redemption.claimed_at, hold))
        part.claimed += 1
        part.spent += redemption.amount
        if redemption.single_use:
            self._codes_taken.add(redemption.code_id)
        if self._facts.orders is not None:
            of = (redemption.campaign_id, redemption.user_id, redemption.spelling)
            stacked = Stacked(redemption.code, part.terms.code, part.terms.stacking_rules, *of)
            self._orders.setdefault(redemption.order_id, []).append(stacked)

    def _uses_of(self, holder: Holder) -> list[Use]:
        uses = self._uses.get(holder)
        if uses is None:
            uses = self._uses[holder] = list(self._facts.uses.get(holder, ()))
        return uses

    def _limited(self, terms: SliceFacts, uses: Sequence[Use]) -> Refusal | None:
        """Why a user with `uses` gets no more, be it for good or for today."""
        if len(uses) >= terms.per_user_limit:
            return Refusal.ALREADY_REDEEMED
        limits = (
            (Period.DAY, terms.per_day_limit),
            (Period.WEEK, terms.per_week_limit),
            (Period.MONTH, terms.per_month_limit),
        )
        for period, limit in limits:
            if limit is not None and self._since(period, terms.timezone, uses) >= limit:
                return Refusal.PERIOD_LIMIT_REACHED
        return None

    def _since(self, period: Period, zone: str, uses: Sequence[Use]) -> int:
        start = self._starts.get((period, zone))
        if start is None:
            start = self._starts[period, zone] = periods.start_of(period, self._facts.now, zone)
        return sum(use.claimed_at >= start for use in uses)

    def _for_lack(self, refusal: Refusal, uses: Sequence[Use]) -> Outcome:
        """Refused for want of what the user's own `uses` have. A hold never blocks its owner: an open one is shown instead."""
        hold = self._open_hold(uses)
        return Refused(refusal) if hold is None else Replayed(hold, refusal)

    def _open_hold(self, uses: Iterable[Use]) -> Redemption | None:
        holds = (use.hold for use in uses if use.hold is not None)
        return next((hold for hold in holds if is_open_hold(hold, self._facts.now)), None)

    def _code_for(self, claim: SubmitClaim, part: _Slice, asked: CodeFacts) -> tuple[CodeFacts | None, Stacked | None]:
        """The code that the claim is given, if there is one, or what its order holds that stands in the way.

        The public code of a pool gives the next free code of those that go with the order.
        """
        other = self._conflict(claim, part.terms, asked)
        if other is not None or part.terms.type != "pool" or asked.state != "shared":
            return asked, other
        for code in self._free(part):
            other = self._conflict(claim, part.terms, code)
            if other is None:
                return code, None
        return None, other

    def _free(self, part: _Slice) -> Iterator[CodeFacts]:
        free = part.free_codes
        while free and free[0].code_id in self._codes_taken:
            free.popleft()
        return (code for code in free if code.code_id not in self._codes_taken)

    def _conflict(self, claim: SubmitClaim, terms: SliceFacts, code: CodeFacts) -> Stacked | None:
        """What the order holds that stands in the way, be it of this batch or of one before."""
        if self._facts.orders is None:
            return None
        others = (*self._facts.orders.get(claim.order_id, ()), *self._orders.get(claim.order_id, ()))
        return conflict(Stacked(code.code, terms.code, terms.stacking_rules, claim.campaign_id, claim.user_id), others)


def _replay(claim: SubmitClaim, known: Redemption) -> Outcome:
    if known.user_id != claim.user_id or known.body_hash != claim.body_hash:
        return Refused(Refusal.KEY_REUSED)
    return Replayed(known)


def _is_for(asked: CodeFacts, claim: SubmitClaim) -> bool:
    """Whether a code leads this user to this campaign; to others it does not exist."""
    return asked.campaign_id == claim.campaign_id and asked.intended_user in (None, claim.user_id)


def _redemption(
    claim: SubmitClaim, terms: SliceFacts, code: CodeFacts, amount: int, uses: Sequence[Use], now: datetime
) -> Redemption:
    taken = {use.use_no for use in uses}
    return Redemption(
        redemption_id=claim.claim_id,
        campaign_id=claim.campaign_id,
        slice_no=claim.slice_no,
        code_id=code.code_id,
        code=code.code,
        spelling=code.spelling,
        user_id=claim.user_id,
        use_no=next(n for n in range(1, terms.per_user_limit + 1) if n not in taken) if taken else 1,
        user_limit=terms.per_user_limit,
        order_id=claim.order_id,
        discount_applied=discount.apply(terms.discount, claim.subtotal),
        idempotency_key=claim.idempotency_key,
        body_hash=claim.body_hash,
        state=State.CLAIMED,
        claimed_at=now,
        amount=amount,
        single_use=code.state != "shared",
        hold_expires_at=None if terms.hold_ttl_s is None else now + timedelta(seconds=terms.hold_ttl_s),
    )

"""What the stores say of submissions that the gate, or the feed, has left open: each inquiry ends in an answer, or in what
comes next. Several of them share their calls.
"""

import asyncio
from collections.abc import Callable

import structlog

from frontdoor.errands import Errands
from frontdoor.lives import Lives
from frontdoor.lookups import LookUps
from frontdoor.problems import UNAVAILABLE
from frontdoor.submissions import LOOK_AFTER_S, Next, Sequel, Submission
from shared import metrics
from shared.domain.outcomes import Refusal, Refused, Replayed
from shared.domain.redemption import is_overdue
from shared.postgres import NO_ANSWER
from shared.redemptions import Standing

#: What a user's own hold may be the reason of.
_FOR_LACK = (Refusal.ALREADY_REDEEMED, Refusal.EXHAUSTED)

log = structlog.get_logger()


class Inquiries:
    """Asks on behalf of one front door's submissions, and lets them `proceed`."""

    def __init__(
        self, look_ups: LookUps, lives: Lives, errands: Errands, proceed: Callable[[Submission, Sequel], None]
    ) -> None:
        self._look_ups = look_ups
        self._lives = lives
        self._errands = errands
        self._proceed = proceed
        self._sought: set[Submission] = set()

    def unless_lifeless(self, submission: Submission, sequel: Sequel) -> None:
        """Proceed so, unless nobody is behind the gate that was asked: Redis may be away for the owner only."""
        known = self._lives.known(submission.partition_no)
        if known is None:
            self._errands.run(self._look_at_life(submission, sequel), [submission])
        else:
            self._proceed(submission, Next.DECIDE if known else sequel)

    def whether_replay(self, submission: Submission, refusal: Refusal) -> None:
        """Show the user what he holds, or refuse him for this reason."""
        self._errands.run(self._show_or_refuse(submission, refusal), [submission])

    def seek(self, awaiting: list[Submission]) -> None:
        """Look for outcomes that the feed has not brought."""
        unsought = [each for each in awaiting if each not in self._sought and not each.answer.done()]
        if unsought:
            self._errands.run(self._seek(unsought), unsought)

    async def _look_at_life(self, submission: Submission, sequel: Sequel) -> None:
        ticket, is_lifeless = submission.claim.ticket, False
        try:
            async with asyncio.timeout(LOOK_AFTER_S):
                is_lifeless = await self._lives.lately_lifeless(submission.partition_no)
        except TimeoutError:
            # Nobody who comes in the next moment looks in vain as well.
            self._lives.note(submission.partition_no, lifeless=False)
        if submission.awaits(ticket):
            self._proceed(submission, Next.DECIDE if is_lifeless else sequel)

    async def _seek(self, awaiting: list[Submission]) -> None:
        """What is neither pending nor committed was lost: it is asked for again."""
        metrics.FALLBACK_LOOKUPS.add(n=len(awaiting))
        tickets = [submission.claim.ticket for submission in awaiting]
        self._sought.update(awaiting)
        try:
            pending = await self._look_ups.pending(awaiting)
            found = await self._look_ups.standings(awaiting)
            lifeless = await self._lives.all_lifeless({submission.partition_no for submission in awaiting})
        except NO_ANSWER as error:
            log.warning("outcomes_not_looked_up", claims=len(awaiting), error=repr(error))
            return
        finally:
            self._sought.difference_update(awaiting)
        for submission, ticket in zip(awaiting, tickets, strict=True):
            standing = found.get(submission.claim.claim_id)
            if standing is not None and standing.redemption is not None:
                submission.resolve_with(standing.redemption)
            elif not submission.awaits(ticket):
                continue
            elif submission.partition_no in lifeless:
                # Nobody will read the mailbox it is in.
                self._proceed(submission, Next.DECIDE)
            elif standing is not None and submission.claim.claim_id not in pending:
                self._proceed(submission, Next.ASK)

    async def _show_or_refuse(self, submission: Submission, refusal: Refusal) -> None:
        """The user holds something: this claim (show it), another (a hold is shown), or nothing after all (ask again).

        A hold that is overdue is neither `claimed` any more nor given back yet: what it has come to is known within a tick,
        or as soon as the gate lets its owner through.
        """
        try:
            # In this order: while there was a life nobody else decided, and what was decided before is seen.
            alive = submission.unfit is not None or not await self._lives.lifeless(submission.partition_no)
            standing = await self._look_ups.standing(submission)
        except NO_ANSWER:
            submission.resolve(UNAVAILABLE)
            return
        ended_before, submission.ending = submission.ending, standing is not None and _to_be_ended(standing, refusal)
        if standing is None or submission.ending or ended_before or _may_have_more(standing, submission, refusal):
            # What has just been given back the gate is told of after COMMIT: it is asked once more.
            at_once = not (submission.checked or submission.ending)
            submission.checked = True
            self._proceed(submission, Next.ASK if at_once else Next.ASK_LATER)
        elif standing.redemption is not None:
            submission.joined = True
            submission.resolve_with(standing.redemption)
        elif standing.hold is not None and refusal in _FOR_LACK:
            # A hold never blocks its own owner.
            submission.resolve(Replayed(standing.hold))
        elif alive:
            submission.resolve(Refused(refusal))
        else:
            # The gate that refused is over: what it knows nothing of may have been decided since.
            self._proceed(submission, Next.DECIDE)


def _to_be_ended(standing: Standing, refusal: Refusal) -> bool:
    """Whether what matters to the answer is a hold that is over and has yet to be given back."""
    if standing.redemption is not None:
        return is_overdue(standing.redemption, standing.now)
    return standing.overdue and standing.hold is None and refusal is Refusal.EXHAUSTED


def _may_have_more(standing: Standing, submission: Submission, refusal: Refusal) -> bool:
    """Whether the gate takes the user to hold more than he does."""
    fewer = standing.active < submission.campaign.per_user_limit
    return standing.redemption is None and refusal is Refusal.ALREADY_REDEEMED and fewer

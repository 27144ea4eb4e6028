"""The submissions that are under way at one front door."""

from itertools import count

from msgspec.structs import replace

from frontdoor.submissions import Stage, Submission
from shared.domain.ids import ClaimId, PartitionNo


class Roster:
    """By claim: one submission each; and by the ticket under which it was last asked for."""

    def __init__(self) -> None:
        self._tickets = count(1)
        self._by_claim: dict[ClaimId, Submission] = {}
        self._by_ticket: dict[int, Submission] = {}

    def __len__(self) -> int:
        return len(self._by_claim)

    def of(self, claim: ClaimId) -> Submission | None:
        """The submission of a claim that has no answer yet."""
        found = self._by_claim.get(claim)
        return None if found is None or found.answer.done() else found

    def under(self, ticket: int) -> Submission | None:
        """Who was last asked for under this ticket."""
        return self._by_ticket.get(ticket)

    def awaiting(self, partition: PartitionNo) -> list[Submission]:
        """Those that are in this partition's mailbox."""
        everybody = self._by_claim.values()
        return [each for each in everybody if each.partition_no == partition and each.stage is Stage.AWAITING]

    def enter(self, submission: Submission) -> None:
        """It is under way from now on."""
        self._by_claim[submission.claim.claim_id] = submission

    def renew_ticket(self, submission: Submission) -> None:
        """A ticket never used before: what was refused once is no answer to who asks again."""
        self._by_ticket.pop(submission.claim.ticket, None)
        submission.claim = replace(submission.claim, ticket=next(self._tickets))
        self._by_ticket[submission.claim.ticket] = submission

    def leave(self, submission: Submission) -> None:
        """It is not any more; another of the same claim may be."""
        del self._by_ticket[submission.claim.ticket]
        if self._by_claim.get(submission.claim.claim_id) is submission:
            del self._by_claim[submission.claim.claim_id]

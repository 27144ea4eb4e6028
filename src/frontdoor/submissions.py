"""A claim on its way through one front door, and what it can come to there."""

import asyncio
from enum import Enum, auto
from typing import TypeAlias

import msgspec
from msgspec.structs import replace

from frontdoor.problems import UNAVAILABLE, Problem
from shared import clock
from shared.domain.campaign import Campaign
from shared.domain.ids import PartitionNo
from shared.domain.operations import SubmitClaim
from shared.domain.outcomes import Granted, Outcome, Refusal, Refused, Replayed
from shared.domain.redemption import Redemption

#: For how long at least the gate is asked again while it is cold.
ADMIT_WITHIN_S = 1.0

#: How soon the gate is asked again when it was cold, or the user's other claim was pending: twice as late each time, up to the
#: most, so that ten thousand who wait for an owner leave the door time for the others.
AGAIN_AFTER_S = 0.03
AGAIN_AT_MOST_S = 0.25

#: When a waiter first looks in Postgres for an outcome that the feed has not brought, and how often it then does.
LOOK_AFTER_S = 0.25


class Undecided(msgspec.Struct, frozen=True):
    """The claim is, or may be, in this partition's mailbox: it can be polled."""

    partition_no: PartitionNo


#: What a caller is answered with: an outcome, 202, or why nothing is known.
Answer: TypeAlias = Outcome | Undecided | Problem


class Next(Enum):
    """What comes next for a submission that has no answer yet.

    AWAIT its outcome, for it is in a mailbox; ASK the gate, at once or (ASK_LATER) in a while; DECIDE it on the direct path.
    """

    AWAIT = auto()
    ASK = auto()
    ASK_LATER = auto()
    DECIDE = auto()


Sequel: TypeAlias = Answer | Next


class Stage(Enum):
    """Where a submission is.

    ASKING: at the gate, or about to be; AWAITING: in a mailbox; AGAIN: to ask the gate once more; DECIDING: on the direct path.
    """

    ASKING = auto()
    AWAITING = auto()
    AGAIN = auto()
    DECIDING = auto()


class Submission:
    """One claim that this front door asks for.

    `unfit`: why this door knows the campaign not to be for this user.
    `deadline` and `admit_by` are in monotonic seconds: until when the caller waits for an outcome, and until when the gate is
    asked again (also for a caller who does not want to wait: 202 needs an entry in a mailbox); `began_at`: when it came;
    `due`: when it is next to be seen to; `pause_s`: how long before the gate is asked again. `joined`: the claim was there
    before us. `checked`: Postgres says that the user may still take a slot. `ending`: what is answered depends on a hold of
    the user's that is overdue. `part`: the slice that is asked for it.
    """

    __slots__ = (
        "admit_by",
        "answer",
        "began_at",
        "campaign",
        "checked",
        "claim",
        "deadline",
        "due",
        "ending",
        "joined",
        "part",
        "pause_s",
        "stage",
        "unfit",
    )

    def __init__(self, claim: SubmitClaim, campaign: Campaign, unfit: Refusal | None, deadline: float) -> None:
        self.claim = claim
        self.campaign = campaign
        self.unfit = unfit
        self.deadline = deadline
        self.due = deadline
        self.pause_s = AGAIN_AFTER_S
        self.began_at = clock.monotonic()
        self.admit_by = max(deadline, self.began_at + ADMIT_WITHIN_S)
        self.part = campaign.slices[claim.slice_no]
        self.checked = False
        self.ending = False
        self.joined = False
        self.stage = Stage.ASKING
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    @property
    def partition_no(self) -> PartitionNo:
        """Where its slice lives, as far as is known."""
        return self.part.partition_no

    def route(self, campaign: Campaign) -> None:
        """Go by this version of the campaign from now on."""
        self.campaign, self.part = campaign, campaign.slice_for(self.claim.user_id)
        self.claim = replace(self.claim, slice_no=self.part.slice_no)

    def awaits(self, ticket: int) -> bool:
        """Whether it is still the outcome under this ticket that is awaited."""
        return self.claim.ticket == ticket and not self.answer.done()

    def next_pause_s(self) -> float:
        """How long to wait before the gate is asked again: longer each time."""
        pause_s, self.pause_s = self.pause_s, min(2 * self.pause_s, AGAIN_AT_MOST_S)
        return pause_s

    @property
    def waits_long(self) -> bool:
        """Whether the gate has been asked so often that there may be nobody behind it."""
        return self.pause_s > 2 * AGAIN_AFTER_S

    def resolve(self, answer: Answer) -> None:
        """Answer, unless somebody has."""
        if not self.answer.done():
            self.answer.set_result(answer)

    def resolve_with(self, redemption: Redemption) -> None:
        """Answer with what is committed under this claim's id: a slot it took, unless that was for another body."""
        if redemption.body_hash != self.claim.body_hash:
            self.resolve(Refused(Refusal.KEY_REUSED))
        else:
            self.resolve(Replayed(redemption) if self.joined else Granted(redemption))

    def fail(self, error: Exception) -> None:
        """Let the caller's request fail with what went wrong on our side."""
        if not self.answer.done():
            self.answer.set_exception(error)

    async def answer_for(self, claim: SubmitClaim, came_at: float, deadline: float) -> Answer | None:
        """What another request for the same claim hears that waits here. None: our answer is not its answer.

        A success is one for ever. A refusal may be on its way since before who came later won at another door, and heard so.
        """
        await asyncio.wait([self.answer], timeout=max(0.0, deadline - clock.monotonic()))
        same = self.claim.body_hash == claim.body_hash
        if not self.answer.done():
            # Another body's claim is in no mailbox: whether it is a reused key is not known before ours is decided.
            return Undecided(self.partition_no) if same and self.stage is Stage.AWAITING else UNAVAILABLE
        if self.answer.cancelled() or self.answer.exception() or not same:
            return None
        match self.answer.result():
            case Granted(redemption) | Replayed(redemption):
                return Replayed(redemption)
            case Refused() as refused if came_at < self.began_at:
                return refused
            case _:
                return None

"""Sold-out certificates: proof, good for half a second, that a campaign has nothing to give.

While a front door holds one it answers everyone from memory, except the few who may hold something of that campaign: for
them only the gate knows the exact answer (their own success shown again, or 409). The set of those only grows, so what is
known of it stays true; there is no broadcast that could be lost, because a certificate ends by itself. While people keep
coming it is asked for anew a little before it ends: else all who come until the gate has answered would have to ask it, too.
"""

from array import array
from collections import OrderedDict
from collections.abc import Callable

from shared.domain.ids import CampaignId, UserId, user_mark
from shared.domain.outcomes import Refusal
from shared.gate import CERTIFICATE_MS, CampaignAsk, CampaignReply

#: A campaign with more holders than this is not answered from memory: its marks would take more than about 40 MB.
MARKS_MAX = 500_000

#: How many marks are remembered of all campaigns together.
MARKS_IN_ALL_MAX = 1_000_000

#: For how long before its end the first whom a certificate refuses has it renewed.
RENEWED_WITHIN_S = 0.15

_MARK_BYTES = 4

#: One gate of a campaign: which of its slices, by which layout of them. Each certifies for the users that it serves.
_Place = tuple[CampaignId, int, int]


class Certificate:
    """What one front door knows of one campaign's gate: why it gives nothing, until when, and who may hold something."""

    __slots__ = ("dry", "edition", "known", "marks", "reason", "renewed_from", "until")

    def __init__(self, edition: bytes) -> None:
        self.edition = edition
        self.known = 0
        self.marks: set[int] = set()
        self.reason = Refusal.EXHAUSTED
        self.dry = False
        self.renewed_from = 0.0
        self.until = 0.0


class Certificates:
    """The certificates of one front door; at most `most` gates are remembered.

    `renew` is called when the gate of a campaign is to be asked again, once for each certificate.
    `_held` has them in the order in which they were heard of, so that the one that ended first is forgotten first; `_known`:
    bytes of marks of all of them.
    """

    def __init__(self, most: int, renew: Callable[[CampaignId], None] = lambda _: None) -> None:
        self._most = most
        self._renew = renew
        self._known = 0
        self._held: OrderedDict[_Place, Certificate] = OrderedDict()

    def refusal(
        self, campaign: CampaignId, user: UserId, now: float, *, own_code: bool = True, slice_no: int = 0, layout: int = 0
    ) -> Refusal | None:
        """Why `user` gets nothing of `campaign`; None when only the gate can say. `now` is monotonic seconds.

        `own_code`: asked for by the code of the campaign, not by one of its single-use codes; `slice_no` and `layout`: by which
        slice the user is served.
        """
        held = self._held.get((campaign, slice_no, layout))
        if held is None or now >= held.until or (held.dry and not own_code) or user_mark(user) in held.marks:
            return None
        if now >= held.renewed_from:
            held.renewed_from = held.until
            self._renew(campaign)
        return held.reason

    def known(self, campaign: CampaignId, slice_no: int = 0, layout: int = 0) -> tuple[bytes, int]:
        """The edition of the gate whose marks are here, and how many bytes of them."""
        held = self._held.get((campaign, slice_no, layout))
        return (b"", 0) if held is None else (held.edition, held.known)

    def take(self, ask: CampaignAsk, reply: CampaignReply, asked_at: float) -> None:
        """Keep what the gate replied to a call that began at `asked_at`, in monotonic seconds."""
        if not (reply.certified or reply.dry) or reply.marks_total > MARKS_MAX * _MARK_BYTES:
            return
        held = self._newest((ask.campaign_id, ask.slice_no, ask.layout), reply.edition)
        # Two calls may have been under way at once: marks that follow others than those that are here came before.
        if held.known == (ask.known if ask.edition == reply.edition else 0):
            marks = array("I")
            marks.frombytes(reply.marks)
            held.marks.update(marks)
            held.known += len(reply.marks)
            self._known += len(reply.marks)
            self._forget_oldest()
        if held.known == reply.marks_total:
            held.reason = Refusal(reply.closed) if reply.closed else Refusal.EXHAUSTED
            held.dry = reply.dry
            held.until = asked_at + CERTIFICATE_MS / 1000
            held.renewed_from = held.until - RENEWED_WITHIN_S

    def _newest(self, place: _Place, edition: bytes) -> Certificate:
        """What is known of this edition of a gate, put behind what is known of the others."""
        held = self._held.pop(place, None)
        if held is None or held.edition != edition:
            self._known -= 0 if held is None else held.known
            held = Certificate(edition)
        self._held[place] = held
        return held

    def _forget_oldest(self) -> None:
        while len(self._held) > self._most or self._known > MARKS_IN_ALL_MAX * _MARK_BYTES:
            self._known -= self._held.popitem(last=False)[1].known

"""Drift: what two stores say differently of one thing, by type. Postgres wins, and in it the redemptions over all counters.

A gate that lags behind a commit under way is no drift. So what differs counts only if it is the same at two looks, a while
apart: whatever moved meanwhile is an engine at work. What is found is therefore part of what a drift is.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Self

import msgspec

from shared.domain.ids import CampaignId, PartitionNo, UserId
from shared.domain.settlement import Settlement

#: How a gate writes what a user holds: active redemptions, and the ledger sequence that says so.
_HELD = re.compile(r"(-?\d+):\d+")


class DriftKind(StrEnum):
    """What differs. The first four are between tables of Postgres, the others between Postgres and Redis."""

    SLOTS_MISCOUNTED = "slots_miscounted"
    MONEY_MISCOUNTED = "money_miscounted"
    CODES_MISCOUNTED = "codes_miscounted"
    CODE_MISSTATED = "code_misstated"
    MAILBOX_UNSETTLED = "mailbox_unsettled"
    GATE_FREE_DIFFERS = "gate_free_differs"
    GATE_LIMIT_DIFFERS = "gate_limit_differs"
    GATE_CLOSED_DIFFERS = "gate_closed_differs"
    GATE_DRY_DIFFERS = "gate_dry_differs"
    GATE_LAYOUT_DIFFERS = "gate_layout_differs"
    GATE_AHEAD = "gate_ahead"
    GATE_STRAY = "gate_stray"
    USER_MISSING = "user_missing"
    USER_MISCOUNTED = "user_miscounted"
    USER_UNKNOWN = "user_unknown"
    MARKS_DIFFER = "marks_differ"


#: What is wrong with a gate: it is made anew.
OF_GATES = frozenset(kind for kind in DriftKind if kind.startswith(("gate_", "user_", "marks_")))
_OF_TERMS = (
    DriftKind.GATE_FREE_DIFFERS,
    DriftKind.GATE_LIMIT_DIFFERS,
    DriftKind.GATE_CLOSED_DIFFERS,
    DriftKind.GATE_DRY_DIFFERS,
    DriftKind.GATE_LAYOUT_DIFFERS,
)


class Drift(msgspec.Struct, frozen=True):
    """One difference. `subject`: the slice, user or code; "" for a gate as a whole. `expected`: what the winning store says.

    None: there is no such partition, or no such campaign.
    """

    kind: DriftKind
    partition_no: PartitionNo | None
    campaign_id: CampaignId | None
    subject: str
    expected: str
    found: str

    def told(self) -> dict[str, str]:
        """As a log tells of it."""
        return {name: str(value) for name, value in msgspec.structs.asdict(self).items() if value is not None and value != ""}


class GateState(msgspec.Struct, frozen=True):
    """A warm gate as it was read. `terms`: as in `Settlement.terms`, None where there is none; `users`: how many it knows."""

    campaign_id: CampaignId
    seq: int
    terms: tuple[str | None, ...]
    users: int


class MarkSum(msgspec.Struct, frozen=True):
    """What tells two sets of marks apart, whatever their order and however many there are."""

    count: int = 0
    total: int = 0
    squares: int = 0

    def plus(self, marks: Sequence[int]) -> Self:
        squares = self.squares + sum(mark * mark for mark in marks)
        return type(self)(self.count + len(marks), self.total + sum(marks), squares)

    def __str__(self) -> str:
        return f"{self.count:,} marks of sum {self.total:x}/{self.squares:x}"


def gate_drifts(partition: PartitionNo, expected: Settlement | None, gate: GateState, slices: int = 1) -> list[Drift]:
    """What a gate says of its campaign that Postgres does not. `expected` None: the campaign is not in this partition.

    Of a campaign in several `slices`, a gate may not have heard yet what the others gave: it may let more through.
    """

    def drift(kind: DriftKind, expected: object, found: object) -> Drift:
        return Drift(kind, partition, gate.campaign_id, "", str(expected), f"{found}, at seq {gate.seq}")

    if expected is None:
        # One that is shut gives nothing, wherever it stands.
        return [] if gate.terms[2] else [drift(DriftKind.GATE_STRAY, "no gate", "a gate that is open")]
    if gate.seq > expected.seq:
        return [drift(DriftKind.GATE_AHEAD, "what the ledger knows of", "what it does not")]
    compared = zip(_OF_TERMS, expected.terms, gate.terms, strict=True)
    drifts = [drift(kind, should or "open", found or "open") for kind, should, found in compared if should != found]
    bound = slices > 1 and _more(gate.terms[0], expected.free)
    return [each for each in drifts if not (bound and each.kind is DriftKind.GATE_FREE_DIFFERS)]


def user_drifts(
    partition: PartitionNo,
    campaign: CampaignId,
    active: Mapping[UserId, int],
    held: Mapping[UserId, str | None],
    slices: int = 1,
) -> list[Drift]:
    """Whose redemptions a gate does not know, or counts otherwise. `active`: of Postgres; `held`: what the gate says.

    Of a campaign in several slices a gate may take a user to hold what he has given back in another: whoever asks it is then
    looked up.
    """
    drifts = []
    for user, number in active.items():
        found = held[user]
        known = None if found is None else _HELD.fullmatch(found)
        if found is None:
            drifts.append(Drift(DriftKind.USER_MISSING, partition, campaign, user, str(number), "unknown"))
        elif known is None or (int(known[1]) < number if slices > 1 else int(known[1]) != number):
            drifts.append(Drift(DriftKind.USER_MISCOUNTED, partition, campaign, user, str(number), found))
    return drifts


def marks_drifts(partition: PartitionNo, campaign: CampaignId, expected: MarkSum, found: MarkSum) -> list[Drift]:
    """Whether a gate's marks are those of its users: who has none would be told "sold out" whatever he holds."""
    return [] if expected == found else [Drift(DriftKind.MARKS_DIFFER, partition, campaign, "", str(expected), str(found))]


def confirmed(first: Iterable[Drift], second: Iterable[Drift]) -> list[Drift]:
    """What was the same at both looks."""
    before = set(first)
    return [drift for drift in second if drift in before]


def _more(free: str | None, expected: int | None) -> bool:
    return free is not None and free.isdecimal() and expected is not None and int(free) > expected

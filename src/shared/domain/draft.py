"""What the author of a campaign asks for, and the campaign that comes of it, or everything that is wrong with it at once.

A limit must be given, if only as null: a forgotten one would be an unlimited give-away. Numbers end at 2^53 − 1, below
Postgres's bigint, because the gate counts in Lua and clients in JavaScript, and beyond it both round.
"""

import unicodedata
from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from shared.domain import audience
from shared.domain import discount as discounts
from shared.domain.campaign import Campaign, CampaignStatus, CampaignType, Slice, StackingRules, budget
from shared.domain.code import MAX_CODE_LENGTH, Code, normal_form
from shared.domain.discount import MAX_SUBTOTAL, Discount
from shared.domain.ids import CampaignId, home_partition
from shared.domain.wall_time import UnknownZone, WallTimeFault, read_end_of_day, read_moment, read_zone, sentence

MAX_NAME_LENGTH = 200
MAX_NUMBER = 2**53 - 1
MAX_PER_USER_LIMIT = 1_000
MAX_EXCLUDES = 100
MAX_CATEGORY_LENGTH = 64
#: A year: a slot that may be held for longer is not held but given.
MAX_HOLD_TTL_S = 31_536_000


class Fault(msgspec.Struct, frozen=True):
    """What is wrong with one field: `what` goes on from its name ("must be …")."""

    field: str
    what: str


class CampaignDraft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A campaign as its author describes it; what the fields mean is said where they are taken from callers."""

    name: str
    type: CampaignType
    code: str | None = None
    exact: bool = False
    discount: Discount
    total_limit: int | None
    per_user_limit: int = 1
    per_day_limit: int | None = None
    per_week_limit: int | None = None
    per_month_limit: int | None = None
    amount_limit: int | None = None
    minimum_subtotal: int | None = None
    first_order_only: bool = False
    audience_filter: Any = None
    stacking_rules: StackingRules | None = None
    timezone: str = "UTC"
    starts_at: str | None = None
    ends_at: str | None = None
    ends_on: str | None = None
    release_on_failure: bool = False
    release_on_refund: bool = False
    hold_ttl_s: int | None = None


class CampaignChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be different about a campaign; what is left out stays."""

    name: str | UnsetType = UNSET
    discount: Discount | UnsetType = UNSET
    total_limit: int | UnsetType | None = UNSET
    per_user_limit: int | UnsetType = UNSET
    per_day_limit: int | UnsetType | None = UNSET
    per_week_limit: int | UnsetType | None = UNSET
    per_month_limit: int | UnsetType | None = UNSET
    amount_limit: int | UnsetType | None = UNSET
    minimum_subtotal: int | UnsetType | None = UNSET
    first_order_only: bool | UnsetType = UNSET
    audience_filter: Any = UNSET
    stacking_rules: StackingRules | UnsetType | None = UNSET
    starts_at: str | UnsetType | None = UNSET
    ends_at: str | UnsetType | None = UNSET
    ends_on: str | UnsetType | None = UNSET
    release_on_failure: bool | UnsetType = UNSET
    release_on_refund: bool | UnsetType = UNSET
    hold_ttl_s: int | UnsetType | None = UNSET


def planned(draft: CampaignDraft, campaign_id: CampaignId) -> Campaign | list[Fault]:
    """The campaign that `draft` describes, active and not yet committed (version 0), or its faults."""
    faults: list[Fault] = []
    said = {name: _kept(getattr(draft, name)) for name in draft.__struct_fields__}
    _read_times(said, draft.timezone, faults)
    _read_rules(said, faults)
    said["code"] = _code(draft, faults)
    said["timezone"] = _zone(draft.timezone, faults)
    campaign = Campaign(
        **said,
        campaign_id=campaign_id,
        minted=0,
        status=CampaignStatus.ACTIVE,
        version=0,
        slices=(Slice(0, home_partition(campaign_id)),),
    )
    faults += _faults_of(campaign)
    return faults or campaign


def revised(campaign: Campaign, change: CampaignChange) -> Campaign | list[Fault]:
    """The campaign with `change` applied, not yet committed, or the faults it would have."""
    faults: list[Fault] = []
    said = {name: _kept(value) for name in change.__struct_fields__ if (value := getattr(change, name)) is not UNSET}
    _read_times(said, campaign.timezone, faults)
    _read_rules(said, faults)
    after = msgspec.structs.replace(campaign, **said)
    faults += _faults_of(after)
    return faults or after


def frees_slots(before: Campaign, after: Campaign) -> bool:
    """Whether people who are told "nothing left" by `before` could win by `after`."""
    resumed = before.status is CampaignStatus.PAUSED and after.status is CampaignStatus.ACTIVE
    return resumed or _raised(budget(before), budget(after)) or _raised(before.amount_limit, after.amount_limit)


def _kept(value: Any) -> Any:
    """A discount, or rules, as they are kept, of the stricter kind that is taken from callers; whatever else as it is."""
    for kind in (Discount, StackingRules):
        if isinstance(value, kind):
            return kind(*(getattr(value, field) for field in kind.__struct_fields__))
    return value


def _raised(before: int | None, after: int | None) -> bool:
    return before is not None and (after is None or after > before)


def _code(draft: CampaignDraft, faults: list[Fault]) -> Code | None:
    if draft.code is None:
        if draft.type == "shared":
            faults.append(Fault("code", "is required: it is what everybody types"))
        return None
    if draft.type == "unique":
        faults.append(Fault("code", "must be left out: the codes of such a campaign are minted, one for each use"))
        return None
    code = normal_form(draft.code)
    if code is None:
        faults.append(Fault("code", f"must be of 1 to {MAX_CODE_LENGTH} printable characters without spaces"))
    return code


def _zone(name: str, faults: list[Fault]) -> str:
    if isinstance(read_zone(name), UnknownZone):
        faults.append(Fault("timezone", f"must be an IANA time zone such as Europe/Berlin, not {name[:60]!a}"))
    return name


def _read_times(said: dict[str, Any], zone: str, faults: list[Fault]) -> None:
    """Put moments in the place of what was written; `ends_on` becomes the `ends_at` that it means."""
    for end in ("starts_at", "ends_at"):
        if said.get(end) is not None:
            said[end] = _moment(end, read_moment(said[end], zone), faults)
    last_day = said.pop("ends_on", UNSET)
    if last_day is UNSET or (last_day is None and "ends_at" in said):
        return
    if said.get("ends_at") is not None:
        faults.append(Fault("ends_on", "must not be given together with ends_at"))
    said["ends_at"] = None if last_day is None else _moment("ends_on", read_end_of_day(last_day, zone), faults)


def _moment(field: str, read: datetime | WallTimeFault, faults: list[Fault]) -> datetime | None:
    if isinstance(read, datetime):
        return read
    if not isinstance(read, UnknownZone):  # a fault of `timezone`, said once
        faults.append(Fault(field, sentence(read)))
    return None


def _read_rules(said: dict[str, Any], faults: list[Fault]) -> None:
    """Put the normal form in the place of the globs as they were written: they are matched with codes in normal form.

    Rules that demand nothing are none: while there are any, every batch locks the orders it claims for.
    """
    rules: StackingRules | None = said.get("stacking_rules")
    if rules is None:
        return
    globs = [normal_form(glob) for glob in rules.excludes]
    if None in globs or len(globs) > MAX_EXCLUDES:
        what = f"must be at most {MAX_EXCLUDES} codes, each of 1 to {MAX_CODE_LENGTH} characters (* stands for any)"
        faults.append(Fault("stacking_rules.excludes", what))
    if rules.category is not None and not _is_plain(rules.category, MAX_CATEGORY_LENGTH):
        faults.append(Fault("stacking_rules.category", f"must be of 1 to {MAX_CATEGORY_LENGTH} characters"))
    rules = msgspec.structs.replace(rules, excludes=tuple(glob for glob in globs if glob is not None))
    said["stacking_rules"] = None if rules == StackingRules() else rules


def _is_plain(text: str, most: int) -> bool:
    blank = not 0 < len(text) <= most or text.isspace()
    return not blank and not any(unicodedata.category(character) in ("Cc", "Cs") for character in text)


def _faults_of(campaign: Campaign) -> list[Fault]:
    """What no campaign may be, new or changed."""
    faults: list[Fault] = []
    if not 0 < len(campaign.name) <= MAX_NAME_LENGTH or campaign.name.isspace():
        faults.append(Fault("name", f"must be of 1 to {MAX_NAME_LENGTH} characters"))
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in campaign.name):
        faults.append(Fault("name", "must not hold control characters"))
    if (objection := discounts.fault(campaign.discount)) is not None:
        faults.append(Fault(*objection.split(" ", 1)))
    elif campaign.discount.value > MAX_NUMBER:
        faults.append(Fault("discount.value", f"must be at most {MAX_NUMBER}"))
    if campaign.audience_filter is not None and (wrong := audience.fault(campaign.audience_filter)) is not None:
        faults.append(Fault("audience_filter", wrong))
    if campaign.amount_limit is not None and campaign.discount.type == "free_shipping":
        faults.append(Fault("amount_limit", "needs a discount in money: an amount or a percentage"))
    if campaign.starts_at is not None and campaign.ends_at is not None and campaign.starts_at >= campaign.ends_at:
        faults.append(Fault("ends_at", "must be after starts_at"))
    return faults + [fault for bound in _BOUNDS if (fault := bound.fault(campaign)) is not None]


class _Bound(msgspec.Struct, frozen=True):
    """Between which numbers a field must be, if it is not null."""

    field: str
    least: int
    most: int
    null: str = ""

    def fault(self, campaign: Campaign) -> Fault | None:
        value = getattr(campaign, self.field)
        if value is None or self.least <= value <= self.most:
            return None
        return Fault(self.field, f"must be {self.null}between {self.least} and {self.most}")


_BOUNDS = (
    _Bound("total_limit", 0, MAX_NUMBER, "null (unlimited) or "),
    _Bound("per_user_limit", 1, MAX_PER_USER_LIMIT),
    _Bound("per_day_limit", 1, MAX_PER_USER_LIMIT, "null (no limit) or "),
    _Bound("per_week_limit", 1, MAX_PER_USER_LIMIT, "null (no limit) or "),
    _Bound("per_month_limit", 1, MAX_PER_USER_LIMIT, "null (no limit) or "),
    _Bound("amount_limit", 0, MAX_NUMBER, "null (no limit) or "),
    _Bound("minimum_subtotal", 0, MAX_SUBTOTAL, "null (none) or "),
    _Bound("hold_ttl_s", 1, MAX_HOLD_TTL_S, "null (held for ever) or "),
)

"""What the author of a campaign asks for, and the campaign that comes of it, or everything that is wrong with it at once.

A limit must be given, if only as null: a forgotten one would be an unlimited give-away. Numbers end at 2^53 − 1, below
Postgres's bigint, because the gate counts in Lua and clients in JavaScript, and beyond it both round.
"""

import unicodedata
from datetime import datetime

import msgspec
from msgspec import UNSET, UnsetType

from shared.domain import discount as discounts
from shared.domain.campaign import Campaign, CampaignStatus, CampaignType, Slice
from shared.domain.code import MAX_CODE_LENGTH, Code, normal_form
from shared.domain.discount import Discount
from shared.domain.ids import CampaignId, home_partition
from shared.domain.wall_time import UnknownZone, read_moment, read_zone, sentence

MAX_NAME_LENGTH = 200
MAX_NUMBER = 2**53 - 1
MAX_PER_USER_LIMIT = 1_000


class Fault(msgspec.Struct, frozen=True):
    """What is wrong with one field: `what` goes on from its name ("must be …")."""

    field: str
    what: str


class CampaignDraft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A campaign as its author describes it. Times are local to `timezone` unless they carry an offset."""

    name: str
    type: CampaignType
    code: str
    discount: Discount
    total_limit: int | None
    per_user_limit: int = 1
    timezone: str = "UTC"
    starts_at: str | None = None
    ends_at: str | None = None
    release_on_failure: bool = False
    release_on_refund: bool = False


class CampaignChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be different about a campaign; what is left out stays. Null takes a limit or an end of the window away.

    Nobody loses what they hold: a lower per-user limit, like another discount, is for the claims to come.
    """

    name: str | UnsetType = UNSET
    discount: Discount | UnsetType = UNSET
    total_limit: int | UnsetType | None = UNSET
    per_user_limit: int | UnsetType = UNSET
    starts_at: str | UnsetType | None = UNSET
    ends_at: str | UnsetType | None = UNSET
    release_on_failure: bool | UnsetType = UNSET
    release_on_refund: bool | UnsetType = UNSET


def planned(draft: CampaignDraft, campaign_id: CampaignId) -> Campaign | list[Fault]:
    """The campaign that `draft` describes, active and not yet committed (version 0), or its faults."""
    faults: list[Fault] = []
    campaign = Campaign(
        campaign_id=campaign_id,
        name=draft.name,
        type=draft.type,
        code=_code(draft.code, faults),
        discount=draft.discount,
        total_limit=draft.total_limit,
        per_user_limit=draft.per_user_limit,
        timezone=_zone(draft.timezone, faults),
        starts_at=_moment("starts_at", draft.starts_at, draft.timezone, faults),
        ends_at=_moment("ends_at", draft.ends_at, draft.timezone, faults),
        status=CampaignStatus.ACTIVE,
        release_on_failure=draft.release_on_failure,
        release_on_refund=draft.release_on_refund,
        version=0,
        slices=(Slice(0, home_partition(campaign_id)),),
    )
    faults += _faults_of(campaign)
    return faults or campaign


def revised(campaign: Campaign, change: CampaignChange) -> Campaign | list[Fault]:
    """The campaign with `change` applied, not yet committed, or the faults it would have."""
    faults: list[Fault] = []
    said = {name: value for name in change.__struct_fields__ if (value := getattr(change, name)) is not UNSET}
    for end in ("starts_at", "ends_at"):
        if end in said:
            said[end] = _moment(end, said[end], campaign.timezone, faults)
    after = msgspec.structs.replace(campaign, **said)
    faults += _faults_of(after)
    return faults or after


def frees_slots(before: Campaign, after: Campaign) -> bool:
    """Whether people who are told "nothing left" by `before` could win by `after`."""
    resumed = before.status is CampaignStatus.PAUSED and after.status is CampaignStatus.ACTIVE
    if before.total_limit is None:
        return resumed
    return resumed or after.total_limit is None or after.total_limit > before.total_limit


def _code(typed: str, faults: list[Fault]) -> Code:
    code = normal_form(typed)
    if code is None:
        faults.append(Fault("code", f"must be of 1 to {MAX_CODE_LENGTH} printable characters without spaces"))
    return code or Code("")


def _zone(name: str, faults: list[Fault]) -> str:
    if isinstance(read_zone(name), UnknownZone):
        faults.append(Fault("timezone", f"must be an IANA time zone such as Europe/Berlin, not {name[:60]!a}"))
    return name


def _moment(field: str, text: str | None, zone: str, faults: list[Fault]) -> datetime | None:
    if text is None:
        return None
    read = read_moment(text, zone)
    if isinstance(read, datetime):
        return read
    if not isinstance(read, UnknownZone):  # a fault of `timezone`, said once
        faults.append(Fault(field, sentence(read)))
    return None


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
    if campaign.total_limit is not None and not 0 <= campaign.total_limit <= MAX_NUMBER:
        faults.append(Fault("total_limit", f"must be null (unlimited) or between 0 and {MAX_NUMBER}"))
    if not 1 <= campaign.per_user_limit <= MAX_PER_USER_LIMIT:
        faults.append(Fault("per_user_limit", f"must be between 1 and {MAX_PER_USER_LIMIT}"))
    if campaign.starts_at is not None and campaign.ends_at is not None and campaign.starts_at >= campaign.ends_at:
        faults.append(Fault("ends_at", "must be after starts_at"))
    return faults

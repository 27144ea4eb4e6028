"""What happened, as the ledger tells it: of an order, of a user, of a code; refusals included.

No claim pays for it with an index: a redemption's rows are where its times say. If one is not, because the clock was set back,
the whole ledger is read; and so it is for a code that everybody types, whose story may be most of it.
"""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from shared.audit import snapshot
from shared.catalogue import codes_by_code
from shared.domain.code import Code, normal_form
from shared.domain.ledger import Kind
from shared.postgres import Connection
from shared.statements import statement

_ROWS_AT_A_TIME = 500


async def history(dsn: str, name: str) -> AsyncIterator[str]:
    """A line for each row of the ledger that speaks of the order, the user or the code of that name (it may be several)."""
    code = normal_form(name)
    async with snapshot(dsn) as connection:
        places = await _places(connection, name, code)
        if places is not None:
            rows = connection.cursor(statement("history"), name, code, *places, prefetch=_ROWS_AT_A_TIME)
        else:
            as_json = [msgspec.json.encode(each).decode() for each in (name, code or name)]
            rows = connection.cursor(statement("history_by_reading"), name, code, *as_json, prefetch=_ROWS_AT_A_TIME)
        async for row in rows:
            yield line(row)


async def _places(connection: Connection, name: str, code: Code | None) -> tuple[list[Any], ...] | None:
    """Redemptions, and the partitions and sequences of their rows (pairwise); None when the ledger must be read to tell."""
    found = {} if code is None else await codes_by_code(connection, [code])
    if any(not known.single_use for known in found.values()):
        return None
    places = await connection.fetch(statement("history_places"), name, code)
    if any(place["seq"] is None for place in places):
        return None
    return tuple([place[column] for place in places] for column in ("redemption_id", "partition_no", "seq"))


def line(row: asyncpg.Record) -> str:
    """A row as a person reads it: when, where in the ledger, what."""
    moment = f"{row['at']:%Y-%m-%d %H:%M:%S}.{row['at'].microsecond // 1000:03}Z"
    place = f"{row['partition_no']}/{row['seq']}"
    return f"{moment}  {place:>9}  {told(row['kind'], row['redemption_id'], row['payload'])}"


def told(kind: str, redemption_id: UUID | None, payload: str) -> str:
    """What a row says, as a sentence without a full stop. A payload that is not what it was written as is shown as it is."""
    try:
        story = msgspec.json.decode(payload)
        sentence = _sentence(kind, story)
    except (msgspec.DecodeError, KeyError, TypeError):
        sentence = f"{kind}: {payload!a}"
    return f"{sentence}  [{redemption_id}]" if redemption_id is not None else sentence


def _sentence(kind: str, story: dict[str, Any]) -> str:
    match kind:
        case Kind.CAMPAIGN_CREATED | Kind.CAMPAIGN_CHANGED:
            campaign = story["campaign"]
            limit = "unlimited" if campaign["total_limit"] is None else f"limit {campaign['total_limit']:,}"
            verb = "created" if kind == Kind.CAMPAIGN_CREATED else "changed"
            return f"{verb}   campaign {shown(campaign['name'])} ({campaign['status']}, {limit}) by {shown(story['by'])}"
        case Kind.PAUSED_BY_GUARD:
            usual = f"{story['attempts']:,} attempts in a minute, where {story['baseline']:,.1f} were usual"
            return f"paused    campaign {shown(story['campaign']['name'])} by {shown(story['by'])}: {usual}"
        case Kind.CODES_MINTED:
            return f"minted    {story['count']:,} codes of campaign {shown(story['campaign']['name'])} by {shown(story['by'])}"
        case Kind.CLAIMED:
            return f"claimed   {_claim(story)}{_worth(story)}"
        case Kind.REDEEMED:
            return f"redeemed  {_claim(story)}"
        case Kind.RELEASED:
            return f"released  {_claim(story)}: {story['released_reason']}"
        case Kind.REFUSED:
            about = f" (with {shown(story['about'])})" if story.get("about") else ""
            about += f" (shown {story['shown']})" if story.get("shown") else ""
            return f"refused   {_claim(story)}: {story['reason']}{about}"
        case Kind.ADMISSION_HELD | Kind.SLICES_MOVED | Kind.BUDGET_MOVED:
            return _of_slices(kind, story)
        case Kind.DEAD_LETTERED:
            return f"set aside a claim of {shown(story.get('user_id', '?'))}: {story['error']}"
        case Kind.CORRECTED:
            what, campaign = shown(story["subject"]), shown(story["campaign"]["name"])
            return f"corrected {what} of campaign {campaign} by {shown(story['by'])}: {story['before']} became {story['after']}"
    raise KeyError(kind)


def _of_slices(kind: str, story: dict[str, Any]) -> str:
    campaign = story["campaign"]
    if kind == Kind.BUDGET_MOVED:
        moved = f"{story['slots']:+,} slots, {story['amount']:+,} minor units"
        return f"budget    of slice {story['slice_no']} of the campaign {shown(campaign['code'])}: {moved}"
    if kind == Kind.ADMISSION_HELD:
        return f"held      campaign {shown(campaign['name'])} by {shown(story['by'])}, because its slices move"
    places = ", ".join(str(part["partition_no"]) for part in campaign["slices"])
    return f"moved     campaign {shown(campaign['name'])} by {shown(story['by'])} to partitions {places}"


def _claim(story: dict[str, Any]) -> str:
    return f"{shown(story.get('spelling') or story['code'])} by {shown(story['user_id'])} for order {shown(story['order_id'])}"


def _worth(story: dict[str, Any]) -> str:
    given = story["discount_applied"]
    match given["type"]:
        case "percent":
            worth = f"{given['value']} %"
        case "amount":
            worth = f"{given['value']} {given['currency']} in minor units"
        case _:
            worth = "free shipping"
    held = f", held until {story['hold_expires_at']}" if story.get("hold_expires_at") else ""
    return f": {worth}{held}"


def shown(name: str) -> str:
    """A name that was typed by somebody, without what a terminal would obey."""
    return name if name.isprintable() else ascii(name)

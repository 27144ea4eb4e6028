"""Single-use codes over HTTP, for administrators: mint them, and carry them away as CSV."""

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from typing import Annotated, assert_never

import msgspec
from aiohttp import web

from frontdoor.administration import administrator, call_named, campaign_named, faulty
from frontdoor.bodies import read_body
from frontdoor.parse import UserName
from frontdoor.problems import (
    CAMPAIGN_ENDED,
    CAMPAIGN_UNKNOWN,
    NOTHING_TO_MINT,
    PATTERN_TOO_SMALL,
    REFUSALS,
    TOO_MANY_CODES,
    Problem,
    accepted,
)
from frontdoor.replies import refuse, reply
from frontdoor.strict_json import decode, field_problem
from shared import codes
from shared.answered import KeyReused
from shared.campaign_reading import read
from shared.campaigns import CampaignEnded, CampaignUnknown, Faulty
from shared.codes import CodesMinted, Minted, MintRefused, NothingToMint, PatternTooSmall, Wish
from shared.domain.ids import CampaignId, UserId
from shared.domain.outcomes import Refusal
from shared.postgres import Pool

routes = web.RouteTableDef()

MAX_CODES = 50_000
MAX_BODY_BYTES = 1024 * 1024

Spelling = Annotated[str, msgspec.Meta(max_length=128)]


class MintBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many codes, or for whom: one of `count`, `users` and `user`. In `pattern` every # is drawn out of `charset`."""

    count: Annotated[int, msgspec.Meta(ge=1)] | None = None
    users: Annotated[list[UserName], msgspec.Meta(min_length=1)] | None = None
    user: UserName | None = None
    pattern: Spelling | None = None
    charset: Spelling | None = None
    prefix: Spelling | None = None


@routes.post("/api/v1/campaigns/{campaign_id}/codes")
async def mint_codes(request: web.Request) -> web.Response:
    """New single-use codes, all or none; the same answer again to a call with the same Idempotency-Key."""
    door, by = administrator(request)
    named = campaign_named(request)
    body = accepted(decode(accepted(await read_body(request, MAX_BODY_BYTES)), MintBody))
    wish = accepted(_wish(body))
    made = await codes.mint(door.pool, named, wish, by, call_named(request, by, body))
    if isinstance(made, CodesMinted):
        await door.codes_added()
        return reply(made, 201)
    if not isinstance(made, Minted):
        return refuse(_problem(made))
    settled, campaign = door.settle_all(made.committed.settlements), made.committed.campaign
    await asyncio.gather(settled, door.campaigns.changed(campaign), door.codes_added())
    return reply(codes.told(made, wish), 201)


@routes.get("/api/v1/campaigns/{campaign_id}/codes")
async def export_codes(request: web.Request) -> web.Response:
    """The campaign's single-use codes as CSV, however many there are: they pass through page by page."""
    door, _ = administrator(request)
    named = campaign_named(request)
    async with door.pool.acquire(timeout=1) as connection:
        if await read(connection, named) is None:
            return refuse(CAMPAIGN_UNKNOWN)
    headers = {"Content-Disposition": f'attachment; filename="codes-{named}.csv"'}
    return web.Response(body=_lines(door.pool, named), content_type="text/csv", charset="utf-8", headers=headers)


async def _lines(pool: Pool, campaign_id: CampaignId) -> AsyncIterator[bytes]:
    yield b"code,state,intended_user,claimed_by,claimed_at\r\n"
    async for page in codes.exported(pool, campaign_id):
        text = io.StringIO()
        csv.writer(text).writerows(
            (shown, state, intended, claimed_by, claimed_at and claimed_at.isoformat())
            for _, shown, state, intended, claimed_by, claimed_at in page
        )
        yield text.getvalue().encode()


def _wish(body: MintBody) -> Wish | Problem:
    if [body.count, body.users, body.user].count(None) != 2:
        return field_problem("count", "or users or user must be given, and one of them only")
    wanted = body.count or len(body.users or [body.user])
    if wanted > MAX_CODES:
        return TOO_MANY_CODES.carrying(max=MAX_CODES)
    if body.count is not None:
        return Wish([None] * body.count, body.pattern, body.charset, body.prefix)
    users = body.users or [body.user or ""]
    if any("\0" in user for user in users):
        return field_problem("users", "must not hold NUL")
    return Wish([UserId(user) for user in users], body.pattern, body.charset, body.prefix)


def _problem(refusal: MintRefused) -> Problem:
    match refusal:
        case CampaignUnknown():
            return CAMPAIGN_UNKNOWN
        case CampaignEnded():
            return CAMPAIGN_ENDED
        case NothingToMint():
            return NOTHING_TO_MINT
        case PatternTooSmall(space):
            return PATTERN_TOO_SMALL.carrying(space=space)
        case Faulty(faults):
            return faulty(faults)
        case KeyReused():
            return REFUSALS[Refusal.KEY_REUSED]
        case _:
            assert_never(refusal)

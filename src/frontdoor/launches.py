"""Launches over HTTP, for administrators: when a campaign will be rushed for, so that the velocity guard does not mind."""

from aiohttp import web

from frontdoor.administration import administrator, campaign_named, faulty
from frontdoor.bodies import read_body
from frontdoor.campaign_shapes import CampaignInFull, in_full
from frontdoor.problems import CAMPAIGN_UNKNOWN, accepted
from frontdoor.replies import refuse, reply
from frontdoor.strict_json import decode
from shared import campaign_reading, clock, velocity
from shared.campaign_reading import Known
from shared.domain.launch import LaunchDraft, announced
from shared.domain.velocity import Launch
from shared.postgres import Connection

routes = web.RouteTableDef()


@routes.post("/api/v1/campaigns/{campaign_id}/launches")
async def announce_launch(request: web.Request) -> web.Response:
    """The campaign with all that is announced for it, this launch too."""
    door, by = administrator(request)
    named = campaign_named(request)
    draft = accepted(decode(accepted(await read_body(request)), LaunchDraft))
    async with door.pool.acquire(timeout=1) as connection:
        known = await campaign_reading.read(connection, named)
        if known is None:
            return refuse(CAMPAIGN_UNKNOWN)
        launch = announced(draft, known.campaign.timezone, clock.utc_now())
        if not isinstance(launch, Launch):
            return refuse(faulty(launch))
        await velocity.announce(connection, named, launch, by)
        return reply(await read_in_full(connection, known), 201)


async def read_in_full(connection: Connection, known: Known) -> CampaignInFull:
    """A campaign with what is announced for it, and why the guard paused it."""
    named = known.campaign.campaign_id
    return in_full(known, await velocity.launches(connection, named), await velocity.pause_in_force(connection, named))

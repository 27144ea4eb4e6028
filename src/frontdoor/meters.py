"""What operators' machines ask of the admin port alone, for it tells how business goes: how much."""

from aiohttp import web

from shared.metrics import exposition

routes = web.RouteTableDef()


@routes.get("/metrics")
async def metrics(_: web.Request) -> web.Response:
    """Prometheus's text format; what all processes of this machine have counted."""
    body, content_type = exposition()
    return web.Response(body=body, headers={"Content-Type": content_type})

"""Bare aiohttp: one POST route that reads the body and answers constant JSON. What the machine can do when nothing is done."""

from aiohttp import web

from loadtest.peers.serving import arguments, serve


async def answer(request: web.Request) -> web.Response:
    await request.read()
    return web.Response(body=b'{"valid":true}', content_type="application/json")


def make_app() -> web.Application:
    app = web.Application()
    # The path of Lastslot's redeem, so that every server is sent the very same bytes.
    app.router.add_post("/api/v1/coupons/redeem", answer)
    app.router.add_post("/api/v1/coupons/validate", answer)
    return app


if __name__ == "__main__":
    serve(make_app, arguments().parse_args().port)

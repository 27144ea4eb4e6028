"""What both peers with a database do before they decide: read the token, read the body."""

import json
from typing import Any

import jwt
import msgspec
from aiohttp import web


class Claim(msgspec.Struct, frozen=True):
    """A redeem request as its sender meant it."""

    user: str
    key: str
    code: str
    order_id: str


async def read_claim(request: web.Request, secret: str) -> Claim:
    """Raises an HTTP error when the token is bad or something is missing."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme != "Bearer":
        raise web.HTTPUnauthorized
    try:
        user = jwt.decode(token, secret, algorithms=["HS256"], options={"require": ["sub", "exp"]})["sub"]
    except jwt.InvalidTokenError:
        raise web.HTTPUnauthorized from None
    try:
        body = await request.json()
        return Claim(user, request.headers["Idempotency-Key"], body["code"], body["order_id"])
    except (ValueError, KeyError, TypeError):
        raise web.HTTPBadRequest from None


def redeemed(status: int, claim: Claim, redemption_id: object) -> web.Response:
    """The success, with what a cart needs to go on."""
    body: dict[str, Any] = {
        "redemption_id": str(redemption_id),
        "code": claim.code,
        "state": "claimed",
        "discount_applied": {"type": "amount", "value": 1000, "currency": "EUR"},
    }
    return web.json_response(body, status=status)


def refused(status: int, code: str) -> web.Response:
    """A refusal as application/problem+json."""
    body = json.dumps({"type": f"https://lastslot.dev/problems/{code}", "title": code, "status": status, "code": code})
    return web.Response(text=body, status=status, content_type="application/problem+json")

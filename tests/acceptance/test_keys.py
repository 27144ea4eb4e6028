"""A front door that goes by published keys and has no secret: whose tokens it believes, also while the keys change."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from lastslot.ports import free_port
from lastslot.running import Stack
from shared.clock import unix_now
from tests.acceptance.client import Client, until
from tests.acceptance.history import Reply
from tests.acceptance.stacks import extra_door
from tests.unit.frontdoor.keys import FAMILIES, jwk, jwks, signed

NAMED = {"aud": "coupons", "iss": "https://issuer.example"}


class Shop:
    """A door that goes by the keys of a file, and its issuer."""

    def __init__(self, client: Client, url: str, admin_url: str, keys: Path) -> None:
        self._client = client
        self._url = url
        self._admin_url = admin_url
        self._keys = keys

    def publish(self, *keys: Any) -> None:
        beside = self._keys.with_suffix(".new")
        beside.write_bytes(jwks(*keys))
        beside.replace(self._keys)

    async def redeem(self, campaign: dict[str, Any], user: str, token: str) -> Reply:
        return await self._send("POST", "/api/v1/coupons/redeem", token, {"code": campaign["code"], "order_id": f"of {user}"})

    async def validate(self, campaign: dict[str, Any], token: str) -> Reply:
        return await self._send("POST", "/api/v1/coupons/validate", token, {"code": campaign["code"]})

    async def orders(self, token: str) -> Reply:
        return await self._send("GET", "/api/v1/orders/1/redemptions", token)

    async def campaigns(self, token: str) -> Reply:
        headers = {"Authorization": f"Bearer {token}"}
        return await self._client.send("GET", f"{self._admin_url}/api/v1/campaigns", headers)

    async def _send(self, method: str, path: str, token: str, body: Any = None) -> Reply:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Idempotency-Key": "k"}
        data = None if body is None else json.dumps(body).encode()
        return await self._client.send(method, f"{self._url}{path}", headers, data)


def token(family: str, name: str, user: str, number: int = 0, **said: Any) -> str:
    claims = {"sub": user, "exp": int(unix_now()) + 3600, **NAMED, **said}
    return signed(json.dumps(claims).encode(), family, number, kid=name)


@pytest.fixture
async def shop(client: Client, stack: Stack, tmp_path: Path) -> AsyncIterator[Shop]:
    keys = tmp_path / "jwks.json"
    keys.write_bytes(jwks(*(jwk(family, family) for family in FAMILIES)))
    admin_port = str(free_port())
    told = {
        "LASTSLOT_JWKS": str(keys),
        "LASTSLOT_JWT_AUDIENCE": NAMED["aud"],
        "LASTSLOT_JWT_ISSUER": NAMED["iss"],
        "LASTSLOT_ADMIN_PORT": admin_port,
    }
    with extra_door(stack, **told) as url:
        yield Shop(client, url, f"http://127.0.0.1:{admin_port}", keys)


async def test_tokens_of_published_keys_open_everything_that_their_scope_opens(client: Client, shop: Shop) -> None:
    campaign = await client.campaign()
    for family in FAMILIES:
        user = client.user(family)
        assert (await shop.redeem(campaign, user, token(family, family, user))).status == 201
        assert (await shop.campaigns(token(family, family, "ops"))).code == "scope_required"
        assert (await shop.campaigns(token(family, family, "ops", scope="admin"))).status == 200


async def test_what_another_family_or_issuer_signed_opens_nothing(client: Client, shop: Shop) -> None:
    campaign = await client.campaign()
    user = client.user("ann")
    refused = {
        "algorithm_not_accepted": client.bearer(user).removeprefix("Bearer "),
        "signature_wrong": token("ES256", "ES256", user, number=1),
        "key_unknown": token("ES256", "nobody", user),
        "audience": token("ES256", "ES256", user, aud="billing"),
        "issuer": token("ES256", "ES256", user, iss="https://evil.example"),
        "expired": token("ES256", "ES256", user, exp=1),
    }
    for reason, bad in refused.items():
        for reply in (await shop.redeem(campaign, user, bad), await shop.orders(bad), await shop.campaigns(bad)):
            assert (reply.status, reply.code, reply.body["reason"]) == (401, "token_invalid", reason)


async def test_keys_change_while_the_door_serves(client: Client, shop: Shop) -> None:
    """The first token of a new key is believed at once, and a remembered one of a withdrawn key is not believed any more."""
    campaign = await client.campaign()
    ann, bob, cat = (client.user(name) for name in ("ann", "bob", "cat"))
    old, new = token("ES256", "ES256", ann), token("ES256", "next", bob, number=1)
    assert (await shop.redeem(campaign, ann, old)).status == 201
    shop.publish(jwk("ES256", "next", 1))
    assert (await shop.redeem(campaign, bob, new)).status == 201, "and at the first asking"
    for reply in (await shop.redeem(campaign, ann, old), await shop.validate(campaign, old), await shop.orders(old)):
        assert (reply.status, reply.body["reason"]) == (401, "key_unknown")
    shop.publish(jwk("EdDSA", "last", 1))

    async def cat_is_believed() -> bool:
        return (await shop.orders(token("EdDSA", "last", cat, number=1))).status == 200

    await until(cat_is_believed)
    assert (await shop.redeem(campaign, bob, new)).body["reason"] == "key_unknown"

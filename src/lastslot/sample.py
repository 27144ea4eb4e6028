"""A campaign to try the engine with: made once per database, through the admin API like any other."""

from typing import Any

import aiohttp

from shared.errors import LastslotError

SAMPLE_CODE = "WELCOME10"
_CAMPAIGN = {
    "name": "Ten percent off, to say welcome",
    "type": "shared",
    "code": SAMPLE_CODE,
    "discount": {"type": "percent", "value": 10, "currency": "EUR"},
    "total_limit": 1000,
    "per_user_limit": 1,
    "timezone": "Europe/Amsterdam",
    "starts_at": None,
    "ends_at": None,
}


class SampleRefused(LastslotError):
    """The sample campaign could not be created."""


async def ensure_sample(base_url: str, admin_token: str) -> str:
    """The sample campaign's id; it is created when its code is not taken yet."""
    headers = {"Authorization": f"Bearer {admin_token}"}
    async with aiohttp.ClientSession(base_url, headers=headers, timeout=aiohttp.ClientTimeout(total=10)) as session:
        known = await _answer(session, "GET", f"/api/v1/campaigns?code={SAMPLE_CODE}")
        if known["campaigns"]:
            return str(known["campaigns"][0]["campaign_id"])
        return str((await _answer(session, "POST", "/api/v1/campaigns", _CAMPAIGN))["campaign_id"])


async def _answer(session: aiohttp.ClientSession, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    async with session.request(method, path, json=body) as response:
        if not response.ok:
            raise SampleRefused(f"{method} {path} was answered {response.status}: {await response.text()}")
        answer: dict[str, Any] = await response.json()
        return answer

"""The environment, read once at the start of a process. No other module reads it."""

import os
from typing import Annotated, Literal

import msgspec

from shared.errors import SettingInvalid

Positive = Annotated[int, msgspec.Meta(gt=0)]
Quota = Annotated[int, msgspec.Meta(gt=0, le=60_000)]
Filled = Annotated[str, msgspec.Meta(min_length=1)]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a process of Lastslot is told from outside: each field is read from `LASTSLOT_` and its name in capitals."""

    postgres_dsn: Filled
    redis_url: Filled
    jwt_secret: Annotated[str, msgspec.Meta(min_length=32)] | None = None
    jwks: Filled | None = None
    jwks_refresh_s: Annotated[float, msgspec.Meta(ge=1)] = 300.0
    jwt_audience: Filled | None = None
    jwt_issuer: Filled | None = None
    jwt_leeway_s: Annotated[float, msgspec.Meta(ge=0, le=300)] = 0.0
    host: str = "127.0.0.1"
    port: Port = 8080
    admin_host: str = "127.0.0.1"
    admin_port: Port | None = None
    log_format: Literal["json", "console", "auto"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    lease_ttl_s: Annotated[float, msgspec.Meta(ge=0.3)] = 3.0
    batch_max: Positive = 512
    mailbox_max: Positive = 20_000
    connections_per_ip: Annotated[int, msgspec.Meta(ge=0)] = 4_000
    waiters_max: Positive = 20_000
    campaign_cache_max: Positive = 10_000
    code_cache_max: Positive = 100_000
    token_cache_max: Positive = 50_000
    postgres_pool: Positive = 8
    filter_dir: Filled | None = None
    trusted_proxies: Annotated[int, msgspec.Meta(ge=0)] = 0
    velocity_factor: Annotated[int, msgspec.Meta(ge=2)] = 100
    velocity_floor: Positive = 1_000
    alert_webhook: Annotated[str, msgspec.Meta(pattern="^https?://")] | None = None
    attempts_max: Positive = 100_000
    attempts_keep_months: Positive = 3
    rate_limits: Literal["on", "off"] = "on"
    validate_per_minute: Quota = 10
    redeem_per_minute: Quota = 5
    limited_max: Positive = 100_000
    crash_at: Annotated[str, msgspec.Meta(pattern="^[FMW][0-9](:[1-9][0-9]*)?$")] | None = None


def from_environment() -> Settings:
    """Settings out of LASTSLOT_* variables. Raises SettingInvalid, naming the variable, when one is missing or wrong."""
    given = {field: os.environ[name] for field in Settings.__struct_fields__ if (name := _variable(field)) in os.environ}
    missing = [
        _variable(field.name) for field in msgspec.structs.fields(Settings) if field.required and field.name not in given
    ]
    if missing:
        raise SettingInvalid(f"{missing[0]} is not set")
    if given.keys().isdisjoint(("jwt_secret", "jwks")):
        raise SettingInvalid("neither LASTSLOT_JWT_SECRET nor LASTSLOT_JWKS is set")
    try:
        settings = msgspec.convert(given, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise SettingInvalid(f"{_named(str(error))}") from None
    if settings.port == 65535 and settings.admin_port is None:
        raise SettingInvalid("LASTSLOT_ADMIN_PORT is not set, and there is no port after LASTSLOT_PORT")
    return settings


def _variable(field: str) -> str:
    return f"LASTSLOT_{field.upper()}"


def _named(fault: str) -> str:
    # msgspec says where as "… - at `$.port`"; the reader knows the variable, not the path.
    what, _, path = fault.partition(" - at `$.")
    return f"{_variable(path.rstrip('`'))}: {what}"

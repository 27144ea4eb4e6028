"""What the environment says, and what it has to say."""

import pytest

from shared.errors import SettingInvalid
from shared.settings import Settings, from_environment

STORES = {"LASTSLOT_POSTGRES_DSN": "postgresql://", "LASTSLOT_REDIS_URL": "redis://"}
SECRET = {"LASTSLOT_JWT_SECRET": "s" * 32}


def read(monkeypatch: pytest.MonkeyPatch, **told: str) -> Settings:
    for name in ("POSTGRES_DSN", "REDIS_URL", *(field.upper() for field in Settings.__struct_fields__)):
        monkeypatch.delenv(f"LASTSLOT_{name}", raising=False)
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    return from_environment()


def test_a_secret_or_a_key_set_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(monkeypatch, **STORES, **SECRET).jwks is None
    assert read(monkeypatch, **STORES, LASTSLOT_JWKS="/etc/jwks.json").jwt_secret is None
    with pytest.raises(SettingInvalid, match="neither LASTSLOT_JWT_SECRET nor LASTSLOT_JWKS is set"):
        read(monkeypatch, **STORES)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LASTSLOT_JWT_SECRET", "short"),
        ("LASTSLOT_JWKS", ""),
        ("LASTSLOT_JWKS_REFRESH_S", "0"),
        ("LASTSLOT_JWT_AUDIENCE", ""),
        ("LASTSLOT_JWT_LEEWAY_S", "-1"),
        ("LASTSLOT_ADMIN_PORT", "0"),
        ("LASTSLOT_PORT", "http"),
    ],
)
def test_what_is_wrong_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    with pytest.raises(SettingInvalid, match=f"^{name}: "):
        read(monkeypatch, **(STORES | SECRET | {name: value}))


def test_the_admin_port_may_be_left_to_the_public_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(monkeypatch, **STORES, **SECRET).admin_port is None
    assert read(monkeypatch, **STORES, **SECRET, LASTSLOT_ADMIN_PORT="9000").admin_port == 9000


def test_the_last_port_needs_an_admin_port_to_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingInvalid, match="LASTSLOT_ADMIN_PORT is not set"):
        read(monkeypatch, **STORES, **SECRET, LASTSLOT_PORT="65535")
    assert read(monkeypatch, **STORES, **SECRET, LASTSLOT_PORT="65535", LASTSLOT_ADMIN_PORT="9000").admin_port == 9000

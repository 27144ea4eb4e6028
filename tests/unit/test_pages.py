"""What the pages name is there, and what is there they name."""

import re
from pathlib import Path

import msgspec
import pytest

from shared.settings import Settings

ROOT = Path(__file__).parents[2]
GUARANTEES = (ROOT / "docs" / "guarantees.md").read_text()
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
TESTS = {name for file in (ROOT / "tests").rglob("test_*.py") for name in re.findall(r"def (test_\w+)", file.read_text())}


@pytest.mark.parametrize("named", re.findall(r"`((?:test|…)_\w*…?)`", GUARANTEES))
def test_what_shows_a_guarantee_is_a_test(named: str) -> None:
    pattern = ".*".join(map(re.escape, named.split("…")))
    assert sum(re.fullmatch(pattern, name) is not None for name in TESTS) == 1


def default(field: msgspec.structs.FieldInfo) -> str:
    return "required" if field.required else "none" if field.default is None else str(field.default)


def test_every_setting_is_told_to_operators_with_its_default() -> None:
    told: dict[str, str] = {}
    for names, defaults in re.findall(r"^\| (`LASTSLOT_[^|]*) \| ([^|]*) \|", OPERATIONS, re.MULTILINE):
        told |= dict(zip(re.findall(r"`(\w+)`", names), defaults.split(", "), strict=True))
    assert told == {f"LASTSLOT_{field.name.upper()}": default(field) for field in msgspec.structs.fields(Settings)}

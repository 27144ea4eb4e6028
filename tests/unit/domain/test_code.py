"""What a person types and what is stored."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.code import MAX_CODE_LENGTH, normal_form


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("BLACKFRI100", "BLACKFRI100"),
        ("blackfri100", "BLACKFRI100"),
        ("  BlackFri100\t\n", "BLACKFRI100"),
        ("save-10_%", "SAVE-10_%"),
        ("ＢＬＡＣＫ１００", "BLACK100"),
        ("cafe\u0301", "CAFÉ"),
        ("straße", "STRASSE"),
        ("ﬁn", "FIN"),
        ("🎉", "🎉"),
        ("x" * MAX_CODE_LENGTH, "X" * MAX_CODE_LENGTH),
    ],
)
def test_codes_have_one_normal_form(typed: str, stored: str) -> None:
    assert normal_form(typed) == stored


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "   ",
        "TWO WORDS",
        "A\u00a0B",
        "A\u2003B",
        "A\tB",
        "A\nB",
        "A\0B",
        "A\x7f",
        "A\u200bB",
        "A\u202eB",
        "A\ud800",
        "\ufeffA",
        "x" * (MAX_CODE_LENGTH + 1),
        "é" * (MAX_CODE_LENGTH + 1),
        "x" * 10_240,
        "é" * 10_240,
        "ß" * (MAX_CODE_LENGTH // 2 + 1),
    ],
)
def test_what_cannot_be_a_code_has_none(typed: str) -> None:
    assert normal_form(typed) is None


@given(st.text(max_size=80))
def test_the_normal_form_of_a_normal_form_is_itself(typed: str) -> None:
    stored = normal_form(typed)
    if stored is not None:
        assert normal_form(stored) == stored
        assert stored.encode()
        assert 0 < len(stored) <= MAX_CODE_LENGTH


@given(st.text(max_size=80))
def test_case_and_surrounding_space_make_no_other_code(typed: str) -> None:
    if typed.isascii():
        assert normal_form(f" {typed.lower()}\n") == normal_form(typed)

"""Codes are drawn evenly out of a space that is large enough, and are their own normal form."""

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.code import normal_form
from shared.domain.draft import Fault
from shared.domain.minting import CROCKFORD, Recipe, bytes_for, code_of, recipe, spellings, too_small


def made(pattern: str | None = None, charset: str | None = None, prefix: str | None = None, exact: bool = False) -> Recipe:
    understood = recipe(pattern, charset, prefix, exact=exact)
    assert isinstance(understood, Recipe), understood
    return understood


def minted(made_of: Recipe, count: int, seed: int = 1) -> list[str]:
    return spellings(made_of, Random(seed).randbytes(bytes_for(made_of, count)), count)


def test_without_a_wish_a_code_is_twelve_characters_that_nobody_misreads() -> None:
    codes = minted(made(), 1_000)
    assert {len(code) for code in codes} == {12}
    assert set("".join(codes)) == set(CROCKFORD)
    assert not set("ILOU") & set(CROCKFORD)


def test_a_pattern_keeps_its_letters_and_a_prefix_goes_before_it() -> None:
    assert all(code.startswith("BLACKFRI-") and len(code) == 13 for code in minted(made("blackfri-####"), 100))
    assert all(code.startswith("VIP") and len(code) == 15 for code in minted(made(prefix="vip"), 100))
    assert all(
        code[:2] + code[4:7] == "A%%S-" and code[2:4].isdigit() for code in minted(made("%##%s-#", "0123456789", "a"), 9)
    )


def test_an_exact_campaign_keeps_what_is_lower_case() -> None:
    codes = minted(made("Vip-####", "abcXYZ", exact=True), 1_000)
    assert all(code.startswith("Vip-") for code in codes)
    assert set("".join(code[4:] for code in codes)) == set("abcXYZ")
    assert set("".join(minted(made("vip-####", "abcXYZ"), 1_000))) == set("VIP-ABCXYZ")


@pytest.mark.parametrize(
    "charset", ["01", "0123456789", CROCKFORD, "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "".join(map(chr, range(33, 127)))]
)
def test_every_character_is_equally_likely(charset: str) -> None:
    drawn = Counter("".join(minted(made("#" * 10, charset, exact=True), 20_000)))
    expected = drawn.total() / len(charset)
    assert drawn.keys() == set(charset)
    # Chi-squared, far beyond what chance allows: a byte taken modulo the size would be off by 30 % somewhere.
    assert sum((seen - expected) ** 2 / expected for seen in drawn.values()) < 2.5 * len(charset) + 20


@pytest.mark.parametrize("charset", ["01", "0123456789", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"])
@pytest.mark.parametrize("count", [1, 7, 10_000])
def test_the_bytes_that_are_asked_for_are_enough(charset: str, count: int) -> None:
    assert len(minted(made("########", charset), count)) == count


def test_too_few_bytes_make_fewer_codes() -> None:
    assert spellings(made(), b"", 5) == []
    assert len(spellings(made("####"), bytes(11), 5)) == 2


@given(st.text(max_size=20), st.text(min_size=2, max_size=20), st.booleans())
def test_what_is_minted_can_be_typed(pattern: str, charset: str, exact: bool) -> None:
    understood = recipe(pattern + "##", charset, None, exact=exact)
    if isinstance(understood, Recipe):
        for spelled in minted(understood, 20):
            assert code_of(spelled) == normal_form(spelled)
            assert exact or spelled == normal_form(spelled)


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        (("NOHASH", None, None), "pattern"),
        (("", None, None), "pattern"),
        (("", None, "VIP"), "pattern"),
        (("A B##", None, None), "pattern"),
        (("#" * 65, None, None), "pattern"),
        (("##\u0301", None, None), "pattern"),
        (("##\n#", None, None), "pattern"),
        ((None, None, "X" * 53), "prefix"),
        ((None, None, "#"), "prefix"),
        (("##", "A", None), "charset"),
        (("##", "aA", None), "charset"),
        (("##", "ÄÖ", None), "charset"),
        (("##", "A B", None), "charset"),
        (("##", "\0A", None), "charset"),
    ],
)
def test_a_wish_that_makes_no_codes_names_its_field(wish: tuple[str | None, str | None, str | None], field: str) -> None:
    understood = recipe(*wish, exact=False)
    assert isinstance(understood, Fault)
    assert understood.field == field


def test_accents_that_belong_to_letters_of_the_pattern_are_welcome() -> None:
    assert all(code.startswith("FRÜHLING-") for code in minted(made("fru\u0308hling-####"), 10))


@pytest.mark.parametrize(("codes", "small"), [(1, False), (10_485, False), (10_486, True), (10**9, True)])
def test_a_space_holds_a_hundredth_of_what_is_possible(codes: int, small: bool) -> None:
    assert too_small(made("BLACKFRI-####"), codes) is small


def test_upper_and_lower_case_are_one_code_also_where_the_spelling_counts() -> None:
    assert made("##", "abAB", exact=True).space == 4

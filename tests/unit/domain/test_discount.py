"""What a campaign gives, in integer minor units."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.discount import MAX_SUBTOTAL, Applied, Discount, amount, apply, estimate, fault

AMOUNT = Discount("amount", 500, "EUR")
TENTH = Discount("percent", 10)
SHIPPING = Discount("free_shipping")


@pytest.mark.parametrize("discount", [AMOUNT, TENTH, Discount("percent", 100, "EUR"), Discount("percent", 1), SHIPPING])
def test_a_sound_discount_has_no_fault(discount: Discount) -> None:
    assert fault(discount) is None


@pytest.mark.parametrize(
    ("discount", "field"),
    [
        (Discount("amount", 0, "EUR"), "value"),
        (Discount("amount", -1, "EUR"), "value"),
        (Discount("amount", 5), "currency"),
        (Discount("amount", 5, "eur"), "currency"),
        (Discount("amount", 5, "EURO"), "currency"),
        (Discount("amount", 5, "ÉUR"), "currency"),
        (Discount("amount", 5, "E1R"), "currency"),
        (Discount("percent", 0), "value"),
        (Discount("percent", 101), "value"),
        (Discount("percent", 10, ""), "currency"),
        (Discount("free_shipping", 1), "value"),
    ],
)
def test_a_faulty_discount_names_its_field(discount: Discount, field: str) -> None:
    assert f"discount.{field}" in (fault(discount) or "")


@pytest.mark.parametrize(
    ("discount", "subtotal", "off"),
    [
        (AMOUNT, 2_000, 500),
        (AMOUNT, 500, 500),
        (AMOUNT, 499, 499),
        (AMOUNT, 0, 0),
        (AMOUNT, None, None),
        (TENTH, 1_000, 100),
        (TENTH, 1_004, 100),
        (TENTH, 1_006, 101),
        (TENTH, 1_005, 100),
        (TENTH, 1_015, 102),
        (TENTH, 0, 0),
        (TENTH, None, None),
        (Discount("percent", 100), 12_345, 12_345),
        (SHIPPING, 2_000, None),
    ],
)
def test_the_estimate_is_capped_and_rounds_half_to_even(discount: Discount, subtotal: int | None, off: int | None) -> None:
    assert estimate(discount, subtotal) == off


@given(st.integers(1, 100), st.integers(0, 2**53))
def test_a_percentage_is_exact_integer_arithmetic(percent: int, subtotal: int) -> None:
    off = estimate(Discount("percent", percent), subtotal)
    assert off is not None
    assert 0 <= off <= subtotal
    assert abs(100 * off - percent * subtotal) <= 50


def test_the_snapshot_keeps_the_terms_and_the_cart() -> None:
    assert apply(TENTH, 1_000) == Applied("percent", 10, None, 1_000, 100)
    assert apply(AMOUNT, None) == Applied("amount", 500, "EUR", None, None)


@pytest.mark.parametrize(
    ("offered", "subtotal", "taken"),
    [
        (Discount("amount", 500, "EUR"), None, 500),
        (Discount("amount", 500, "EUR"), 300, 300),
        (Discount("amount", 500, "EUR"), 900, 500),
        (Discount("amount", 2**53 - 1, "EUR"), None, MAX_SUBTOTAL),
        (Discount("percent", 15), 1_010, 152),
        (Discount("percent", 15), 1_030, 154),
        (Discount("percent", 15), None, 0),
        (Discount("free_shipping"), 900, 0),
        (Discount("free_shipping"), None, 0),
    ],
)
def test_what_a_redemption_takes_of_the_money(offered: Discount, subtotal: int | None, taken: int) -> None:
    assert amount(offered, subtotal) == taken

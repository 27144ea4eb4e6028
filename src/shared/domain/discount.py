"""What a campaign gives: an amount, a percentage, or free shipping, in integer minor units."""

from typing import Literal

import msgspec

#: No cart is larger, in minor units: what nine million of them take of a campaign's money is still a bigint.
MAX_SUBTOTAL = 10**12

DiscountType = Literal["amount", "percent", "free_shipping"]


class Discount(msgspec.Struct, frozen=True):
    """`value` is minor units for "amount", whole percent (1–100) for "percent", and 0 for "free_shipping"."""

    type: DiscountType
    value: int = 0
    currency: str | None = None


class Applied(msgspec.Struct, frozen=True):
    """The snapshot kept with a redemption; it never changes, whatever becomes of the campaign.

    `amount` is the estimate in minor units for the subtotal that was given, None when none was or the discount is not money.
    """

    type: DiscountType
    value: int
    currency: str | None
    subtotal: int | None
    amount: int | None


def fault(discount: Discount) -> str | None:
    """Why a discount cannot be offered, in words for its author; None when it can."""
    match discount.type:
        case "amount":
            if discount.value <= 0:
                return "discount.value must be a positive number of minor units"
            if discount.currency is None:
                return "discount.currency is required for an amount"
        case "percent":
            if not 1 <= discount.value <= 100:
                return "discount.value must be between 1 and 100 percent"
        case "free_shipping":
            if discount.value != 0:
                return "discount.value must be 0 for free shipping"
    currency = discount.currency
    if currency is not None and not (len(currency) == 3 and currency.isascii() and currency.isalpha() and currency.isupper()):
        return "discount.currency must be a three-letter ISO 4217 code in capitals"
    return None


def apply(discount: Discount, subtotal: int | None) -> Applied:
    """The snapshot for a cart of `subtotal` minor units."""
    return Applied(discount.type, discount.value, discount.currency, subtotal, estimate(discount, subtotal))


def estimate(discount: Discount, subtotal: int | None) -> int | None:
    """Minor units off a cart of `subtotal`: percent rounded half to even, never more than the subtotal."""
    if subtotal is None:
        return None
    match discount.type:
        case "amount":
            return min(discount.value, subtotal)
        case "percent":
            whole, rest = divmod(subtotal * discount.value, 100)
            return whole + (rest > 50 or (rest == 50 and whole % 2 == 1))
        case "free_shipping":
            return None


def amount(discount: Discount, subtotal: int | None) -> int:
    """Minor units that a redemption takes of its campaign's money: without a subtotal, as much as it may come to.

    No cart comes to more than MAX_SUBTOTAL, so neither does that.
    A percentage of an unknown subtotal counts as nothing: a campaign whose money is limited asks for the subtotal first.
    """
    if subtotal is None:
        return min(discount.value, MAX_SUBTOTAL) if discount.type == "amount" else 0
    return estimate(discount, subtotal) or 0

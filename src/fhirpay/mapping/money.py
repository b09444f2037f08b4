"""Amounts on the way in: HL7 CP, MO and NM → exact FHIR Money, and the sign rules of FT1.

Direction comes from the transaction type, magnitude from the amount; where the two disagree and the interface has no
rule for it, the line is refused (RuleBroken) and so parks. Nothing is rounded: an amount that its currency can't hold
is refused too. All arithmetic is exact, whatever the number of digits.
"""

from __future__ import annotations

from decimal import Context as Precision
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ..domain.money import EXPONENTS, Money, parse_decimal
from ..errors import FhirpayError, RequiredMissing, RuleBroken, ValueInvalid
from .paths import Slot

if TYPE_CHECKING:
    from .context import Context

_DIGITS_MAX = 18  # what a 64-bit count of minor units holds

_EXACT = Precision(prec=2 * _DIGITS_MAX + 2)


def number(slot: Slot, text: str | None = None) -> Decimal:
    """A decimal as written: 125.50 stays 125.50. Raises ValueInvalid with the address: `12..5`, `1e3`, `$5`."""
    try:
        value = parse_decimal(slot.text if text is None else text)
    except ValueInvalid as error:
        raise ValueInvalid(error.message, location=slot.address) from None
    if len(value.as_tuple().digits) > _DIGITS_MAX:
        raise ValueInvalid(f"a number of more than {_DIGITS_MAX} digits", location=slot.address)
    return value if value else value.copy_abs()  # there is no -0


def product(left: Decimal, right: Decimal) -> Decimal:
    """Exact: the context's precision would round a long one."""
    result = _EXACT.multiply(left, right)
    return result if result else result.copy_abs()


def amount(slot: Slot, ctx: Context) -> tuple[Decimal, str]:
    """An amount that can be owed, of a CP (or NM). Raises ValueInvalid, CodeInvalid with the address."""
    value, currency = price(slot, ctx)
    check(value, currency, slot.address)
    return value, currency


def price(slot: Slot, ctx: Context) -> tuple[Decimal, str]:
    """Value and currency of a CP (or NM); a unit price may be finer than its currency.

    CP.1 is an MO: `125.50&USD`. `125.50^USD` puts the currency where the price type belongs: taken, and said.
    """
    value, currency = number(slot, slot.part(1, 1)), slot.part(1, 2)
    if not currency and (misplaced := slot.part(2)) in EXPONENTS:
        currency = misplaced
        ctx.warn(f"{slot.address}: the currency stands in component 2; it belongs after & in component 1")
    currency = currency or ctx.interface.currency
    if currency not in EXPONENTS:
        check(Decimal(0), currency, slot.address)  # says what is wrong
    return value, currency


def check(value: Decimal, currency: str, location: str) -> None:
    """Raises ValueInvalid or CodeInvalid when `value` is no amount of `currency` that can be owed."""
    try:
        money = Money.of(value, currency) if len(value.as_tuple().digits) <= _DIGITS_MAX else None
    except FhirpayError as error:
        raise type(error)(error.message, location=location) from None
    if money is None or abs(money.minor) >= 10**_DIGITS_MAX:
        raise ValueInvalid("the amount is too large to keep", location=location)


def line_total(ctx: Context, extended: Slot, unit: Slot, quantity: Slot) -> tuple[Decimal, str, bool]:
    """The total of one FT1 with its currency, and whether a sign is negative anywhere.

    FT1-11, else FT1-12 × FT1-10. Both present and different: FT1-11 holds, and it is said. Raises RequiredMissing
    when neither is valued, ValueInvalid for what doesn't parse.
    """
    count = number(quantity) if quantity.text else Decimal(1)
    if not extended.part(1, 1):
        if not unit.part(1, 1):
            raise RequiredMissing(
                "neither FT1-11 nor FT1-12 is valued: the amount isn't known", location=extended.address
            )
        each, currency = price(unit, ctx)
        total = product(each, count)
        check(total, currency, unit.address)
        return total, currency, each < 0 or count < 0
    total, currency = amount(extended, ctx)
    if unit.part(1, 1):
        _compare(ctx, total, currency, extended, unit, count)
    return total, currency, total < 0 or count < 0


def _compare(ctx: Context, total: Decimal, currency: str, extended: Slot, unit: Slot, count: Decimal) -> None:
    try:
        each, other = price(unit, ctx)
    except FhirpayError as error:
        ctx.warn(str(error))  # FT1-11 holds anyway
        return
    if other != currency:
        raise RuleBroken(f"FT1-11 is in {currency}, FT1-12 in {other}", location=extended.address)
    if product(each, count).copy_abs() != total.copy_abs():
        ctx.warn(f"{extended.address}: FT1-11 differs from FT1-12 × FT1-10; FT1-11 holds")


def charge(ctx: Context, extended: Slot, unit: Slot, quantity: Slot) -> tuple[Decimal, str, bool]:
    """Signed total of a CG, its currency, and whether it counts as a credit (interface.negative_charge)."""
    total, currency, negative = line_total(ctx, extended, unit, quantity)
    if not negative:
        return total, currency, False
    if ctx.interface.negative_charge != "credit":
        raise RuleBroken(
            "a charge with a negative amount or quantity: the interface doesn't say that this is a credit "
            "(negative_charge)",
            location=extended.address,
        )
    return _negated(total), currency, True


def credit(ctx: Context, extended: Slot, unit: Slot, quantity: Slot) -> tuple[Decimal, str]:
    """Negative total of a CD and its currency. Raises RuleBroken where its sign reads both ways (credit_sign)."""
    total, currency, negative = line_total(ctx, extended, unit, quantity)
    rule = ctx.interface.credit_sign
    if negative and rule != "signed":
        raise RuleBroken(
            "a credit with a negative amount or quantity reads both ways: say in the interface how credits are "
            "signed (credit_sign)",
            location=extended.address,
        )
    if not negative and rule == "signed" and total:
        raise RuleBroken(
            "the interface says that credits are negative; this one is positive", location=extended.address
        )
    return _negated(total), currency


def payment(ctx: Context, extended: Slot, unit: Slot, quantity: Slot, *, takes_back: bool) -> tuple[Decimal, str]:
    """Total of a PY and its currency: positive for money that was received, negative for a payment taken back.

    `takes_back`: its FT1-6 says so, whatever its sign. Raises RuleBroken where the sign reads both ways (payment_sign).
    """
    total, currency, negative = line_total(ctx, extended, unit, quantity)
    rule = ctx.interface.payment_sign
    if negative and rule == "park" and not takes_back:
        raise RuleBroken(
            "a payment with a negative amount or quantity reads both ways: say in the interface how payments are "
            "signed (payment_sign)",
            location=extended.address,
        )
    if takes_back or (rule == "positive" and negative) or (rule == "negative" and not negative):
        return _negated(total), currency
    return total.copy_abs(), currency


def adjustment(ctx: Context, extended: Slot, unit: Slot, quantity: Slot) -> tuple[Decimal, str]:
    """Total of an AJ and its currency: positive where it lowers what is owed. Raises RuleBroken where nobody said."""
    total, currency, negative = line_total(ctx, extended, unit, quantity)
    if ctx.interface.adjustment_sign == "park":
        raise RuleBroken(
            "does this adjustment lower what is owed, or raise it? Say in the interface how they are signed "
            "(adjustment_sign)",
            location=extended.address,
        )
    lowers = negative == (ctx.interface.adjustment_sign == "negative")
    return (total.copy_abs() if lowers else _negated(total)), currency


def copay(ctx: Context, extended: Slot, unit: Slot, quantity: Slot) -> tuple[Decimal, str]:
    """Total of a CO that is due, and its currency. Raises RuleBroken for a negative one."""
    total, currency, negative = line_total(ctx, extended, unit, quantity)
    if negative:
        raise RuleBroken("a negative copay: is it a copay given back?", location=extended.address)
    return total, currency


def _negated(total: Decimal) -> Decimal:
    return total.copy_abs().copy_negate() if total else total.copy_abs()


def fhir_money(total: Decimal, currency: str) -> dict[str, Any]:
    return {"value": total, "currency": currency}

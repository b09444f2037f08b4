"""Do an Invoice's lines add up to its totals? Called by rules.py for each Invoice; FHIR itself has no such rule.

A line is base + surcharge − deduction − discount; tax counts in totalGross alone; `informational` never counts.
Deductions are written both ways in the field: direction comes from the type, so either sign takes away. An Invoice
with a line that states no amount can't be checked from itself, and one that is withdrawn isn't
checked either: a sender must always be able to take an invoice back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from typing import Any

from ..errors import FhirpayError, RuleBroken

_EXACT = Context(prec=200)
_WITHDRAWN = ("cancelled", "entered-in-error")
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class _Sum:
    """Price components added up by what they do. `stated` says that there was one that counts."""

    stated: bool
    base: Decimal
    adjustments: Decimal
    tax: Decimal

    @property
    def net(self) -> Decimal:
        return self.base + self.adjustments


def totals(invoice: dict[str, Any]) -> Iterator[FhirpayError]:
    """RuleBroken at `Invoice.totalNet` or `.totalGross` when it isn't the sum, at an amount in another currency."""
    if invoice.get("status") in _WITHDRAWN:
        return
    with localcontext(_EXACT):
        yield from _currencies(invoice)
        lines = [_sum(line.get("priceComponent")) for line in _objects(invoice.get("lineItem"))]
        whole = _sum(invoice.get("totalPriceComponent"))
        priced = [line for line in lines if line is not None and line.stated]
        if len(priced) < len(lines) or whole is None or not (priced or whole.stated):
            return
        net, tax = _expected(priced, whole)
        stated_net = _amount(invoice.get("totalNet"))
        if stated_net is not None and stated_net != net:
            yield RuleBroken(f"the lines add up to {net:f}, not {stated_net:f}", location=".totalNet")
        gross = _amount(invoice.get("totalGross"))
        if gross is not None and gross != net + tax and not (stated_net is not None and stated_net != net):
            says = f"the lines and their tax add up to {net + tax:f}, not {gross:f}"
            yield RuleBroken(says, location=".totalGross")


def _expected(lines: list[_Sum], whole: _Sum) -> tuple[Decimal, Decimal]:
    """Net and tax. `totalPriceComponent` either repeats what the lines hold, or adds to the invoice as a whole."""
    if not lines:
        return whole.net, whole.tax
    net = sum((line.net for line in lines), _ZERO)
    adjusted = sum((line.adjustments for line in lines), _ZERO)
    tax = sum((line.tax for line in lines), _ZERO)
    if whole.adjustments != adjusted:
        net += whole.adjustments
    if whole.tax != tax:
        tax += whole.tax
    return net, tax


def _sum(components: Any) -> _Sum | None:
    """The components' sums; None when one that counts states no amount."""
    counted: list[tuple[str, Decimal]] = []
    for component in _objects(components):
        kind, amount = component.get("type"), _amount(component.get("amount"))
        if kind != "informational":
            if amount is None:
                return None
            counted.append((str(kind), amount))

    def of(*kinds: str) -> list[Decimal]:
        return [amount for kind, amount in counted if kind in kinds]

    base = sum(of("base"), _ZERO)
    taken = sum((abs(amount) for amount in of("deduction", "discount")), _ZERO)
    adjustments = sum(of("surcharge"), _ZERO) + (taken if base < 0 else -taken)
    return _Sum(bool(counted), base, adjustments, sum(of("tax"), _ZERO))


def _currencies(invoice: dict[str, Any]) -> Iterator[FhirpayError]:
    first = ""
    for address, money in _moneys(invoice):
        currency = money.get("currency")
        if isinstance(currency, str):
            first = first or currency
            if currency != first:
                says = f"one invoice has one currency: {first} and {currency[:12]}"
                yield RuleBroken(says, location=f"{address}.currency")


def _moneys(invoice: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in ("totalNet", "totalGross"):
        if isinstance(money := invoice.get(name), dict):
            yield f".{name}", money
    owners = [("", "totalPriceComponent", invoice)]
    owners += [(f".lineItem[{i}]", "priceComponent", line) for i, line in enumerate(_objects(invoice.get("lineItem")))]
    for owner, name, holder in owners:
        for i, component in enumerate(_objects(holder.get(name))):
            if isinstance(money := component.get("amount"), dict):
                yield f"{owner}.{name}[{i}].amount", money


def _objects(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _amount(money: Any) -> Decimal | None:
    value = money.get("value") if isinstance(money, dict) else None
    return Decimal(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) else None

"""An amount of nothing is a statement, unlike an amount that is missing."""

from __future__ import annotations

from typing import Any

from fhirpay.billing.intake import Resources, facts_of
from fhirpay.config import Facility
from fhirpay.domain.money import Money


def total(**elements: Any) -> Money | None:
    invoice = {"resourceType": "Invoice", "id": "1", "status": "issued", **elements}
    resources = Resources("Account/1", invoices=(invoice,))
    return facts_of(resources, Facility(name="main")).invoices[0].total


def usd(value: int) -> dict[str, Any]:
    return {"value": value, "currency": "USD"}


def test_invoice_of_nothing_asks_for_nothing_whatever_it_was_before_tax_and_discount() -> None:
    assert total(totalGross=usd(0), totalNet=usd(100)) == Money.zero("USD")


def test_line_of_nothing_does_not_hide_what_the_others_add_up_to() -> None:
    lines = [{"priceComponent": [{"type": "base", "amount": usd(value)}]} for value in (30, 0)]
    assert total(lineItem=lines) == Money(30_00, "USD")

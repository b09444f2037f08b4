"""An account's facts in two halves: nothing of the one lowers or raises the other."""

from __future__ import annotations

from datetime import date

from fhirpay.billing.facts import AccountFacts, Bill, Charge, InvoiceLine, Relief
from fhirpay.billing.watermark import halves
from fhirpay.domain.money import Money


def usd(minor: int) -> Money:
    return Money(minor, "USD")


OLD, NEW = Charge("ChargeItem/old", "billable", usd(100)), Charge("ChargeItem/new", "billable", usd(40))


def _facts(**more: object) -> tuple[AccountFacts, AccountFacts]:
    asked, shown = halves(AccountFacts("Account/a1", charges=(OLD, NEW), before={OLD.ref: "of before"}, **more))  # type: ignore[arg-type]
    assert shown is not None
    return asked, shown


def test_a_credit_goes_with_the_charge_that_it_names() -> None:
    credit = Charge("ChargeItem/credit", "billable", usd(30), credit=True, part_of=frozenset({OLD.ref}))
    asked, shown = halves(AccountFacts("Account/a1", charges=(OLD, NEW, credit), before={OLD.ref: "of before"}))
    assert [one.ref for one in asked.charges] == [NEW.ref]
    assert shown is not None
    assert [one.ref for one in shown.charges] == [OLD.ref, credit.ref]


def test_what_an_insurance_pays_for_an_old_charge_lowers_no_other() -> None:
    paid = [Relief("insurance", usd(50), f"PaymentReconciliation/{n}", n, date(2026, 12, 5), charge=n) for n in "xy"]
    named = Relief("insurance", usd(50), "PaymentReconciliation/z", "z", date(2026, 12, 5), charge=OLD.ref)
    asked, shown = _facts(relief=(*paid, named))
    assert [one.key for one in asked.relief] == ["x", "y"]
    assert shown.relief == ()


def test_an_invoice_asks_for_none_of_its_old_lines() -> None:
    lines = (InvoiceLine(OLD.ref, usd(80)), InvoiceLine(NEW.ref, usd(20)))
    both = Bill("Invoice/both", "issued", usd(100), lines=lines)
    alone = Bill("Invoice/alone", "issued", usd(80), lines=lines[:1])
    unsaid = Bill("Invoice/unsaid", "issued", usd(70), lines=(InvoiceLine(OLD.ref), InvoiceLine(NEW.ref)))
    asked, shown = _facts(invoices=(both, alone, unsaid))
    assert {one.ref: one.total for one in asked.invoices} == {both.ref: usd(20), unsaid.ref: usd(0)}
    assert [one.ref for one in shown.invoices] == [alone.ref]

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from fhirpay.billing.coverage import kind_of
from fhirpay.billing.elements import day_of, money_of
from fhirpay.billing.intake import Resources, facility_of, facts_of, topics_of
from fhirpay.config import Facility, Merchant, Tenant
from fhirpay.domain.money import Money
from fhirpay.errors import ConfigInvalid

CHICAGO = ZoneInfo("America/Chicago")


@pytest.mark.parametrize(
    ("text", "last", "first"),
    [
        ("2026-03-02", date(2026, 3, 2), date(2026, 3, 2)),
        ("2026-03", date(2026, 3, 31), date(2026, 3, 1)),
        ("2024-02", date(2024, 2, 29), date(2024, 2, 1)),
        ("2026-12", date(2026, 12, 31), date(2026, 12, 1)),
        ("2026", date(2026, 12, 31), date(2026, 1, 1)),
        ("2026-03-02T03:30:00Z", date(2026, 3, 1), date(2026, 3, 1)),
        ("2026-03-02T23:30:00-06:00", date(2026, 3, 2), date(2026, 3, 2)),
        ("2026-03-02T23:30:00", date(2026, 3, 2), date(2026, 3, 2)),
        ("9999-12-31", date(9999, 12, 31), date(9999, 12, 31)),
        ("0001-01-01T00:00:00+14:00", None, None),
        ("2026-02-30", None, None),
        ("soon", None, None),
        (None, None, None),
    ],
)
def test_the_day_is_the_facilitys_and_in_doubt_the_later_one(text: Any, last: date | None, first: date | None) -> None:
    assert day_of(text, CHICAGO) == last
    assert day_of(text, CHICAGO, first=True) == first


@pytest.mark.parametrize(
    ("element", "expected"),
    [
        ({"value": Decimal("125.00"), "currency": "USD"}, Money(12500, "USD")),
        ({"value": 125, "currency": "JPY"}, Money(125, "JPY")),
        ({"value": Decimal("0.001"), "currency": "USD"}, None),
        ({"value": Decimal("5.00"), "currency": "XXX"}, None),
        ({"value": Decimal("5.00")}, None),
        ({"currency": "USD"}, None),
        ({"value": True, "currency": "USD"}, None),
        (None, None),
    ],
)
def test_an_amount_that_cannot_be_read_exactly_is_not_stated(element: Any, expected: Money | None) -> None:
    assert money_of(element) == expected


@pytest.mark.parametrize(
    ("codings", "kind"),
    [
        ([("http://terminology.hl7.org/CodeSystem/coverage-selfpay", "pay")], "self_pay"),
        ([("urn:site", "SP"), ("http://terminology.hl7.org/CodeSystem/coverage-selfpay", "pay")], "self_pay"),
        ([("urn:site", "pay")], "insurance"),
        ([("https://nahdo.org/sopt", "212")], "medicaid"),
        ([("https://nahdo.org/sopt", "512")], "insurance"),
        ([("http://terminology.hl7.org/CodeSystem/v3-ActCode", "WCBPOL")], "workers_comp"),
        ([("http://terminology.hl7.org/CodeSystem/v3-ActCode", "AUTOPOL")], "liability"),
        ([], "insurance"),
    ],
)
def test_a_coverage_is_insurance_unless_its_type_says_otherwise(codings: list[tuple[str, str]], kind: str) -> None:
    coded = {"coding": [{"system": system, "code": code} for system, code in codings]}
    assert kind_of({"type": coded}) == kind


def _invoice(**more: Any) -> dict[str, Any]:
    return {"resourceType": "Invoice", "id": "i1", "status": "issued", "subject": {"reference": "Patient/p1"}, **more}


def _usd(value: str) -> dict[str, Any]:
    return {"value": Decimal(value), "currency": "USD"}


def _read(**resources: Any) -> Any:
    return facts_of(Resources("Account/a1", **resources), Facility(name="main"))


def test_an_invoice_without_total_is_the_sum_of_its_priced_lines() -> None:
    priced = [
        {"type": "base", "amount": _usd("100.00")},
        {"type": "discount", "amount": _usd("10.00")},
        {"type": "deduction", "amount": _usd("-5.00")},
        {"type": "tax", "amount": _usd("7.00")},
        {"type": "informational", "amount": _usd("999.00")},
    ]
    lines: list[dict[str, Any]] = [{"priceComponent": priced}, {"priceComponent": [priced[0]]}]
    assert _read(invoices=(_invoice(lineItem=lines),)).invoices[0].total == Money(19200, "USD")
    unpriced = [*lines, {"priceComponent": [{"type": "base", "factor": Decimal(2)}]}]
    assert _read(invoices=(_invoice(lineItem=unpriced),)).invoices[0].total is None
    gross = _invoice(totalGross=_usd("50.00"), totalNet=_usd("40.00"))
    assert _read(invoices=(gross,)).invoices[0].total == Money(5000, "USD")


def test_who_the_patient_is_follows_from_a_charge_where_no_account_came_in() -> None:
    item = {"resourceType": "ChargeItem", "id": "c1", "status": "billable", "subject": {"reference": "Patient/p7"}}
    assert _read(charges=(item,)).patient_ref == "Patient/p7"


def test_the_version_in_a_reference_does_not_matter() -> None:
    item = {
        "resourceType": "ChargeItem",
        "id": "c1",
        "status": "billable",
        "context": {"reference": "Encounter/v1/_history/3"},
        "occurrencePeriod": {"start": "2026-03-01", "end": "2026-03-04"},
    }
    charge = _read(charges=(item,)).charges[0]
    assert (charge.visit, charge.day) == ("Encounter/v1", date(2026, 3, 4))


def test_a_facility_is_known_by_its_organization() -> None:
    merchant = Merchant(name="main", processor="simulated", base_url="https://x", secret_key="k")
    facilities = (Facility(name="north", organization="o1"), Facility(name="south", organization="o2"))
    tenant = Tenant(facilities=facilities, merchants=(merchant,))
    account = {"resourceType": "Account", "id": "a1", "owner": {"reference": "Organization/o2"}}
    assert facility_of(Resources("Account/a1", account=account), tenant).name == "south"
    visit = {"resourceType": "Encounter", "id": "v1", "serviceProvider": {"reference": "Organization/o2"}}
    assert facility_of(Resources("Account/a1", encounters=(visit,)), tenant).name == "south"
    assert facility_of(Resources("Account/a1"), tenant).name == "north"
    with pytest.raises(ConfigInvalid):
        facility_of(Resources("Account/a1"), Tenant())


def test_an_account_is_suspended_under_each_of_its_numbers() -> None:
    account = {"identifier": [{"system": "urn:s", "value": "2"}, {"system": "urn:s", "value": "1"}, {"value": ""}]}
    assert topics_of(account) == ("account:urn:s|1", "account:urn:s|2")

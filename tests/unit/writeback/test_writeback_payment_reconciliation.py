"""What an EHR is given, against the shapes in tests/golden/writeback: every case in R4 and in R5."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.paymentreconciliation import PaymentReconciliation as R5Model
from fhir.resources.R4B.paymentreconciliation import PaymentReconciliation as R4Model
from hypothesis import given
from hypothesis import strategies as st

from fhirpay.domain.money import Money
from fhirpay.errors import InvariantBroken
from fhirpay.fhir.json import dumps, loads
from fhirpay.fhir.statement import FhirVersion
from fhirpay.fhir.validation import problems
from fhirpay.writeback.payment_reconciliation import amount_and_date, lines_in, render
from fhirpay.writeback.posted import Line, PostedPayment
from posted_payments import CASES, COPAY, REFUND, VISIT, usd

GOLDEN = Path(__file__).parents[2] / "golden" / "writeback"


R4, R5 = FhirVersion.R4, FhirVersion.R5
MODELS = {R4: R4Model, R5: R5Model}
EXTENSION = "http://hl7.org/fhir/5.0/StructureDefinition/extension-PaymentReconciliation."
of_each_version = pytest.mark.parametrize("version", [R4, R5])


def rendered(posted: PostedPayment, version: FhirVersion, organization: str = "clinic") -> dict[str, Any]:
    return render(posted, organization=organization, version=version)


@of_each_version
@pytest.mark.parametrize("name", CASES)
def test_golden_shape_element_by_element_and_digit_by_digit(name: str, version: FhirVersion) -> None:
    made = rendered(CASES[name], version)
    path = GOLDEN / f"{name}-{version.lower()}.json"
    if os.environ.get("FHIRPAY_UPDATE_GOLDEN"):
        path.write_text(dumps(made, indent=2) + "\n", encoding="utf-8")
    expected = loads(path.read_text(encoding="utf-8"))
    assert dumps(made, indent=1, sort_keys=True) == dumps(expected, indent=1, sort_keys=True)


@of_each_version
@pytest.mark.parametrize("name", CASES)
def test_it_is_a_payment_reconciliation_by_its_definition(name: str, version: FhirVersion) -> None:
    made = rendered(CASES[name], version)
    MODELS[version].model_validate(made)
    assert problems(made, version=version) == []
    other = R4 if version is R5 else R5
    assert problems(made, version=other) != []


@pytest.mark.parametrize("name", CASES)
def test_r4_carries_in_extensions_all_that_r5_has_elements_for(name: str) -> None:
    assert raised_to_r5(rendered(CASES[name], R4)) == rendered(CASES[name], R5)


def raised_to_r5(element: dict[str, Any]) -> dict[str, Any]:
    """As the cross-version extensions of HL7 mean it: each stands for the R5 element in its name."""
    names = {"paymentDate": "date", "paymentAmount": "amount", "detail": "allocation", "request": "target"}
    raised = {names.get(name, name): value for name, value in element.items() if name != "extension"}
    for one in element.get("extension", ()):
        (value,) = [one[key] for key in one if key.startswith("value")]
        raised[one["url"].removeprefix(EXTENSION).removeprefix("allocation.")] = value
    if "allocation" in raised:
        raised["allocation"] = [raised_to_r5(line) for line in raised["allocation"]]
    return raised


@of_each_version
def test_amount_and_date_are_read_back_from_either_version(version: FhirVersion) -> None:
    paid = {"value": Decimal("25.00"), "currency": "USD"}
    assert amount_and_date(rendered(COPAY, version)) == (paid, "2026-11-20")


@of_each_version
def test_the_date_is_that_of_the_facilitys_till(version: FhirVersion) -> None:
    late = replace(COPAY, at=datetime(2026, 11, 21, 3, 30, tzinfo=UTC))
    made = rendered(late, version)
    assert (amount_and_date(made)[1], made["created"]) == ("2026-11-20", "2026-11-20T22:30:00-05:00")


@of_each_version
def test_without_an_organization_there_is_no_payee(version: FhirVersion) -> None:
    made = rendered(COPAY, version, organization="")
    assert "requestor" not in made
    assert "payee" not in lines_in(made)[0]


@of_each_version
def test_money_for_nothing_known_is_one_advance_on_the_account(version: FhirVersion) -> None:
    made = rendered(replace(COPAY, lines=[]), version)
    (line,) = lines_in(made)
    assert line["type"]["coding"][0]["code"] == "advance"
    assert line["target" if version is R5 else "request"] == {"reference": "Account/a1"}
    assert line["amount"] == amount_and_date(made)[0]


def test_lines_that_claim_more_than_the_payment_are_refused() -> None:
    with pytest.raises(InvariantBroken, match=r"1\.00 USD more"):
        rendered(replace(COPAY, amount=usd("24.00")), R4)


def test_a_refund_of_everything_says_so() -> None:
    assert rendered(replace(REFUND, whole=True), R5)["disposition"] == "Refund of pay02"


@of_each_version
def test_no_more_of_a_card_number_than_its_end_leaves_the_house(version: FhirVersion) -> None:
    assert "424242" not in dumps(rendered(replace(COPAY, last4="4242424242424242"), version))


@given(
    parts=st.lists(st.integers(1, 10**9), max_size=5),
    rest=st.integers(0, 10**9),
    currency=st.sampled_from(["USD", "JPY", "KWD"]),
    refund=st.booleans(),
    version=st.sampled_from([R4, R5]),
)
def test_lines_always_sum_to_the_total(
    parts: list[int], rest: int, currency: str, refund: bool, version: FhirVersion
) -> None:
    total = Money(sum(parts) + rest, currency)
    lines = [Line(n, Money(part, currency), VISIT) for n, part in enumerate(parts, 1)]
    posted = replace(COPAY, amount=total, lines=lines, refund_of="pay9" if refund else "")
    made = rendered(posted, version)
    amount, _ = amount_and_date(made)
    summed = sum((line["amount"]["value"] for line in lines_in(made)), Decimal(0))
    assert summed == amount["value"] == (-total if refund else total).decimal
    assert amount["value"].as_tuple().exponent == total.decimal.as_tuple().exponent
    assert problems(made, version=version) == []

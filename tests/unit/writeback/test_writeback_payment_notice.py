"""The notice of a payment, against the shapes in tests/golden/writeback: every case in R4 and in R5."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.paymentnotice import PaymentNotice as R5Model
from fhir.resources.R4B.paymentnotice import PaymentNotice as R4Model

from fhirpay.fhir.json import dumps, loads
from fhirpay.fhir.statement import FhirVersion
from fhirpay.fhir.validation import problems
from fhirpay.writeback.payment_notice import is_of, render
from fhirpay.writeback.posted import PostedPayment
from posted_payments import CASES, COPAY

GOLDEN = Path(__file__).parents[2] / "golden" / "writeback"
R4, R5 = FhirVersion.R4, FhirVersion.R5
MODELS = {R4: R4Model, R5: R5Model}
of_each_version = pytest.mark.parametrize("version", [R4, R5])


def rendered(posted: PostedPayment, version: FhirVersion) -> dict[str, Any]:
    payment = {"reference": f"PaymentReconciliation/{posted.id}"}
    return render(posted, organization="clinic", version=version, payment=payment)


@of_each_version
@pytest.mark.parametrize("name", CASES)
def test_golden_shape_element_by_element_and_digit_by_digit(name: str, version: FhirVersion) -> None:
    made = rendered(CASES[name], version)
    path = GOLDEN / f"{name}-notice-{version.lower()}.json"
    if os.environ.get("FHIRPAY_UPDATE_GOLDEN"):
        path.write_text(dumps(made, indent=2) + "\n", encoding="utf-8")
    expected = loads(path.read_text(encoding="utf-8"))
    assert dumps(made, indent=1, sort_keys=True) == dumps(expected, indent=1, sort_keys=True)


@of_each_version
@pytest.mark.parametrize("name", CASES)
def test_it_is_a_payment_notice_by_its_definition(name: str, version: FhirVersion) -> None:
    made = rendered(CASES[name], version)
    MODELS[version].model_validate(made)
    assert problems(made, version=version) == []
    assert is_of(version, made)
    assert not is_of(R4 if version is R5 else R5, made)


@of_each_version
def test_its_request_is_what_all_of_the_payment_pays(version: FhirVersion) -> None:
    assert rendered(CASES["a-copay"], version)["request"] == {"reference": "Encounter/e1"}
    assert "request" not in rendered(CASES["b-split-with-rest"], version)
    assert "request" not in rendered(replace(COPAY, lines=[], account=None), version)


@of_each_version
def test_a_refund_is_a_notice_of_its_own_below_zero(version: FhirVersion) -> None:
    made = rendered(CASES["c-partial-refund"], version)
    assert (made["identifier"][0]["value"], str(made["amount"]["value"])) == ("ref01", "-30.00")
    assert made["payment"] == {"reference": "PaymentReconciliation/ref01"}


def test_a_status_that_there_is_not_is_found() -> None:
    assert problems(rendered(COPAY, R4) | {"status": "paid"}) != []

"""What an EHR is given of a payout, against the shapes in tests/golden/writeback, in R4 and in R5."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from fhir.resources.paymentreconciliation import PaymentReconciliation as R5Model
from fhir.resources.R4B.paymentreconciliation import PaymentReconciliation as R4Model

from fhirpay.errors import InvariantBroken
from fhirpay.fhir.json import dumps, loads
from fhirpay.fhir.statement import FhirVersion
from fhirpay.fhir.validation import problems
from fhirpay.writeback.payment_reconciliation import amount_and_date, lines_in
from fhirpay.writeback.payout_posting import render
from posted_payments import usd
from posted_payouts import PAYOUT, PAYOUTS

GOLDEN = Path(__file__).parents[2] / "golden" / "writeback"
R4, R5 = FhirVersion.R4, FhirVersion.R5


@pytest.mark.parametrize("version", [R4, R5])
@pytest.mark.parametrize("name", PAYOUTS)
def test_golden_shape_which_is_sound_and_whose_lines_come_to_its_amount(name: str, version: FhirVersion) -> None:
    made = render(PAYOUTS[name], organization="clinic", version=version)
    path = GOLDEN / f"{name}-{version.lower()}.json"
    if os.environ.get("FHIRPAY_UPDATE_GOLDEN"):
        path.write_text(dumps(made, indent=2) + "\n", encoding="utf-8")
    assert dumps(made, indent=1) == dumps(loads(path.read_text(encoding="utf-8")), indent=1)
    (R4Model if version is R4 else R5Model).model_validate(made)
    assert problems(made, version=version) == []
    total, _ = amount_and_date(made)
    assert sum(line["amount"]["value"] for line in lines_in(made)) == total["value"]
    assert made["meta"]["tag"][0]["code"] == "payout"
    assert "paymentIssuer" not in made


def test_lines_that_do_not_come_to_it_are_a_bug() -> None:
    with pytest.raises(InvariantBroken):
        render(replace(PAYOUT, amount=usd("382.24")), organization="", version=R4)

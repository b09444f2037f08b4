"""Where a posting comes from, against the shapes in tests/golden/writeback: in R4 and in R5."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.provenance import Provenance as R5Model
from fhir.resources.R4B.provenance import Provenance as R4Model

from fhirpay.fhir.json import dumps, loads
from fhirpay.fhir.statement import FhirVersion
from fhirpay.fhir.validation import problems
from fhirpay.writeback.posted import PostedPayment
from fhirpay.writeback.provenance import is_ours, render
from posted_payments import CASES, COPAY

GOLDEN = Path(__file__).parents[2] / "golden" / "writeback"
R4, R5 = FhirVersion.R4, FhirVersion.R5
MODELS = {R4: R4Model, R5: R5Model}
of_each_version = pytest.mark.parametrize("version", [R4, R5])
of_both = pytest.mark.parametrize("name", ["a-copay", "c-partial-refund"])


def rendered(posted: PostedPayment, *, version: str = "1", organization: str = "clinic") -> dict[str, Any]:
    return render(id=posted.id, version=version, at=posted.at, zone=posted.zone, organization=organization)


@of_each_version
@of_both
def test_golden_shape_element_by_element(name: str, version: FhirVersion) -> None:
    made = rendered(CASES[name])
    path = GOLDEN / f"{name}-provenance-{version.lower()}.json"
    if os.environ.get("FHIRPAY_UPDATE_GOLDEN"):
        path.write_text(dumps(made, indent=2) + "\n", encoding="utf-8")
    expected = loads(path.read_text(encoding="utf-8"))
    assert dumps(made, indent=1, sort_keys=True) == dumps(expected, indent=1, sort_keys=True)


@of_each_version
@of_both
def test_it_is_a_provenance_by_its_definition(name: str, version: FhirVersion) -> None:
    made = rendered(CASES[name])
    MODELS[version].model_validate(made)
    assert problems(made, version=version) == []
    wrong = {"role": "origin", "what": {"display": "x"}}
    assert problems(made | {"entity": [wrong]}, version=version) != []


def test_a_practice_and_a_version_that_nobody_knows_are_not_named() -> None:
    made = rendered(COPAY, version="", organization="")
    assert made["target"] == [{"reference": f"PaymentReconciliation/{COPAY.id}"}]
    (agent,) = made["agent"]
    assert agent["who"] == {"type": "Device", "display": "fhirpay"}
    assert problems(made, version=R4) == []


def test_it_is_known_by_its_id_and_by_us_among_its_agents() -> None:
    made = rendered(COPAY) | {"id": "pay01"}
    assert is_ours(made, "pay01")
    assert not is_ours(made, "pay02")
    theirs = {"agent": [{"who": {"reference": "Practitioner/1"}}, {"who": None}, "odd"]}
    assert not is_ours(made | theirs, "pay01")

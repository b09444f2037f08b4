"""Published FHIR files, posted as they are: what becomes of each. A row is a file and its expected outcome."""

from __future__ import annotations

from pathlib import Path

import pytest

from fhir_world import FhirWorld
from fhirpay.db.unit import Units
from fhirpay.fhir.json import loads

SAMPLES = Path(__file__).parents[1] / "samples" / "fhir"

ACCEPTED = {
    "r4-ChargeItem-example": ("ChargeItem", [("priceOverride", "40", "EUR")]),
    "google-r4-ChargeItem": ("ChargeItem", [("priceOverride", "40", "EUR")]),
    "codi-r4-ChargeItem1": ("ChargeItem", []),
    "r4-Account-example": ("Account", []),
    "r4-Invoice-example": ("Invoice", [("totalNet", "40", "EUR"), ("totalGross", "48", "EUR")]),
}
REFUSED = {
    # Payments are what we write to an EHR, not what we take in.
    "r4-PaymentReconciliation-ER2500": ("PaymentReconciliation", 405, "not-supported", ""),
    # Its names, dates and ids carry HL7v2 codes and formats through to FHIR; the first of twelve places.
    "v2tofhir-bundle-ADT_A01": ("", 400, "code-invalid", "Bundle.entry[1].resource.name[0].use"),
}


@pytest.fixture
def world(units: Units) -> FhirWorld:
    return FhirWorld(units)


def test_every_file_has_a_row() -> None:
    assert {path.stem for path in SAMPLES.glob("*.json")} == {*ACCEPTED, *REFUSED}


async def test_what_is_taken_is_given_back_to_the_last_digit(world: FhirWorld) -> None:
    for name in ACCEPTED:
        await _taken(world, name)


async def _taken(world: FhirWorld, name: str) -> None:
    kind, amounts = ACCEPTED[name]
    sent = (SAMPLES / f"{name}.json").read_bytes()
    original = loads(sent)
    made = await world.send("PUT", f"{kind}/{original['id']}", sent)
    assert made.status in (200, 201), name  # two of them have the same id
    read = (await world.send("GET", f"{kind}/{original['id']}")).resource
    assert read.pop("meta")["versionId"]
    assert read == original
    for element, value, currency in amounts:
        assert (str(read[element]["value"]), read[element]["currency"]) == (value, currency)


async def test_what_is_refused_says_why(world: FhirWorld) -> None:
    for name in REFUSED:
        await _refused(world, name)


async def _refused(world: FhirWorld, name: str) -> None:
    path, status, code, place = REFUSED[name]
    refused = await world.send("POST", path, (SAMPLES / f"{name}.json").read_bytes())
    assert (refused.status, *refused.issue) == (status, code, place)
    assert world.took == []

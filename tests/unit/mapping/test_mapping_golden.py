"""Each message of tests/golden/hl7 and tests/samples with what it becomes, digit by digit, and valid as FHIR R4.

`make golden` (FHIRPAY_UPDATE_GOLDEN=1) writes the .json files anew; the difference is what one reviews. `SAMPLES`
says by hand what the public samples come to, so that a golden written by mistake is noticed.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class

from fhirpay.config import Facility
from fhirpay.fhir.json import dumps
from fhirpay.fhir.validation import validate
from fhirpay.mapping import loader
from fhirpay.mapping.preview import MappedResult, map_data, map_file
from golden_messages import ALL, GOLDEN, PUBLIC, check, messages_of, name_of, profile_of

FACILITY = Facility(name="main")

# file → what each of its messages comes to: the amounts of its ChargeItems, or the code of its refusal
SAMPLES: dict[str, list[list[str] | str]] = {
    "ADT-A01-01.hl7": [[]],
    "ADT-A04-01.hl7": [[]],
    "ADT-A08-01.hl7": [[]],
    "ADT-A40-01.hl7": [[]],
    "ADT04-23.hl7": [[]],
    "BAR-P01-01.hl7": [[]],
    "BAR-P12-01.hl7": [[]],
    "DFT-P03-01.hl7": [["100 USD", "120 USD"]],
    "DFT-P11-01.hl7": [["100 USD", "70 USD"]],
    "google-adt_a01_ex1.hl7": [[]],
    "google-adt_a04_ex1.hl7": [[]],
    "oie-batch-fhs-bhs.hl7": ["message-unsupported MSH-9.1"],
}
# our own, where money is the point: file → amounts, and how many lines park
OWED: dict[str, tuple[list[str], int]] = {
    "charge_then_credit_of_the_same_ft1-2": (["125.50 USD", "-25.50 USD"], 0),
    "credit_names_its_charge_by_set_id": (["48.00 USD", "12.00 USD", "-48.00 USD", "-1.00 USD"], 0),
    "credit_of_an_earlier_message": (["-100.00 USD"], 0),
    "unit_price_times_quantity": (["2.00 USD", "25.250 USD", "30.00 USD"], 1),
    "amounts_as_senders_write_them": (["150.00 USD", "125.50 USD", "1500 JPY", "70.10 USD", "1.234 KWD"], 4),
    "copay_due_at_the_visit": (["125.50 USD"], 0),
    "two_copays_and_one_sent_twice": ([], 1),
    "what_parks_leaves_the_rest": (["125.50 USD"], 6),
    "no_transaction_id": (["125.50 USD", "-125.50 USD"], 0),
    "times_keep_their_precision_and_zone": (["1.00 USD"] * 5, 1),
}


def _amounts(result: MappedResult) -> list[str]:
    assert result.mapped is not None
    prices = [item["priceOverride"] for item in result.mapped.resources("ChargeItem")]
    assert all(isinstance(price["value"], Decimal) for price in prices)
    return [f"{price['value']:f} {price['currency']}" for price in prices]


def _golden(result: MappedResult) -> dict[str, Any]:
    found: dict[str, Any] = {"message": result.label}
    if result.mapped is None:
        return {**found, "outcome": result.outcome}
    of = {entry["fullUrl"]: entry["resource"]["resourceType"] for entry in result.mapped.bundle["entry"]}
    found["bundle"] = result.mapped.bundle
    if result.outcome:
        found["outcome"] = result.outcome
    for name in ("deletes", "assumed", "adds"):
        refs = getattr(result.mapped, name)
        if refs:
            found[name] = [f"{of[ref.full_url]}.{ref.element}" for ref in refs]
    return found


@pytest.mark.parametrize("path", ALL, ids=name_of)
def test_golden_message_becomes_what_is_written_down(path: Path) -> None:
    results = map_data(messages_of(path), profile_of(path), FACILITY)
    for result in results:
        for resource in result.mapped.resources() if result.mapped else ():
            validate(resource)
            get_fhir_model_class(resource["resourceType"]).model_validate_json(dumps(resource))
        if result.bundle:
            validate(result.bundle)
    check(path, ".json", dumps([_golden(result) for result in results], indent=2) + "\n")


@pytest.mark.parametrize("path", PUBLIC, ids=lambda path: path.name)
def test_public_sample_comes_to_these_amounts_or_this_refusal(path: Path) -> None:
    results = map_file(path, loader.interface("sample"), FACILITY)
    found = [f"{result.error.code} {result.error.location}" if result.error else _amounts(result) for result in results]
    assert found == SAMPLES[path.name]


@pytest.mark.parametrize("name", OWED)
def test_own_golden_comes_to_these_amounts(name: str) -> None:
    path = GOLDEN / "dft_p03" / f"{name}.hl7"
    (result,) = map_file(path, loader.interface("sample"), FACILITY)
    assert result.mapped is not None
    assert (_amounts(result), len(result.mapped.parked)) == OWED[name]


def test_mapping_twice_gives_the_same_bytes() -> None:
    path = next(path for path in PUBLIC if path.name == "DFT-P03-01.hl7")
    first, second = (map_file(path, loader.interface("sample"), FACILITY)[0].bundle for _ in range(2))
    assert dumps(first) == dumps(second)

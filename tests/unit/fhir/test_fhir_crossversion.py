"""R5 in R4 and back: what goes over comes back as it was, and is sound on the other side; what can't go says where."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_values import resources
from fhirpay.errors import MessageUnsupported
from fhirpay.fhir.crossversion import TYPES, to_r4, to_r5
from fhirpay.fhir.json import loads
from fhirpay.fhir.statement import FhirVersion
from fhirpay.fhir.validation import problems

Json = dict[str, Any]
R4, R5 = FhirVersion.R4, FhirVersion.R5
BACK = {R4: (to_r5, R5, to_r4), R5: (to_r4, R4, to_r5)}
EXTENSION = "http://hl7.org/fhir/5.0/StructureDefinition/extension-"


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("version", [R5, R4])
def test_what_goes_over_is_sound_there_and_comes_back_as_it_was(kind: str, version: FhirVersion) -> None:
    over, other, back = BACK[version]
    went = 0

    @settings(max_examples=100, deadline=None, derandomize=True, database=None)
    @given(resources(kind, version))
    def holds(resource: Json) -> None:
        nonlocal went
        before = deepcopy(resource)
        converted, refused = tried(over, resource)
        assert resource == before
        if converted is None:
            assert refused.startswith(f"{kind}.")
            return
        went += 1
        assert [(one.location, one.message) for one in problems(converted, version=other)] == []
        assert back(converted) == resource

    holds()
    assert went > 50, f"{went} of 100 went over"


def tried(over: Callable[[Json], Json], resource: Json) -> tuple[Json | None, str]:
    """What comes of it, or where it is refused."""
    try:
        return over(resource), ""
    except MessageUnsupported as error:
        return None, str(error.location)


USD = {"value": Decimal("40.50"), "currency": "USD"}
SYSTEM = "http://hl7.org/fhir/account-relationship"
PAIRS: dict[str, tuple[Json, Json]] = {
    "a charge's visit and price": (
        {"encounter": {"reference": "Encounter/1"}, "totalPriceComponent": {"type": "base", "amount": USD}},
        {"context": {"reference": "Encounter/1"}, "priceOverride": USD},
    ),
    "a factor": (
        {"totalPriceComponent": {"type": "base", "factor": Decimal("0.80"), "amount": USD}},
        {"factorOverride": Decimal("0.80"), "priceOverride": USD},
    ),
    "a price with a code, and a unit price": (
        {
            "totalPriceComponent": {"type": "base", "code": {"text": "list"}, "amount": USD},
            "unitPriceComponent": {"type": "base", "amount": USD},
        },
        {
            "priceOverride": USD,
            "extension": [
                {
                    "url": f"{EXTENSION}ChargeItem.totalPriceComponent",
                    "extension": [
                        {"url": "type", "valueCode": "base"},
                        {"url": "code", "valueCodeableConcept": {"text": "list"}},
                    ],
                },
                {
                    "url": f"{EXTENSION}ChargeItem.unitPriceComponent",
                    "extension": [{"url": "type", "valueCode": "base"}, {"url": "amount", "valueMoney": USD}],
                },
            ],
        },
    ),
    "a reason in words": ({"overrideReason": {"text": "late"}}, {"overrideReason": "late"}),
    "a reason with a code": (
        {"overrideReason": {"coding": [{"code": "L", "display": "late"}]}},
        {
            "overrideReason": "late",
            "extension": [
                {
                    "url": f"{EXTENSION}ChargeItem.overrideReason",
                    "valueCodeableConcept": {"coding": [{"code": "L", "display": "late"}]},
                }
            ],
        },
    ),
    "one product, and services": (
        {
            "product": [{"concept": {"text": "p"}}],
            "service": [{"reference": {"reference": "Procedure/1"}}, {"reference": {"reference": "Observation/1"}}],
        },
        {
            "productCodeableConcept": {"text": "p"},
            "service": [{"reference": "Procedure/1"}, {"reference": "Observation/1"}],
        },
    ),
}
CHARGE = {"status": "billable", "code": {"text": "x"}, "subject": {"reference": "Patient/1"}}


@pytest.mark.parametrize("name", PAIRS)
def test_a_charge_means_the_same_in_both(name: str) -> None:
    five, four = ({"resourceType": "ChargeItem", **CHARGE, **side} for side in PAIRS[name])
    assert to_r4(five) == four
    assert to_r5(four) == five


def test_an_account_and_an_invoice_mean_the_same_in_both() -> None:
    parent = {"relationship": {"coding": [{"system": SYSTEM, "code": "parent"}]}, "account": {"reference": "Account/2"}}
    balance = {"estimate": False, "amount": USD}
    five: Json = {
        "resourceType": "Account",
        "status": "active",
        "relatedAccount": [parent, {"account": {"reference": "Account/3"}}],
        "balance": [balance],
    }
    kept = to_r4(five)
    assert kept["partOf"] == {"reference": "Account/2"}
    assert kept["extension"] == [
        {
            "url": f"{EXTENSION}Account.relatedAccount",
            "extension": [{"url": "account", "valueReference": {"reference": "Account/3"}}],
        },
        {
            "url": f"{EXTENSION}Account.balance",
            "extension": [{"url": "estimate", "valueBoolean": False}, {"url": "amount", "valueMoney": USD}],
        },
    ]
    line = {"chargeItemCodeableConcept": {"text": "x"}, "priceComponent": [{"type": "base", "amount": USD}]}
    bill = {"resourceType": "Invoice", "status": "issued", "totalNet": USD}
    dated = {**bill, "creation": "2026-11-20", "lineItem": [{**line, "servicedDate": "2026-11-19"}]}
    kept = to_r4(dated)
    assert kept["extension"] == [{"url": f"{EXTENSION}Invoice.creation", "valueDateTime": "2026-11-20"}]
    served = {"url": f"{EXTENSION}Invoice.lineItem.serviced", "valueDate": "2026-11-19"}
    assert kept["lineItem"] == [{**line, "extension": [served]}]
    assert to_r5(kept) == dated


def test_a_payment_of_nobody_knows_what_type_says_so_in_r5() -> None:
    four: Json = {
        "resourceType": "PaymentReconciliation",
        "status": "active",
        "created": "2026-11-20",
        "paymentDate": "2026-11-20",
        "paymentAmount": USD,
        "detail": [
            {"type": {"text": "payment"}, "request": {"reference": "ChargeItem/1"}, "amount": USD},
            {"type": {"text": "payment"}, "request": {"reference": "Task/1"}},
        ],
        "extension": [{"url": f"{EXTENSION}PaymentReconciliation.cardBrand", "valueString": "visa"}],
    }
    five = to_r5(four)
    assert (five["date"], five["amount"], five["cardBrand"]) == ("2026-11-20", USD, "visa")
    assert five["type"]["extension"][0]["valueCode"] == "unknown"
    assert [line.get("target") for line in five["allocation"]] == [{"reference": "ChargeItem/1"}, None]
    assert problems(five, version=R5) == []
    assert to_r4(five) == four


@pytest.mark.parametrize("name", ["a-copay", "b-split-with-rest", "c-partial-refund"])
def test_what_write_back_says_in_each_version_is_the_same_by_conversion(name: str) -> None:
    folder = Path(__file__).parents[2] / "golden" / "writeback"
    four, five = (loads((folder / f"{name}-{version}.json").read_bytes()) for version in ("r4", "r5"))
    assert to_r5(four) == five
    assert _ordered(to_r4(five)) == _ordered(four)


def _ordered(value: Any) -> Any:
    """With extensions in one order."""
    if isinstance(value, dict):
        return {
            key: sorted(map(_ordered, inner), key=str) if key == "extension" else _ordered(inner)
            for key, inner in sorted(value.items())
        }
    return [_ordered(one) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("resource", "place"),
    [
        ({"totalPriceComponent": {"type": "deduction", "amount": USD}}, "totalPriceComponent.type"),
        ({"unitPriceComponent": {"type": "base", "amount": USD}}, "unitPriceComponent"),
        ({"performer": [{"actor": {"reference": "HealthcareService/1"}}]}, "performer[0].actor"),
        ({"quantity": {"value": 1, "comparator": "ad"}}, "quantity.comparator"),
        ({"note": [{"authorReference": {"reference": "PractitionerRole/1"}, "text": "x"}]}, "note[0].authorReference"),
        ({"extension": [{"url": "urn:x", "valueInteger64": "1"}]}, "extension[0].valueInteger64"),
        ({"extension": [{"url": f"{EXTENSION}ChargeItem.product", "valueString": "x"}]}, "extension[0]"),
        ({"contained": [{"resourceType": "Organization", "id": "o", "name": "x"}]}, "contained[0]"),
    ],
)
def test_what_r4_can_not_hold_is_refused_at_its_address(resource: Json, place: str) -> None:
    with pytest.raises(MessageUnsupported) as refused:
        to_r4({"resourceType": "ChargeItem", **CHARGE, **resource})
    assert refused.value.location == f"ChargeItem.{place}"


@pytest.mark.parametrize(
    ("resource", "place"),
    [
        ({"extension": [{"url": f"{EXTENSION}ChargeItem.overrideReason", "valueString": "x"}]}, "extension"),
        (
            {
                "overrideReason": "a",
                "extension": [{"url": f"{EXTENSION}ChargeItem.overrideReason", "valueCodeableConcept": {"text": "b"}}],
            },
            "overrideReason",
        ),
        ({"extension": [{"url": EXTENSION.replace("5.0", "4.0") + "x", "valueString": "x"}]}, "extension[0]"),
        ({"extension": [{"url": "urn:x", "valueContributor": {"type": "author", "name": "x"}}]}, "extension[0]."),
    ],
)
def test_what_r5_has_no_words_for_is_refused_at_its_address(resource: Json, place: str) -> None:
    with pytest.raises(MessageUnsupported) as refused:
        to_r5({"resourceType": "ChargeItem", **CHARGE, **resource})
    assert str(refused.value.location).startswith(f"ChargeItem.{place}")


@given(st.sampled_from(["Encounter", "Coverage", "Nothing"]))
def test_a_type_without_a_conversion_is_refused(kind: str) -> None:
    for convert in (to_r4, to_r5):
        with pytest.raises(MessageUnsupported):
            convert({"resourceType": kind})

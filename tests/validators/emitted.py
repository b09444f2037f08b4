"""Everything of FHIR that we emit: what is posted to an EHR, what our FHIR endpoint answers, what HL7v2 becomes.

To have another resource looked at: a line in `served`, or a message in tests/golden/hl7.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from fhir_world import FhirWorld
from fhirpay.data import data_root
from fhirpay.db.unit import Units
from fhirpay.fhir.json import loads
from fhirpay.fhir.statement import FhirVersion
from fhirpay.web.fhir_server.spoken import R4, R5
from fhirpay.writeback.invoice_status import balanced
from fhirpay.writeback.payment_notice import render as notice
from fhirpay.writeback.payment_reconciliation import render
from fhirpay.writeback.payout_posting import render as payout
from posted_payments import STATES
from posted_payouts import PAYOUTS

Json = dict[str, Any]
GOLDEN = Path(__file__).parents[1] / "golden"
WRITTEN = GOLDEN / "writeback"


def posted(version: str) -> dict[str, Json]:
    """A PaymentReconciliation in every state, with the practice named and not; and of a payout."""
    spoken = FhirVersion(version)
    made = {name: payout(one, organization="clinic", version=spoken) for name, one in PAYOUTS.items()}
    return posted_payments(version) | made


def posted_payments(version: str) -> dict[str, Json]:
    """Those that are of a payment or a refund: what our profile of postings is about."""
    spoken = FhirVersion(version)
    made = {name: render(one, organization="clinic", version=spoken) for name, one in STATES.items()}
    return made | {"without an Organization": render(STATES["a-copay"], organization="", version=spoken)}


def beside_it(version: str) -> list[Json]:
    """What else is told of payments: PaymentNotice in every state, Provenance, Oracle's financial transactions (R4)."""
    spoken = FhirVersion(version)
    notices = [
        notice(one, organization="clinic", version=spoken, payment={"reference": f"PaymentReconciliation/{one.id}"})
        for one in STATES.values()
    ]
    kept = ["*-basic.json"] if version == "R4" else []
    goldens = [path for name in (*kept, f"*-provenance-{version.lower()}.json") for path in sorted(WRITTEN.glob(name))]
    return [*notices, *(loads(path.read_bytes()) for path in goldens)]


def balanced_invoice() -> Json:
    """An Invoice of an EHR's as it is sent back; R4 and R5 have the same elements for it."""
    money = {"value": Decimal("80.00"), "currency": "USD"}
    theirs = {"resourceType": "Invoice", "id": "inv1", "status": "issued", "totalNet": money, "totalGross": money}
    return loads(balanced(theirs | {"subject": {"reference": "Patient/p1"}}))


@cache
def mapped() -> tuple[Json, ...]:
    """Each resource in the goldens of tests/golden/hl7 once, also those in Bundles and those contained."""
    found: dict[str, Json] = {}
    for path in sorted((GOLDEN / "hl7").rglob("*.json")):
        for resource in _resources(json.loads(path.read_bytes(), parse_float=Decimal)):
            found.setdefault(repr(resource), resource)
    return tuple(found.values())


def _resources(value: Any) -> Iterator[Json]:
    if isinstance(value, dict):
        if "resourceType" in value:
            yield value
        for inner in value.values():
            yield from _resources(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _resources(inner)


def defined(version: str = "R4") -> list[Json]:
    """What stands in conformance/ for that version; what names none is of R4."""
    found = [loads(path.read_bytes()) for path in sorted(data_root("conformance").rglob("*-*.json")) if _is_fhir(path)]
    return [one for one in found if str(one.get("fhirVersion", "4.0.1")).startswith(_NUMBERS[version])]


def _is_fhir(path: Path) -> bool:
    return "resourceType" in loads(path.read_bytes())


_NUMBERS = {"R4": "4.0", "R5": "5.0"}
_ACCOUNT: Json = {
    "resourceType": "Account",
    "id": "a1",
    "identifier": [{"system": "urn:maple:account", "value": "4711"}],
    "status": "active",
    "subject": [{"reference": "Patient/p1"}],
}
_PATIENT: Json = {"resourceType": "Patient", "id": "p1", "name": [{"family": "Ngata", "given": ["Ruth"]}]}
_CHARGE: Json = {
    "resourceType": "ChargeItem",
    "status": "billable",
    "identifier": [{"system": "urn:maple:charge", "value": "c1"}],
    "code": {"text": "visit"},
    "subject": {"reference": "Patient/p1"},
    "account": [{"reference": "Account/a1"}],
    "priceOverride": {"value": 80, "currency": "USD"},
}


def _bundle(kind: str) -> Json:
    request = {"method": "POST", "url": "ChargeItem"}
    entry = {"fullUrl": "urn:uuid:5b7a1c3e-0d3e-4a57-9a53-0f7b6a0d8a11", "resource": _CHARGE, "request": request}
    broken = {"resource": {**_CHARGE, "status": "no"}, "request": request}
    return {"resourceType": "Bundle", "type": kind, "entry": [entry, broken] if kind == "batch" else [entry]}


def _said_in(version: str, value: Any) -> Any:
    """The same in R5, where that calls it otherwise."""
    if isinstance(value, list):
        return [_said_in(version, one) for one in value]
    if not isinstance(value, dict) or version == "R4":
        return value
    said = {name: _said_in(version, inner) for name, inner in value.items() if name != "priceOverride"}
    price = (
        {"totalPriceComponent": {"type": "base", "amount": value["priceOverride"]}} if len(said) < len(value) else {}
    )
    return said | price


async def served(units: Units, version: str = "R4") -> list[Json]:
    """What our FHIR endpoint answers: resources, Bundles of each kind, and refusals of each kind."""
    world = FhirWorld(units, spoken=R5 if version == "R5" else R4)
    asked: list[tuple[str, str, Any, dict[str, str]]] = [
        ("GET", "metadata", None, {}),
        ("PUT", "Patient/p1", _PATIENT, {}),
        ("PUT", "Account/a1", _ACCOUNT, {}),
        ("POST", "ChargeItem", _CHARGE, {}),
        ("PUT", "Account/a1", {**_ACCOUNT, "status": "inactive"}, {"if_match": 'W/"1"'}),
        ("PUT", "Account/a1", _ACCOUNT, {"if_match": 'W/"1"'}),  # refused: another version
        ("GET", "Account/a1", None, {}),
        ("GET", "Account/a1/_history", None, {}),
        ("GET", "ChargeItem?account=Account/a1&_include=ChargeItem:account&_count=1", None, {}),
        ("GET", "ChargeItem?patient=nobody", None, {}),
        ("POST", "", _bundle("transaction"), {}),
        ("POST", "", _bundle("batch"), {}),
        ("POST", "ChargeItem", {**_CHARGE, "status": "no", "quantity": "two"}, {}),
        ("POST", "ChargeItem", b"{", {}),
        ("POST", "Observation", {"resourceType": "Observation"}, {}),
        ("GET", "Account/nobody", None, {}),
        ("GET", "Account?name=x", None, {}),
        ("GET", "Account/a1", None, {"authorization": "Bearer no"}),
        ("DELETE", "Account/a1", None, {}),
    ]
    answers = [await world.send(how, path, _said_in(version, body), **headers) for how, path, body, headers in asked]
    return [answer.resource for answer in answers]

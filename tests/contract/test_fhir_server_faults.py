"""Everything that can be wrong with a request, each with its status, issue code and address. One row is one fault.

There is no database behind it: a request with a fault is refused before any unit is opened.
"""

from __future__ import annotations

from typing import Any, cast

import pytest

from fhir_world import FhirWorld
from fhirpay.db.unit import Units
from fhirpay.fhir.json import dumps
from fhirpay.fhir.search import Page, run

CHARGE: dict[str, Any] = {
    "resourceType": "ChargeItem",
    "status": "billable",
    "code": {"text": "Visit"},
    "subject": {"reference": "Patient/p1"},
}
PRICE = {"value": 10, "currency": "USD"}
INVOICE: dict[str, Any] = {
    "resourceType": "Invoice",
    "status": "issued",
    "lineItem": [
        {
            "chargeItemCodeableConcept": {"text": "Visit"},
            "priceComponent": [{"type": "base", "amount": PRICE}, {"type": "tax", "amount": PRICE}],
        }
    ],
    "totalNet": PRICE,
    "totalGross": {"value": 20, "currency": "USD"},
}


class Nothing:
    """A tenant's database that is empty and must not be written to."""

    tenant, dialect = "main", "sqlite"

    async def read(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        return Page([], 0) if fn is run else None

    async def write(self, fn: Any, *args: Any, urgent: bool = False, **kwargs: Any) -> Any:
        pytest.fail("a unit was opened for a request with a fault")


@pytest.fixture
def world() -> FhirWorld:
    return FhirWorld(cast(Units, Nothing()), body_max_bytes=20_000)


def charge(**changes: Any) -> dict[str, Any]:
    return {**CHARGE, **changes}


def raw(**changes: str) -> bytes:
    """A charge with a part of its JSON as written."""
    text = dumps(CHARGE)[:-1]
    return (text + "".join(f',"{name}":{value}' for name, value in changes.items()) + "}").encode()


BODIES: list[tuple[str, Any, int, str, str]] = [
    ("ChargeItem", b"", 400, "structure", "line 1 column 1"),
    ("ChargeItem", b"[]", 400, "structure", ""),
    ("ChargeItem", b"{", 400, "structure", "line 1 column 2"),
    ("ChargeItem", b"\xff\xfe", 400, "structure", "byte 1"),
    ("ChargeItem", raw(note='[{"text":"\xe4"}]').decode().encode("latin-1"), 400, "structure", "byte 128"),
    ("ChargeItem", raw(status='"billed"'), 400, "structure", "ChargeItem.status"),
    ("ChargeItem", raw(factorOverride="NaN"), 400, "value", ""),
    ("ChargeItem", raw(factorOverride="1e999"), 400, "value", ""),
    ("ChargeItem", raw(priceOverride='{"value":12..5,"currency":"USD"}'), 400, "structure", "line 1 column 138"),
    ("ChargeItem", raw(overrideReason='"\\u0000"'), 400, "value", "ChargeItem.overrideReason"),
    ("ChargeItem", raw(overrideReason='"\\ud800"'), 400, "value", "ChargeItem.overrideReason"),
    ("ChargeItem", raw(extension="[" * 70 + "]" * 70), 400, "structure", "ChargeItem.extension" + "[0]" * 63),
    ("ChargeItem", {}, 400, "required", "ChargeItem.resourceType"),
    ("ChargeItem", INVOICE, 400, "structure", "ChargeItem.resourceType"),
    ("ChargeItem", charge(status="paid"), 400, "code-invalid", "ChargeItem.status"),
    ("ChargeItem", {key: CHARGE[key] for key in CHARGE if key != "status"}, 400, "required", "ChargeItem.status"),
    ("ChargeItem", {key: CHARGE[key] for key in CHARGE if key != "subject"}, 400, "required", "ChargeItem.subject"),
    ("ChargeItem", charge(status=None), 400, "structure", "ChargeItem.status"),
    ("ChargeItem", charge(status=["billable"]), 400, "structure", "ChargeItem.status"),
    ("ChargeItem", charge(statuss="x"), 400, "structure", "ChargeItem.statuss"),
    ("ChargeItem", charge(account={"reference": "Account/1"}), 400, "structure", "ChargeItem.account"),
    ("ChargeItem", charge(account=[]), 400, "structure", "ChargeItem.account"),
    ("ChargeItem", charge(account=[{"reference": "Patient/1"}]), 400, "value", "ChargeItem.account[0].reference"),
    ("ChargeItem", charge(subject={"reference": "some patient"}), 400, "value", "ChargeItem.subject.reference"),
    ("ChargeItem", charge(subject={"reference": "#p"}), 400, "value", "ChargeItem.subject.reference"),
    ("ChargeItem", charge(subject={}), 400, "structure", "ChargeItem.subject"),
    ("ChargeItem", charge(occurrenceDateTime="20261120"), 400, "value", "ChargeItem.occurrenceDateTime"),
    ("ChargeItem", charge(occurrenceDateTime="2026-02-30"), 400, "value", "ChargeItem.occurrenceDateTime"),
    ("ChargeItem", charge(enteredDate="2026-11-20T10:00"), 400, "value", "ChargeItem.enteredDate"),
    (
        "ChargeItem",
        charge(priceOverride={"value": "10", "currency": "USD"}),
        400,
        "value",
        "ChargeItem.priceOverride.value",
    ),
    ("ChargeItem", charge(priceOverride={"value": 10}), 400, "required", "ChargeItem.priceOverride.currency"),
    (
        "ChargeItem",
        charge(priceOverride=PRICE | {"currency": "USX"}),
        400,
        "code-invalid",
        "ChargeItem.priceOverride.currency",
    ),
    (
        "ChargeItem",
        raw(priceOverride='{"value":1.005,"currency":"USD"}'),
        400,
        "value",
        "ChargeItem.priceOverride.value",
    ),
    ("ChargeItem", raw(priceOverride='{"value":1.5,"currency":"JPY"}'), 400, "value", "ChargeItem.priceOverride.value"),
    ("ChargeItem", charge(implicitRules="http://x"), 422, "not-supported", "ChargeItem.implicitRules"),
    (
        "ChargeItem",
        charge(modifierExtension=[{"url": "http://x", "valueBoolean": True}]),
        422,
        "not-supported",
        "ChargeItem.modifierExtension",
    ),
    (
        "ChargeItem",
        charge(contained=[{"resourceType": "Nothing"}]),
        400,
        "structure",
        "ChargeItem.contained[0].resourceType",
    ),
    (
        "Patient",
        {"resourceType": "Patient", "gender": "M"},
        400,
        "code-invalid",
        "Patient.gender",
    ),
    (
        "Patient",
        {"resourceType": "Patient", "name": [{"use": "legal"}]},
        400,
        "code-invalid",
        "Patient.name[0].use",
    ),
    ("Patient", {"resourceType": "Patient", "active": "true"}, 400, "value", "Patient.active"),
    ("Encounter", {"resourceType": "Encounter", "status": "finished"}, 400, "required", "Encounter.class"),
    (
        "Coverage",
        {"resourceType": "Coverage", "status": "active", "beneficiary": {"reference": "Patient/1"}},
        400,
        "required",
        "Coverage.payor",
    ),
    ("Organization", {"resourceType": "Organization"}, 400, "required", "Organization"),
    ("RelatedPerson", {"resourceType": "RelatedPerson"}, 400, "required", "RelatedPerson.patient"),
    ("Invoice", INVOICE | {"totalNet": {"value": 11, "currency": "USD"}}, 422, "business-rule", "Invoice.totalNet"),
    ("Invoice", INVOICE | {"totalGross": PRICE}, 422, "business-rule", "Invoice.totalGross"),
    (
        "Invoice",
        INVOICE | {"totalGross": {"value": 20, "currency": "EUR"}},
        422,
        "business-rule",
        "Invoice.totalGross.currency",
    ),
    ("", {"resourceType": "Bundle"}, 400, "required", "Bundle.type"),
    ("", {"resourceType": "Bundle", "type": "document"}, 422, "not-supported", "Bundle.type"),
    ("", {"resourceType": "Bundle", "type": "collection"}, 422, "not-supported", "Bundle.type"),
    ("", {"resourceType": "Bundle", "type": "transaction", "entry": [{}]}, 400, "structure", "Bundle.entry[0]"),
    ("", CHARGE, 400, "structure", "Bundle.resourceType"),
    (
        "",
        {"resourceType": "Bundle", "type": "transaction", "entry": [{"id": "x"}] * 501},
        413,
        "too-long",
        "Bundle.entry",
    ),
]


@pytest.mark.parametrize(("path", "body", "status", "code", "place"), BODIES)
async def test_a_body_with_a_fault(world: FhirWorld, path: str, body: Any, status: int, code: str, place: str) -> None:
    refused = await world.send("POST", path, body)
    assert (refused.status, *refused.issue) == (status, code, place)
    assert world.took == []


async def test_every_fault_is_told_at_once(world: FhirWorld) -> None:
    bad = charge(status="paid", priceOverride={"value": 1, "currency": "US"}, code="x")
    issues = (await world.send("POST", "ChargeItem", bad)).resource["issue"]
    assert {(issue["diagnostics"], issue["expression"][0]) for issue in issues} == {
        ("code-invalid", "ChargeItem.status"),
        ("code-invalid", "ChargeItem.priceOverride.currency"),
        ("message-invalid", "ChargeItem.code"),
    }


REQUESTS: list[tuple[str, str, dict[str, str], int, str]] = [
    ("POST", "ChargeItem", {"content-type": "application/fhir+xml"}, 415, "not-supported"),
    ("POST", "ChargeItem", {"content-type": "text/plain"}, 415, "not-supported"),
    ("POST", "ChargeItem", {"content-type": "application/fhir+json; charset=latin1"}, 415, "not-supported"),
    ("POST", "ChargeItem", {"content-type": "application/fhir+json; fhirVersion=5.0"}, 415, "not-supported"),
    ("POST", "ChargeItem", {"content-encoding": "gzip"}, 415, "not-supported"),
    ("POST", "ChargeItem", {"accept": "application/fhir+xml"}, 406, "not-supported"),
    ("POST", "ChargeItem", {"accept": "application/fhir+json;q=0"}, 406, "not-supported"),
    ("POST", "ChargeItem", {"accept": "application/fhir+json; fhirVersion=3.0"}, 406, "not-supported"),
    ("POST", "ChargeItem?_format=xml", {}, 406, "not-supported"),
    ("POST", "ChargeItem", {"authorization": ""}, 401, "login"),
    ("POST", "ChargeItem", {"authorization": "Bearer wrong"}, 401, "login"),
    ("POST", "ChargeItem", {"authorization": "Basic dDBrZW46"}, 401, "login"),
    ("POST", "ChargeItem", {"authorization": "Bearer 0ther"}, 403, "forbidden"),
    ("POST", "Claim", {}, 404, "not-supported"),
    ("POST", "Chargeitem", {}, 404, "not-supported"),
    ("POST", "PaymentReconciliation", {}, 405, "not-supported"),
    ("PUT", "PaymentReconciliation/r1", {}, 405, "not-supported"),
    ("POST", "ChargeItem/c1", {}, 405, "not-supported"),
    ("POST", "ChargeItem/$create", {}, 404, "not-supported"),
    ("PUT", "ChargeItem/c1", {}, 400, "structure"),
    ("PUT", "ChargeItem/c1/_history/1", {}, 405, "not-supported"),
    ("PATCH", "ChargeItem", {}, 405, "not-supported"),
    ("DELETE", "ChargeItem/c1", {}, 405, "not-supported"),
    ("DELETE", "ChargeItem", {}, 405, "not-supported"),
    ("GET", "", {}, 405, "not-supported"),
    ("GET", "ChargeItem/none", {}, 404, "not-found"),
    ("GET", "ChargeItem/no%20id", {}, 404, "not-found"),
    ("GET", "ChargeItem/c1/$apply", {}, 404, "not-supported"),
    ("GET", "ChargeItem/c1/_history/1/x", {}, 404, "not-supported"),
    ("GET", "Nothing/c1", {}, 404, "not-supported"),
    ("PUT", "ChargeItem/c1", {"if-match": "x"}, 400, "value"),
    ("PUT", "metadata", {}, 404, "not-supported"),
    ("POST", "ChargeItem/_search", {}, 415, "not-supported"),
]


@pytest.mark.parametrize(("method", "path", "headers", "status", "code"), REQUESTS)
async def test_a_request_with_a_fault(
    world: FhirWorld, method: str, path: str, headers: dict[str, str], status: int, code: str
) -> None:
    sent = {"content-type": "application/fhir+json", **headers}
    body = dumps(charge()).encode() if method in ("POST", "PUT", "PATCH") else None
    url = f"/fhir/R4/{path}" if path else "/fhir/R4"
    response = await world.http.request(method, url, content=body, headers=sent)
    outcome = response.json()
    assert (response.status_code, outcome["resourceType"]) == (status, "OperationOutcome"), outcome
    assert outcome["issue"][0]["code"] == code
    assert ("www-authenticate" in response.headers) == (status in (401, 403))
    assert ("allow" in response.headers) == (status == 405)
    assert world.took == []


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_that_is_too_large_is_not_read_to_its_end(world: FhirWorld, declared: bool) -> None:
    read = 0

    async def endless() -> Any:
        nonlocal read
        for _ in range(1000):
            read += 1000
            yield b" " * 1000

    content = b" " * 50_000 if declared else endless()
    headers = {"content-type": "application/fhir+json"}
    response = await world.http.post("/fhir/R4/ChargeItem", content=content, headers=headers)
    assert response.status_code == 413
    assert response.json()["issue"][0]["code"] == "too-long"


@pytest.mark.parametrize(
    "accept", ["*/*", "application/fhir+json", "application/json", "text/html, application/*;q=0.1", "text/json", ""]
)
async def test_what_may_be_asked_for(world: FhirWorld, accept: str) -> None:
    response = await world.http.get("/fhir/R4/ChargeItem", headers={"accept": accept} if accept else {})
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/fhir+json"


@pytest.mark.parametrize("stated", ["json", "application/json", "application/fhir+json", "application/fhir%2Bjson"])
async def test_format_goes_before_accept(world: FhirWorld, stated: str) -> None:
    response = await world.http.get(f"/fhir/R4/ChargeItem?_format={stated}", headers={"accept": "text/html"})
    assert response.status_code == 200

"""Transactions: references, conditions, all or nothing, and HL7v2's partial statements; on both engines."""

from __future__ import annotations

from typing import Any

import pytest

from fhirpay.db.unit import Units
from fhirpay.errors import (
    FhirpayError,
    MessageInvalid,
    MessageUnsupported,
    NotFound,
    PreconditionFailed,
    ValueInvalid,
)
from fhirpay.fhir import bundles, links, store
from fhirpay.fhir.answers import bundle_response
from fhirpay.fhir.bundle_entries import read
from fhirpay.fhir.search import search

PATIENT = "urn:uuid:aaaaaaaa-0000-4000-8000-000000000001"
ACCOUNT = "urn:uuid:aaaaaaaa-0000-4000-8000-000000000002"
CHARGE = "urn:uuid:aaaaaaaa-0000-4000-8000-000000000003"


def entry(method: str, url: str, resource: dict[str, Any] | None = None, full_url: str = "", **request: Any) -> Any:
    made: dict[str, Any] = {"request": {"method": method, "url": url, **request}}
    if resource is not None:
        made["resource"] = resource
    return made | ({"fullUrl": full_url} if full_url else {})


def transaction(*entries: Any) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": "transaction", "entry": list(entries)}


def visit(price: int = 100, **account: Any) -> dict[str, Any]:
    """A charge, its account and its patient, the charge first: order in a Bundle means nothing."""
    charge = {
        "resourceType": "ChargeItem",
        "identifier": [{"system": "lab", "value": "c|1"}],
        "status": "billable",
        "code": {"text": "Visit"},
        "subject": {"reference": PATIENT},
        "account": [{"reference": ACCOUNT}],
        "priceOverride": {"value": price, "currency": "USD"},
    }
    holder = {
        "resourceType": "Account",
        "identifier": [{"system": "adt", "value": "a1"}],
        "status": "active",
        "subject": [{"identifier": {"system": "mrn", "value": "p1"}, "type": "Patient"}],
        **account,
    }
    patient = {"resourceType": "Patient", "identifier": [{"system": "mrn", "value": "p1"}]}
    return transaction(
        entry("PUT", "ChargeItem?identifier=lab|c%7C1", charge, CHARGE),
        entry("PUT", "Account?identifier=adt|a1", holder, ACCOUNT),
        entry("PUT", "Patient?identifier=mrn|p1", patient, PATIENT),
    )


async def test_references_inside_become_real_and_a_repeat_changes_nothing(units: Units) -> None:
    written = await units.write(bundles.apply, visit(), source="msg1")
    (charge, _), (account, _), (patient, _) = written
    assert [change for _, change in written] == ["created"] * 3
    assert charge.resource["account"] == [{"reference": account.reference}]
    assert charge.resource["subject"] == {"reference": patient.reference}
    assert account.resource["subject"][0]["reference"] == patient.reference  # by its identifier
    again = await units.write(bundles.apply, visit(), source="msg2")
    assert [(one.id, change) for one, change in again] == [(one.id, "unchanged") for one, _ in written]
    changed = await units.write(bundles.apply, visit(price=120), source="msg3")
    assert [change for _, change in changed] == ["updated", "unchanged", "unchanged"]


async def test_what_a_message_does_not_state_stays(units: Units) -> None:
    await units.write(bundles.apply, visit(name="Stay of May", description="x"), source="m1", merge=True)
    deletes, assumed = [(ACCOUNT, "description")], [(ACCOUNT, "status")]
    second = visit(status="unknown")
    written = await units.write(bundles.apply, second, source="m2", merge=True, deletes=deletes, assumed=assumed)
    account = written[1][0].resource
    assert (account["name"], account["status"]) == ("Stay of May", "active")
    assert "description" not in account
    replaced = await units.write(bundles.apply, visit(), source="m3")
    assert "name" not in replaced[1][0].resource  # a FHIR PUT says all


async def test_all_or_nothing(units: Units) -> None:
    bundle = visit()
    bundle["entry"][2]["request"]["ifMatch"] = 'W/"7"'
    with pytest.raises(PreconditionFailed) as refused:
        await units.write(bundles.apply, bundle, source="m1")
    assert refused.value.location == "Bundle.entry[2].request.ifMatch"
    assert (await units.read(search, "ChargeItem", "")).total == 0


async def test_create_update_and_read_in_one(units: Units) -> None:
    person = {"resourceType": "Patient", "id": "p7", "identifier": [{"system": "mrn", "value": "7"}]}
    bundle = transaction(
        entry("GET", "Patient?identifier=mrn|7"),
        entry("GET", "Patient/p7"),
        entry("PUT", "Patient/p7", person),
        entry("POST", "Patient", {"resourceType": "Patient", "id": "mine"}),
        entry("POST", "Patient", person, ifNoneExist="identifier=mrn|8&active=true"),
    )
    bundle["entry"][4]["resource"] = {**person, "identifier": [{"system": "mrn", "value": "8"}], "active": True}
    done = await units.write(bundles.transact, bundle, source="")
    assert done[0].page is not None
    assert [one.id for one in done[0].page.matches] == ["p7"]
    assert done[3].stored is not None
    assert done[3].stored.id != "mine"
    answer = bundle_response("transaction-response", done, "http://us/fhir/R4")
    assert [one["response"]["status"] for one in answer["entry"]] == [
        "200 OK",
        "200 OK",
        "201 Created",
        "201 Created",
        "201 Created",
    ]
    assert answer["entry"][2]["response"]["location"] == "http://us/fhir/R4/Patient/p7/_history/1"
    again = await units.write(bundles.transact, bundle, source="")
    assert [one.change for one in again] == [None, None, "unchanged", "created", "unchanged"]


async def test_a_condition_as_a_reference(units: Units) -> None:
    await units.write(bundles.apply, visit(), source="m1")
    coverage = {
        "resourceType": "Coverage",
        "status": "active",
        "beneficiary": {"reference": "Patient?identifier=mrn|p1"},
        "payor": [{"display": "self"}],
    }
    written = await units.write(bundles.apply, transaction(entry("POST", "Coverage", coverage)), source="m2")
    patient = (await units.read(store.find, "Patient", "mrn", "p1"))[0]
    assert written[0][0].resource["beneficiary"]["reference"] == patient.reference
    coverage["beneficiary"] = {"reference": "Patient?identifier=mrn|nobody"}
    with pytest.raises(PreconditionFailed) as refused:
        await units.write(bundles.apply, transaction(entry("POST", "Coverage", coverage)), source="m3")
    assert refused.value.location == "Bundle.entry[0].resource.beneficiary.reference"


async def test_a_condition_may_name_a_system_that_is_an_address(units: Units) -> None:
    mrn = {"system": "http://hospital.example/mrn", "value": "7"}
    patient, _ = await units.write(store.put, {"resourceType": "Patient", "identifier": [mrn]})
    person = {"resourceType": "RelatedPerson", "patient": {"reference": f"Patient?identifier={mrn['system']}|7"}}
    (made, _), *_ = await units.write(bundles.apply, transaction(entry("POST", "RelatedPerson", person)), source="m1")
    assert made.resource["patient"]["reference"] == patient.reference
    person["patient"] = {"reference": f"Patient?identifier={mrn['system']}|8"}
    with pytest.raises(PreconditionFailed):
        await units.write(bundles.apply, transaction(entry("POST", "RelatedPerson", person)), source="m2")
    elsewhere = {"reference": "http://other.example/fhir/Patient?identifier=7"}
    person["patient"] = elsewhere
    (made, _), *_ = await units.write(bundles.apply, transaction(entry("POST", "RelatedPerson", person)), source="m3")
    assert made.resource["patient"] == elsewhere


def test_looking_for_conditions_walks_a_resource_once(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = 0
    walk = links._literal

    def counted(at: str, value: Any) -> Any:
        nonlocal steps
        steps += 1
        return walk(at, value)

    monkeypatch.setattr(links, "_literal", counted)
    many = [{"reference": f"Patient?identifier=mrn|{i}"} for i in range(100)]
    found = list(links.conditions({"resourceType": "ChargeItem", "supportingInformation": many}))
    assert found[99] == ("Patient", "identifier=mrn|99", "ChargeItem.supportingInformation[99].reference")
    assert steps < 1000


PERSON = {"resourceType": "Patient", "identifier": [{"system": "mrn", "value": "1"}]}
ORPHAN = {"resourceType": "RelatedPerson", "patient": {"reference": PATIENT}}


REFUSALS: list[tuple[Any, type[FhirpayError], str]] = [
    (entry("DELETE", "Patient/1"), MessageUnsupported, "request.method"),
    (entry("PATCH", "Patient/1", PERSON), MessageUnsupported, "request.method"),
    (entry("POST", "Claim", {"resourceType": "Claim"}), MessageUnsupported, "request.url"),
    (entry("POST", "Patient/1", PERSON), ValueInvalid, "request.url"),
    (entry("POST", "$do", PERSON), ValueInvalid, "request.url"),
    (entry("PUT", "Patient", PERSON), ValueInvalid, "request.url"),
    (entry("PUT", "Patient/1", PERSON), ValueInvalid, "resource.id"),
    (entry("PUT", "Patient?shoe=44", PERSON), MessageUnsupported, "request.url"),
    (entry("PUT", "Patient?identifier=mrn|2", PERSON), ValueInvalid, "resource.identifier"),
    (entry("POST", "Patient", PERSON, ifNoneExist="identifier="), ValueInvalid, "request.ifNoneExist"),
    (entry("PUT", "Account/1", PERSON), MessageInvalid, "resource.resourceType"),
    (entry("PUT", "Patient?identifier=mrn|1", PERSON, ifMatch="x"), ValueInvalid, "request.ifMatch"),
    (entry("POST", "Patient", PERSON, ifNoneMatch="*"), MessageUnsupported, "request.ifNoneMatch"),
    (entry("POST", "Patient"), FhirpayError, "resource"),
    ({"resource": PERSON}, FhirpayError, "request"),
    (entry("GET", "Patient/nobody"), NotFound, "request.url"),
    (entry("POST", "RelatedPerson", ORPHAN), MessageInvalid, "resource.patient.reference"),
]


async def test_each_refusal_says_where(units: Units) -> None:
    for refused, error, place in REFUSALS:
        bundle = transaction(entry("POST", "Patient", PERSON), refused)
        with pytest.raises(error) as raised:
            await units.write(bundles.transact, bundle, source="")
        assert raised.value.location == f"Bundle.entry[1].{place}", refused
    assert (await units.read(search, "Patient", "")).total == 0


async def test_one_resource_is_written_once_in_a_transaction(units: Units) -> None:
    twice = entry("PUT", "Patient?identifier=mrn|1", PERSON)
    await units.write(bundles.apply, transaction(twice), source="")
    with pytest.raises(ValueInvalid, match=r"same resource as Bundle.entry\[0\]"):
        await units.write(bundles.apply, transaction(twice, twice), source="")


@pytest.mark.parametrize("kind", ["batch", "collection", "message", None])
def test_only_transactions_are_taken(kind: str | None) -> None:
    with pytest.raises(MessageUnsupported) as refused:
        read({"resourceType": "Bundle", "type": kind})
    assert refused.value.location == "Bundle.type"


async def test_what_we_made_ourselves_has_no_bound(units: Units) -> None:
    """A client's transaction has one (web/fhir_server/intake.py); one message may say thousands of charges."""
    many = transaction(*[entry("POST", "Organization", {"resourceType": "Organization", "name": "x"})] * 501)
    assert len(await units.write(bundles.apply, many, source="")) == 501


async def test_a_transaction_may_be_empty(units: Units) -> None:
    assert await units.write(bundles.apply, {"resourceType": "Bundle", "type": "transaction"}, source="") == []


def charge(**elements: Any) -> dict[str, Any]:
    made = {"resourceType": "ChargeItem", "status": "billable", "code": {"text": "Visit"}}
    made |= {"subject": {"reference": "Patient/p"}, "identifier": [{"system": "lab", "value": "c1"}]}
    return made | elements


CONDITION = "ChargeItem?identifier=lab|c1"


async def test_a_post_that_repeats_another_one_is_answered_with_it(units: Units) -> None:
    naming = {
        "resourceType": "Invoice",
        "status": "issued",
        "lineItem": [{"chargeItemReference": {"reference": CHARGE}}],
    }
    twice = (entry("POST", "ChargeItem", charge()), entry("POST", "ChargeItem", charge(), CHARGE))
    bundle = transaction(entry("POST", "Invoice", naming), *twice)
    invoice, first, second = await units.write(bundles.apply, bundle, source="m1")
    assert [first[1], second[1]] == ["created", "unchanged"]
    assert first[0] == second[0]
    named = invoice[0].resource["lineItem"][0]["chargeItemReference"]["reference"]
    assert named == first[0].reference


@pytest.mark.parametrize(
    "others",
    [
        (entry("POST", "ChargeItem", charge()), entry("PUT", "ChargeItem/c9", charge(id="c9"))),
        (entry("POST", "ChargeItem", charge()), entry("PUT", CONDITION, charge())),
        (entry("PUT", CONDITION, charge()), entry("PUT", CONDITION, charge())),
    ],
)
async def test_a_put_beside_another_write_under_its_identifier_is_refused(units: Units, others: Any) -> None:
    with pytest.raises(ValueInvalid) as refused:
        await units.write(bundles.apply, transaction(*others), source="m1")
    assert refused.value.location == "Bundle.entry[1].request.url"

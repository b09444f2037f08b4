"""What the FHIR server takes in and how it answers, seen from outside, on both engines."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_world import BASE, FhirWorld
from fhirpay.db.unit import Units
from fhirpay.errors import StorageUnavailable
from fhirpay.fhir.json import loads

pytestmark = pytest.mark.warns("web.bug")

CHARGE = loads(
    """{"resourceType": "ChargeItem", "identifier": [{"system": "urn:lab", "value": "c-1"}], "status": "billable",
    "code": {"text": "Visit"}, "subject": {"reference": "Patient/p1"}, "account": [{"reference": "Account/a1"}],
    "priceOverride": {"value": 125.00, "currency": "USD"}}"""
)


@pytest.fixture
def world(units: Units) -> FhirWorld:
    return FhirWorld(units)


async def test_create_then_read(world: FhirWorld) -> None:
    made = await world.send("POST", "ChargeItem", CHARGE | {"id": "mine"})
    charge = made.resource
    assert made.status == 201
    assert charge["id"] != "mine"
    assert made.headers["location"] == f"{BASE}/ChargeItem/{charge['id']}/_history/1"
    assert made.headers["etag"] == 'W/"1"'
    assert made.headers["last-modified"] == "Fri, 20 Nov 2026 15:00:00 GMT"
    read = await world.send("GET", f"ChargeItem/{charge['id']}")
    assert (read.status, read.resource) == (200, charge)
    assert b"125.00" in read.response.content
    assert read.headers["etag"] == 'W/"1"'
    again = await world.send("GET", f"ChargeItem/{charge['id']}", if_none_match='W/"1"')
    assert (again.status, again.response.content) == (304, b"")


async def test_what_was_taken_is_handed_on_in_the_same_unit(world: FhirWorld) -> None:
    made = await world.send("POST", "ChargeItem", CHARGE)
    (request, changes, body), *_ = world.took
    assert request == "POST ChargeItem"
    assert changes == [(f"ChargeItem/{made.resource['id']}", "created")]
    assert loads(body) == CHARGE


@pytest.mark.parametrize(
    ("trouble", "status", "code"),
    [(StorageUnavailable("the disk is full"), 503, "transient"), (ZeroDivisionError("PID|Doe"), 500, "exception")],
)
async def test_nothing_is_kept_when_it_can_not_be_handed_on(
    world: FhirWorld, trouble: Exception, status: int, code: str
) -> None:
    world.trouble = trouble
    refused = await world.send("PUT", "ChargeItem/c1", CHARGE | {"id": "c1"})
    assert (refused.status, refused.issue[0]) == (status, code)
    assert b"Doe" not in refused.response.content
    assert ("retry-after" in refused.headers) == (status == 503)
    assert (await world.send("GET", "ChargeItem/c1")).status == 404


async def test_update_makes_versions_that_stay_readable(world: FhirWorld) -> None:
    first = await world.send("PUT", "ChargeItem/c1", CHARGE | {"id": "c1"})
    second = await world.send("PUT", "ChargeItem/c1", CHARGE | {"id": "c1", "status": "billed"}, if_match='W/"1"')
    same = await world.send("PUT", "ChargeItem/c1", CHARGE | {"id": "c1", "status": "billed"})
    assert [one.status for one in (first, second, same)] == [201, 200, 200]
    assert [one.headers["etag"] for one in (first, second, same)] == ['W/"1"', 'W/"2"', 'W/"2"']
    stale = await world.send("PUT", "ChargeItem/c1", CHARGE | {"id": "c1"}, if_match='W/"1"')
    assert (stale.status, stale.issue) == (412, ("conflict", "http.If-Match"))
    old = await world.send("GET", "ChargeItem/c1/_history/1")
    assert (old.status, old.resource["status"]) == (200, "billable")
    for missing in ("3", "x", "0", "99999999999"):
        assert (await world.send("GET", f"ChargeItem/c1/_history/{missing}")).status == 404
    history = (await world.send("GET", "ChargeItem/c1/_history")).resource
    assert (history["type"], history["total"]) == ("history", 2)
    assert [one["response"]["etag"] for one in history["entry"]] == ['W/"2"', 'W/"1"']
    assert (await world.send("GET", "ChargeItem/c9/_history")).status == 404


async def test_conditional_create(world: FhirWorld) -> None:
    first = await world.send("POST", "ChargeItem", CHARGE, if_none_exist="identifier=urn:lab|c-1")
    second = await world.send(
        "POST", "ChargeItem", CHARGE | {"status": "billed"}, if_none_exist="identifier=urn:lab|c-1"
    )
    assert (first.status, second.status) == (201, 200)
    assert second.resource == first.resource
    await world.send("PUT", "ChargeItem/another", CHARGE | {"id": "another"})
    many = await world.send("POST", "ChargeItem", CHARGE, if_none_exist="identifier=urn:lab|c-1")
    assert (many.status, many.issue) == (412, ("conflict", "http.If-None-Exist"))
    bad = await world.send("POST", "ChargeItem", CHARGE, if_none_exist="shoe=44")
    assert (bad.status, bad.issue) == (400, ("not-supported", "http.If-None-Exist"))


async def test_conditional_update(world: FhirWorld) -> None:
    by = "ChargeItem?identifier=urn:lab|c-1"
    first = await world.send("PUT", by, CHARGE)
    second = await world.send("PUT", by, CHARGE | {"status": "billed"})
    assert (first.status, second.status, second.headers["etag"]) == (201, 200, 'W/"2"')
    assert second.resource["id"] == first.resource["id"]
    stale = await world.send("PUT", by, CHARGE, if_match='W/"1"')
    assert stale.status == 412
    other = await world.send("PUT", by, CHARGE | {"id": "another"})
    assert (other.status, other.issue) == (400, ("value", "ChargeItem.id"))
    bare = await world.send("PUT", "ChargeItem", CHARGE)
    assert (bare.status, bare.issue[0]) == (400, "required")


async def test_prefer_says_how_much_comes_back(world: FhirWorld) -> None:
    minimal = await world.send("POST", "ChargeItem", CHARGE, prefer="return=minimal")
    assert (minimal.status, minimal.response.content) == (201, b"")
    assert minimal.headers["location"]
    outcome = await world.send("POST", "ChargeItem", CHARGE, prefer="handling=strict; return=OperationOutcome")
    assert outcome.resource["issue"][0]["severity"] == "information"


async def test_a_card_number_is_masked_and_the_sender_told(world: FhirWorld) -> None:
    note = {"note": [{"text": "paid with 4111 1111 1111 1111"}]}
    made = await world.send("PUT", "ChargeItem/c1", CHARGE | {"id": "c1"} | note)
    assert made.status == 201
    assert made.resource["note"][0]["text"].endswith("1111")
    assert "ChargeItem.note[0].text" in made.headers["warning"]
    assert b"4111" not in made.response.content
    assert b"4111" not in world.took[0][2]
    bundle = transaction(("PUT", "ChargeItem/c2", CHARGE | {"id": "c2"} | note))
    answer = await world.send("POST", "", bundle)
    issue = answer.resource["entry"][0]["response"]["outcome"]["issue"][0]
    assert (issue["severity"], issue["expression"]) == ("warning", ["Bundle.entry[0].resource.note[0].text"])


async def test_our_own_absolute_references_are_ours(world: FhirWorld) -> None:
    await world.send("PUT", "ChargeItem/c1", CHARGE | {"id": "c1", "subject": {"reference": f"{BASE}/Patient/p1"}})
    read = (await world.send("GET", "ChargeItem/c1")).resource
    assert read["subject"] == {"reference": "Patient/p1"}


def transaction(*entries: tuple[str, str, Any]) -> dict[str, Any]:
    listed = [{"request": {"method": method, "url": url}, "resource": resource} for method, url, resource in entries]
    return {"resourceType": "Bundle", "type": "transaction", "entry": listed}


async def test_a_transaction(world: FhirWorld) -> None:
    patient = {"resourceType": "Patient", "identifier": [{"system": "mrn", "value": "1"}]}
    bundle = transaction(
        ("PUT", "ChargeItem?identifier=urn:lab|c-1", CHARGE | {"subject": {"reference": "urn:uuid:" + "a" * 8}}),
        ("PUT", "Patient?identifier=mrn|1", patient),
    )
    bundle["entry"][1]["fullUrl"] = "urn:uuid:" + "a" * 8
    answer = await world.send("POST", "", bundle)
    assert answer.status == 200
    assert answer.resource["type"] == "transaction-response"
    charge, person = (entry["resource"] for entry in answer.resource["entry"])
    assert charge["subject"]["reference"] == f"Patient/{person['id']}"
    assert [entry["response"]["status"] for entry in answer.resource["entry"]] == ["201 Created"] * 2
    (request, changes, _), *_ = world.took
    assert (request, len(changes)) == ("POST transaction", 2)
    again = await world.send("POST", "/", bundle, prefer="return=minimal")
    assert [entry["response"]["status"] for entry in again.resource["entry"]] == ["200 OK"] * 2
    assert "resource" not in again.resource["entry"][0]
    bundle["entry"][0]["resource"]["status"] = "paid"
    bad = await world.send("POST", "", bundle)
    assert (bad.status, bad.issue) == (400, ("code-invalid", "Bundle.entry[0].resource.status"))


async def test_a_transaction_that_only_reads_is_not_a_message(world: FhirWorld) -> None:
    bundle = {"resourceType": "Bundle", "type": "transaction"}
    bundle["entry"] = [{"request": {"method": "GET", "url": "ChargeItem?status=billable"}}]
    refused = await world.send("POST", "", bundle)
    assert refused.issue == ("not-supported", "Bundle.entry[0].request.url")
    bundle["entry"] = [{"request": {"method": "GET", "url": "ChargeItem?identifier=x"}}]
    answer = await world.send("POST", "", bundle)
    assert answer.resource["entry"][0]["resource"]["type"] == "searchset"
    assert world.took == []


async def test_what_would_have_to_be_looked_for_without_end_is_refused_before(world: FhirWorld) -> None:
    """In the unit, where everybody else waits."""
    named = [{"type": "Patient", "identifier": {"system": "urn:mrn", "value": str(i)}} for i in range(1001)]
    many = await world.send("POST", "ChargeItem", CHARGE | {"supportingInformation": named})
    assert (many.status, many.issue) == (413, ("too-long", "ChargeItem"))
    asked = [{"reference": f"Patient?identifier=urn:mrn|{i}"} for i in range(1001)]
    many = await world.send("POST", "ChargeItem", CHARGE | {"supportingInformation": asked})
    assert (many.status, many.issue) == (413, ("too-long", "ChargeItem"))
    assert (await world.send("POST", "ChargeItem", CHARGE | {"supportingInformation": named[1:]})).status == 201

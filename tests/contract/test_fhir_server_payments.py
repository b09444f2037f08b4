"""PaymentReconciliation on our endpoint: what was posted, and what EHRs said, is read and found, and never written."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_world import FhirWorld
from fhirpay.db.unit import Tx, Units
from fhirpay.fhir import store as fhir
from fhirpay.fhir.json import dumps
from fhirpay.writeback import store
from fhirpay.writeback.payment_reconciliation import PAYMENT_SYSTEM, RESOURCE_TYPE

KIND = RESOURCE_TYPE
BODY: dict[str, Any] = {
    "resourceType": KIND,
    "identifier": [{"system": PAYMENT_SYSTEM, "value": "pay1"}],
    "status": "active",
    "created": "2026-11-20T23:30:00-05:00",
    "outcome": "complete",
    "paymentIssuer": {"reference": "Organization/o1"},
    "requestor": {"reference": "Organization/o2"},
    "paymentDate": "2026-11-20",
    "detail": [
        {
            "type": {"coding": [{"code": "payment"}]},
            "request": {"reference": "ChargeItem/c1"},
            "amount": {"value": 40, "currency": "USD"},
        },
        {
            "type": {"coding": [{"code": "payment"}]},
            "request": {"type": "Invoice", "identifier": {"system": "urn:i", "value": "7"}},
        },
    ],
}


def _posted(tx: Tx, body: str | None, connection: str) -> str:
    made, _ = store.add(tx, connection=connection, subject="pay1", payment_id="pay1", resource_type=KIND)
    store.posted(tx, made, remote_id="x", remote_version="1", body=body)
    return made


@pytest.fixture
def world(units: Units) -> FhirWorld:
    return FhirWorld(units)


async def test_what_an_ehr_took_is_read_as_it_was_sent(world: FhirWorld) -> None:
    exact = dumps(BODY)[:-1] + ',"paymentAmount":{"value":40.00,"currency":"USD"}}'
    made = await world.units.write(_posted, exact, "north")
    answer = await world.send("GET", f"{KIND}/{made}")
    shown = answer.resource
    assert shown.pop("meta")["tag"] == [{"system": "https://fhirpay.dev/connection", "code": "north"}]
    assert shown.pop("id") == made
    assert dumps(shown) == exact
    assert (await world.send("GET", f"{KIND}/{made}/_history")).resource["total"] == 1
    assert (await world.send("GET", f"{KIND}/{made}/_history/1")).status == 200
    south = await world.units.write(_posted, exact, "south")
    found = (await world.send("GET", f"{KIND}?identifier={PAYMENT_SYSTEM}|pay1")).resource
    assert {entry["resource"]["id"] for entry in found["entry"]} == {made, south}


async def test_a_posting_of_which_we_have_no_body_is_not_shown(world: FhirWorld) -> None:
    made = await world.units.write(_posted, None, "north")
    assert (await world.send("GET", f"{KIND}/{made}")).status == 404


async def test_each_parameter_finds_it_and_leaves_it_out(world: FhirWorld) -> None:
    await world.units.write(fhir.put, {**BODY, "id": "r1"})
    for hit, miss in (
        ("identifier=pay1", "identifier=pay2"),
        ("status=active", "status=cancelled"),
        ("outcome=complete", "outcome=error"),
        ("payment-issuer=Organization/o1", "payment-issuer=Organization/o2"),
        ("requestor=Organization/o2", "requestor=Organization/o1"),
        ("request=ChargeItem/c1", "request=ChargeItem/c2"),
        ("request:identifier=urn:i|7", "request:identifier=urn:i|8"),
        ("created=2026-11-21", "created=2026-11-20"),  # in UTC
        ("created=2026-11-20T23:30-05:00", "created=2026-11-20T23:31-05:00"),
        ("created=ge2026-11-21T04:30:00Z", "created=gt2026-11-21T04:30:00Z"),
        ("created=le2026-11", "created=lt2026-11-21"),
        ("created=ne2026-10", "created=ne2026-11"),
        ("created=2026-11-21,2026-12", "created=2026-12,2025"),
        ("_lastUpdated=ge2026", "_lastUpdated=lt2026"),
    ):
        found = [(await world.send("GET", f"{KIND}?{query}")).resource["total"] for query in (hit, miss)]
        assert found == [1, 0], (hit, miss)
    for bad in ("created=yesterday", "created:missing=true", "account=Account/a1", "created=ap2026"):
        assert (await world.send("GET", f"{KIND}?{bad}")).status == 400, bad
    await world.send("PUT", "Organization/o1", {"resourceType": "Organization", "id": "o1", "name": "x"})
    page = (await world.send("GET", f"{KIND}?_include={KIND}:payment-issuer")).resource
    assert [entry["search"]["mode"] for entry in page["entry"]] == ["match", "include"]


async def test_nobody_writes_it(world: FhirWorld) -> None:
    await world.units.write(fhir.put, {**BODY, "id": "r1"})
    for method, path in (("POST", KIND), ("PUT", f"{KIND}/r1"), ("PUT", f"{KIND}?identifier=pay1")):
        refused = await world.send(method, path, {**BODY, "id": "r1", "status": "cancelled"})
        assert (refused.status, refused.headers["allow"]) == (405, "GET"), path
    assert (await world.send("DELETE", f"{KIND}/r1")).headers["allow"] == "GET"
    for kind in ("transaction", "batch"):
        sound = {**BODY, "id": "r1", "paymentAmount": {"value": 1, "currency": "USD"}}
        entry = {"request": {"method": "PUT", "url": f"{KIND}/r1"}, "resource": sound}
        answer = await world.send("POST", "", {"resourceType": "Bundle", "type": kind, "entry": [entry]})
        outcome = answer.resource["entry"][0]["response"]["outcome"] if kind == "batch" else answer.resource
        assert outcome["issue"][0]["expression"] == ["Bundle.entry[0].request.url"]
    assert (await world.send("GET", f"{KIND}/r1")).resource["meta"]["versionId"] == "1"

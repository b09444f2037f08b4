"""What a client writes over FHIR names the message behind it, and that message names what it wrote."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from fhirpay.billing.store import obligations_of
from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.fhir_urls import SELF_PAY
from fhirpay.domain.ids import CountedIds
from fhirpay.domain.money import Money
from fhirpay.inbox import store as inbox
from fhirpay.usecases.explain import explain
from fhirpay.usecases.staff import enter_amount
from fhirpay.writeback.references import sources
from intake_world import World, world

WHO = {"reference": "Patient/p1"}
PATIENT = {"resourceType": "Patient", "id": "p1", "birthDate": "1980-01-01"}
ACCOUNT = {"resourceType": "Account", "id": "a1", "status": "active", "subject": [WHO]}


@pytest.fixture
async def w(database: Database, clock: FrozenClock, ids: CountedIds) -> AsyncIterator[World]:
    async with world(database, clock, ids) as made:
        yield made


async def send(w: World, method: str, path: str, body: dict[str, Any]) -> int:
    headers = {"Authorization": "Bearer reader", "Content-Type": "application/fhir+json"}
    transport = httpx2.ASGITransport(app=w.system.web)
    async with httpx2.AsyncClient(transport=transport, base_url="http://ours") as http:
        return (await http.request(method, f"/fhir/R4{path}", content=json.dumps(body), headers=headers)).status_code


def put(resource: dict[str, Any]) -> dict[str, Any]:
    return {"resource": resource, "request": {"method": "PUT", "url": f"{resource['resourceType']}/{resource['id']}"}}


async def behind(w: World, kind: str, id: str) -> list[str]:
    """The requests that wrote it, as the inbox keeps them."""
    found = await w.house.units.read(sources, kind, id)
    return [(await w.house.units.read(inbox.get, one)).label for one in found]


async def test_every_way_of_writing_names_its_message(w: World) -> None:
    entries = [put(PATIENT), put(ACCOUNT)]
    assert await send(w, "POST", "", {"resourceType": "Bundle", "type": "transaction", "entry": entries}) == 200
    assert await behind(w, "Account", "a1") == await behind(w, "Patient", "p1") == ["POST transaction"]
    assert await send(w, "PUT", "/Account/a1", {**ACCOUNT, "status": "on-hold"}) == 200
    assert await send(w, "PUT", "/Account/a1", {**ACCOUNT, "status": "on-hold"}) == 200  # nothing new
    assert await behind(w, "Account", "a1") == ["POST transaction", "PUT Account/a1"]
    numbered = {**ACCOUNT, "identifier": [{"system": "urn:c", "value": "9"}]}
    for path in ("/Account", "/Account?identifier=urn:c|9"):
        method = "PUT" if "?" in path else "POST"
        body = {key: value for key, value in numbered.items() if key != "id"}
        assert await send(w, method, path, {**body, "name": path}) in (200, 201)
    await w.work()
    chain = (await w.house.units.read(explain, "urn:c|9")).as_text()
    assert "POST Account" in chain
    assert "PUT Account/acc" in chain


async def test_explain_finds_the_transaction_by_any_of_its_entries(w: World) -> None:
    entries = [put(PATIENT), put(ACCOUNT)]
    await send(w, "POST", "", {"resourceType": "Bundle", "type": "transaction", "entry": entries})
    await w.work()
    (source,) = await w.house.units.read(sources, "Account", "a1")
    chain = await w.house.units.read(explain, "Account/a1")
    assert [(root.kind, {child.id for child in root.children}) for root in chain.roots] == [("message", {"a1"})]
    assert {root.id for root in (await w.house.units.read(explain, source)).roots} == {root.id for root in chain.roots}


@pytest.mark.parametrize("invoice_first", [False, True])
async def test_an_invoice_that_names_only_charges_stands_on_their_account(w: World, invoice_first: bool) -> None:
    price = {"value": 100, "currency": "USD"}
    account = {**ACCOUNT, "extension": [{"url": SELF_PAY, "valueBoolean": True}]}
    charge = {"resourceType": "ChargeItem", "id": "c1", "status": "billable", "code": {"text": "Visit"}, "subject": WHO}
    charge |= {"account": [{"reference": "Account/a1"}], "occurrenceDateTime": "2026-11-10", "priceOverride": price}
    line = {"chargeItemReference": {"reference": "ChargeItem/c1"}}
    invoice = {"resourceType": "Invoice", "id": "i1", "status": "issued", "subject": WHO, "date": "2026-11-12"}
    invoice |= {"lineItem": [line], "totalGross": price}
    for one in (PATIENT, account, *((invoice, charge) if invoice_first else (charge, invoice))):
        assert await send(w, "PUT", f"/{one['resourceType']}/{one['id']}", one) == 201
        await w.work()
    assert await asked(w, "Account/a1", "Patient/p1") == {"Invoice/i1": "100.00 USD"}
    await send(w, "PUT", "/Account/a1", {**account, "status": "on-hold"})
    await w.work()
    assert await asked(w, "Account/a1", "Patient/p1") == {}


async def test_a_patient_without_an_account_is_asked_for_what_rests_on_them_alone(w: World) -> None:
    """Whose charges all stand on accounts isn't assessed; what comes without one is the first that rests on them."""
    price = {"value": 100, "currency": "USD"}
    invoice = {"resourceType": "Invoice", "id": "i1", "status": "issued", "subject": WHO, "date": "2026-11-12"}
    for one in (PATIENT, ACCOUNT, {**invoice, "totalGross": price}):
        assert await send(w, "PUT", f"/{one['resourceType']}/{one['id']}", one) == 201
        await w.work()
    assert await asked(w, "Patient/p1") == {"Invoice/i1": "100.00 USD"}
    other = {**PATIENT, "id": "p2"}
    assert await send(w, "PUT", "/Patient/p2", other) == 201
    await w.work()
    amount = Money(40_00, "USD")
    await w.house.units.write(enter_amount, "Patient/p2", amount, reason="told", by="ann", tenant=w.house.tenant)
    assert list((await asked(w, "Patient/p2")).values()) == ["40.00 USD"]


async def asked(w: World, *refs: str) -> dict[str, str]:
    """Basis → what may be asked for it now."""
    found = [one for ref in refs for one in await w.house.units.read(obligations_of, ref)]
    return {one.basis_key: str(one.askable) for one in found if one.askable}

"""What is said again, late or beside something newer, counts once and undoes nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from test_usecases_receive_fhir import ACCOUNT, PATIENT, WHO, send

from fhirpay.billing.store import obligations_of
from fhirpay.db.unit import Database, Tx, Units
from fhirpay.domain import fhir_urls as urls
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.fhir import conditional, store
from fhirpay.fhir.merge import Partial
from fhirpay.usecases.replay import replay_messages
from intake_world import World, ft1, message, world

PRICE = {"value": 100, "currency": "USD"}
SELF_PAY = {**ACCOUNT, "extension": [{"url": urls.SELF_PAY, "valueBoolean": True}]}
CHARGE: dict[str, Any] = {
    "resourceType": "ChargeItem",
    "status": "billable",
    "code": {"text": "Visit"},
    "subject": WHO,
    "account": [{"reference": "Account/a1"}],
    "occurrenceDateTime": "2026-11-10",
    "priceOverride": PRICE,
    "identifier": [{"system": "urn:lab", "value": "c-1"}],
}
INVOICE: dict[str, Any] = {
    "resourceType": "Invoice",
    "status": "issued",
    "subject": WHO,
    "account": {"reference": "Account/a1"},
    "date": "2026-11-12",
    "totalGross": PRICE,
    "identifier": [{"system": "urn:lab", "value": "i-1"}],
}


@pytest.fixture
async def w(database: Database, clock: FrozenClock, ids: CountedIds) -> AsyncIterator[World]:
    async with world(database, clock, ids) as made:
        yield made


async def asked(w: World) -> list[str]:
    found = await w.house.units.read(obligations_of, "Account/a1")
    return [str(one.askable) for one in found if one.askable]


async def test_a_replay_does_not_undo_the_insurance_that_a_later_message_told(w: World) -> None:
    await w.send(message("M1", ft1(1, "CG", "100.00&USD")))  # PV1-20 SP
    await w.send(message("M2", label="ADT^A08", pv1={20: "BC"}))  # insured after all
    await w.work()
    assert await w.askable() == "0"
    await w.house.units.write(replay_messages, message="M1")
    await w.work()
    assert await w.askable() == "0"


async def in_a_bundle(w: World, *resources: dict[str, Any]) -> Any:
    entries = [{"resource": one, "request": {"method": "POST", "url": one["resourceType"]}} for one in resources]
    return await send(w, "POST", "", {"resourceType": "Bundle", "type": "transaction", "entry": entries})


async def alone(w: World, resource: dict[str, Any]) -> Any:
    return await send(w, "POST", f"/{resource['resourceType']}", resource)


@pytest.mark.parametrize("post", [alone, in_a_bundle])
@pytest.mark.parametrize("resource", [CHARGE, INVOICE], ids=lambda one: one["resourceType"])
async def test_a_post_that_is_sent_again_is_asked_for_once(w: World, resource: dict[str, Any], post: Any) -> None:
    await send(w, "PUT", "/Patient/p1", PATIENT)
    await send(w, "PUT", "/Account/a1", SELF_PAY if resource is CHARGE else ACCOUNT)
    for _ in range(2):
        await post(w, resource)
    await w.work()
    assert await asked(w) == ["100.00 USD"]


@pytest.mark.parametrize("resource", [CHARGE, INVOICE], ids=lambda one: one["resourceType"])
async def test_a_post_that_is_twice_in_a_bundle_is_asked_for_once(w: World, resource: dict[str, Any]) -> None:
    await send(w, "PUT", "/Patient/p1", PATIENT)
    await send(w, "PUT", "/Account/a1", SELF_PAY if resource is CHARGE else ACCOUNT)
    for _ in range(2):  # the Bundle itself, too, is sent again
        assert await in_a_bundle(w, resource, resource) == 200
    await w.work()
    assert await asked(w) == ["100.00 USD"]


@pytest.mark.parametrize("resource", [CHARGE, INVOICE], ids=lambda one: one["resourceType"])
async def test_two_amounts_under_one_identifier_in_a_bundle_are_refused(w: World, resource: dict[str, Any]) -> None:
    await send(w, "PUT", "/Patient/p1", PATIENT)
    await send(w, "PUT", "/Account/a1", SELF_PAY if resource is CHARGE else ACCOUNT)
    other = {**resource, ("priceOverride" if resource is CHARGE else "totalGross"): {**PRICE, "value": 90}}
    assert await in_a_bundle(w, resource, other) == 409
    await w.work()
    assert await asked(w) == []


@pytest.mark.parametrize("resource", [CHARGE, INVOICE], ids=lambda one: one["resourceType"])
async def test_a_post_with_another_amount_under_the_same_identifier_is_refused(
    w: World, resource: dict[str, Any]
) -> None:
    await send(w, "PUT", "/Patient/p1", PATIENT)
    await send(w, "PUT", "/Account/a1", ACCOUNT)
    await alone(w, resource)
    other = {**resource, ("priceOverride" if resource is CHARGE else "totalGross"): {**PRICE, "value": 90}}
    assert await alone(w, other) == 409
    assert await in_a_bundle(w, other) == 409


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # SQLite has one writer
async def test_a_put_between_reading_and_merging_is_not_undone(units: Units) -> None:
    number = [{"system": "urn:c", "value": "9"}]
    base = {"resourceType": "Account", "id": "a1", "identifier": number, "status": "active"}
    await units.write(store.put, base)
    read, written = threading.Event(), threading.Event()

    def merges(tx: Tx) -> None:
        query = conditional.criteria("Account", "identifier=urn:c|9")
        conditional.lock(tx, [query])
        found = conditional.match(tx, query)
        read.set()
        assert written.wait(60)
        stated = {"resourceType": "Account", "identifier": number, "name": "Visit", "status": "active"}
        conditional.write(tx, stated, found, query, source="hl7", partial=Partial(assumed=("status",)))

    merging = asyncio.ensure_future(units.write(merges))
    assert await asyncio.to_thread(read.wait, 60)
    await units.write(store.put, {**base, "status": "on-hold"})
    written.set()
    await merging
    kept = await units.read(store.get, "Account", "a1")
    assert kept is not None
    assert (kept.resource["status"], kept.resource["name"]) == ("on-hold", "Visit")

"""Changes are picked up at the simulated EHR: once each, with what they refer to, by whoever holds the lease."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import httpx2
import pytest

from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.fhir_urls import APPOINTMENT_ACCOUNT
from fhirpay.domain.ids import CountedIds
from fhirpay.domain.money import Money
from fhirpay.fhir.store import put
from fhirpay.polling import store
from fhirpay.simulators.ehr import Ehr, create_app
from fhirpay.simulators.ehr_faults import Fault
from fhirpay.usecases.poll_ehr import UNREAD
from fhirpay.usecases.standing_warnings import standing
from fhirpay.usecases.take_polled import REFUSED
from fhirpay.writeback.references import as_known_by
from polling_world import ACCOUNT, BASE, PATIENT, Poll, charge, polling

pytestmark = pytest.mark.warns("poll.page_failed")
HOUR = timedelta(hours=1)


@pytest.fixture
async def ehr(clock: FrozenClock) -> AsyncIterator[Ehr]:
    app = create_app(token="ehr-token", clock=lambda: clock.now() - HOUR)  # its clock is an hour behind ours
    app.state.ehr.app = app
    yield app.state.ehr
    app.state.ehr.store.close()


@pytest.fixture
async def poll(database: Database, clock: FrozenClock, ids: CountedIds, ehr: Ehr) -> AsyncIterator[Poll]:
    transport = httpx2.ASGITransport(app=ehr.app)
    async with polling(database, clock, ids, transport, poll=("ChargeItem", "Account")) as made:
        yield made


async def test_a_charge_is_owed_once_with_all_that_it_refers_to(poll: Poll, ehr: Ehr) -> None:
    for one in (PATIENT, ACCOUNT, charge(subject={"reference": f"{BASE}/Patient/p1"})):
        ehr.seed(one)
    await poll.look()
    await poll.look()
    assert [(one.patient, one.state) for one in await poll.owed()] == [(Money(10000, "USD"), "collectable")]
    kept = await poll.kept("ChargeItem", "c1")
    assert kept is not None
    assert kept["subject"] == {"reference": "Patient/p1"}  # ours, as if the EHR had sent it
    assert sorted(await poll.messages()) == ["GET Account/a1", "GET ChargeItem/c1", "GET Patient/p1"]
    # What is posted back names the charge by the EHR's own id.
    assert await poll.units.read(as_known_by, "ChargeItem/c1", "ehr") == {"reference": "ChargeItem/c1"}


async def test_a_new_version_is_a_change_and_an_old_one_is_none(poll: Poll, ehr: Ehr) -> None:
    for one in (PATIENT, ACCOUNT, charge()):
        ehr.seed(one)
    await poll.look()
    ehr.store.update(charge(amount="80.00"), "c1")
    await poll.look()
    await poll.look()
    assert [one.patient for one in await poll.owed()] == [Money(8000, "USD")]
    assert (await poll.messages()).count("GET ChargeItem/c1") == 2


async def test_what_cant_be_taken_is_told_and_the_rest_goes_on(poll: Poll, ehr: Ehr) -> None:
    ehr.seed(PATIENT)
    ehr.seed(ACCOUNT)
    ehr.store.create({**charge("bad"), "status": "no such status"})
    ehr.seed(charge())
    await poll.look()
    assert len(await poll.owed()) == 1
    (says,) = await poll.told(REFUSED)
    assert "ChargeItem.status" in says


async def test_what_came_from_somebody_else_is_not_overwritten(poll: Poll, ehr: Ehr) -> None:
    await poll.units.write(put, {**charge(), "note": [{"text": "of another EHR"}]}, source="urn:fhirpay:other#msg1")
    numbered = {"identifier": [{"system": "urn:c", "value": "1"}]}
    await poll.units.write(put, charge("sent", **numbered), source="urn:fhirpay:clinic#msg2")
    ehr.seed(charge())
    ehr.seed(charge("twice", **numbered))
    await poll.look()
    for one in (charge(), charge("twice", **numbered)):  # nor is it by what they become
        ehr.store.update({**one, "status": "billed"}, one["id"])
    await poll.look()
    kept = await poll.kept("ChargeItem", "c1")
    assert kept is not None
    assert kept["note"] == [{"text": "of another EHR"}]
    assert await poll.kept("ChargeItem", "twice") is None
    assert len(await poll.told(REFUSED)) == 2


async def test_an_appointment_that_is_polled_makes_its_copay_due_until_it_is_cancelled(
    database: Database, clock: FrozenClock, ids: CountedIds, ehr: Ehr
) -> None:
    coverage = {"resourceType": "Coverage", "id": "v1", "status": "active", "beneficiary": {"reference": "Patient/p1"}}
    copay = {"type": {"coding": [{"code": "copay"}]}, "valueMoney": {"value": 25, "currency": "USD"}}
    ehr.seed({**coverage, "payor": [{"display": "Plan"}], "costToBeneficiary": [copay]})
    insured = {name: value for name, value in ACCOUNT.items() if name != "extension"}
    ehr.seed({**insured, "coverage": [{"coverage": {"reference": "Coverage/v1"}}]})
    ehr.seed(PATIENT)
    actor = {"actor": {"reference": "Patient/p1"}, "status": "accepted"}
    booked = {"resourceType": "Appointment", "id": "b1", "status": "booked", "participant": [actor]}
    booked |= {"start": "2026-11-30T10:00:00Z", "end": "2026-11-30T10:30:00Z", "created": "2026-11-01"}
    booked["extension"] = [{"url": APPOINTMENT_ACCOUNT, "valueReference": {"reference": "Account/a1"}}]
    ehr.seed(booked)
    async with polling(database, clock, ids, httpx2.ASGITransport(app=ehr.app), poll=("Appointment",)) as poll:
        await poll.look()
        assert [(one.basis_kind, one.patient) for one in await poll.owed()] == [("copay", Money(2500, "USD"))]
        ehr.store.update({**booked, "status": "cancelled"}, "b1")
        await poll.look()
        assert await poll.owed() == []


async def test_what_is_referred_to_is_read_once_until_it_is_old_or_a_newer_version_is_named(
    database: Database, clock: FrozenClock, ids: CountedIds, ehr: Ehr
) -> None:
    asked: list[str] = []

    class Counting(httpx2.ASGITransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            if "_id=" in str(request.url):
                asked.append(request.url.path.rpartition("/")[2])
            return await super().handle_async_request(request)

    ehr.seed(PATIENT)
    ehr.seed(ACCOUNT)
    async with polling(database, clock, ids, Counting(app=ehr.app)) as poll:
        for at in range(60):  # over a page, and each look has new ones
            ehr.seed(charge(f"a{at}"))
        await poll.look()
        ehr.seed(charge("later"))
        await poll.look()
        assert asked == ["Account", "Patient"]
        ehr.store.update({**ACCOUNT, "name": "changed"}, "a1")
        ehr.seed(charge("stale"))
        await poll.look()
        assert asked == ["Account", "Patient"]
        ehr.seed(charge("newer", account=[{"reference": "Account/a1/_history/2"}]))
        await poll.look()
        assert asked == ["Account", "Patient", "Account"]
        ehr.seed(charge("older", account=[{"reference": "Account/a1/_history/1"}]))
        await poll.look()
        assert asked == ["Account", "Patient", "Account"]
        await poll.look(25 * HOUR)
        ehr.seed(charge("a-day-later"))
        await poll.look()
        assert asked == ["Account", "Patient", "Account", "Account", "Patient"]
    asked.clear()
    async with polling(database, clock, ids, Counting(app=ehr.app), poll=("ChargeItem", "Account")) as poll:
        ehr.seed(charge("two-days-later"))
        await poll.look(25 * HOUR)
        assert asked == ["Patient"]  # changes of accounts come by themselves


async def test_one_process_asks_and_another_takes_over_when_it_is_dead(
    poll: Poll, ehr: Ehr, clock: FrozenClock
) -> None:
    lease = timedelta(seconds=60)
    dead = await poll.units.write(store.claim, "ehr", owner="dead", lease=lease)
    assert dead is not None
    ehr.seed(charge())
    await poll.look(timedelta(seconds=30), owner="two")
    assert await poll.messages() == []
    await poll.look(timedelta(seconds=31), owner="two")
    assert "GET ChargeItem/c1" in await poll.messages()


async def test_a_busy_ehr_is_left_alone_as_long_as_it_says(poll: Poll, ehr: Ehr) -> None:
    ehr.seed(charge())
    await poll.look()
    ehr.seed(charge("c2"))
    ehr.faults.set.append(Fault("busy", times=1, seconds=1800))
    await poll.look()
    for _ in range(2):  # the Account is asked for, the charges are not
        await poll.look(timedelta(minutes=14))
        assert "GET ChargeItem/c2" not in await poll.messages()
    await poll.look(timedelta(minutes=14))
    assert "GET ChargeItem/c2" in await poll.messages()


async def test_an_ehr_that_is_down_is_told_after_a_while_and_until_it_is_up(poll: Poll, ehr: Ehr) -> None:
    ehr.seed(charge())
    ehr.faults.set.append(Fault("down"))
    for _ in range(4):
        await poll.look()
    assert len(await poll.told(UNREAD)) == 2  # one of each type
    assert [(one.interface, one.code) for one in await poll.units.read(standing)] == [("ehr", "ehr-unread")]
    ehr.faults.set.clear()
    await poll.look()
    assert await poll.told(UNREAD) == []
    assert "GET ChargeItem/c1" in await poll.messages()


async def test_a_type_that_cant_be_searched_is_told_at_once(poll: Poll, ehr: Ehr) -> None:
    ehr.switches.search = False
    await poll.look()
    assert any("offers no search for ChargeItem" in one for one in await poll.told(UNREAD))
    ehr.switches.search, ehr.switches.fhir_version = True, "5.0.0"
    await poll.look()
    assert any("picked up from R4" in one for one in await poll.told(UNREAD))

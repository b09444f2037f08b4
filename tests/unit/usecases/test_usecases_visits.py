"""An EHR that finds charges only by encounter is looked at encounter by encounter: each that a message speaks of."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from fhirpay.billing.look_alikes import LOOK_ALIKE
from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.domain.money import Money
from fhirpay.polling.visits import RARELY, first_due, next_look
from fhirpay.reconciliation.kinds import KINDS
from fhirpay.simulators.ehr import Ehr, create_app
from fhirpay.simulators.ehr_capabilities import Switches
from fhirpay.simulators.ehr_faults import Fault
from fhirpay.usecases import staff
from fhirpay.usecases.look_at_visit import UNFOUND, UNREAD
from fhirpay.usecases.visits import look
from fhirpay.writeback.references import as_known_by
from intake_world import SYSTEM, ft1, message
from polling_world import PATIENT, Poll, charge, polling

pytestmark = pytest.mark.warns("poll.visit_failed", "poll.page_failed")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SYSTEMS = {"urn:ehr:visit": SYSTEM, "urn:ehr:fin": SYSTEM, "urn:ehr:mrn": f"{SYSTEM}:CLINIC"}


def number(system: str, value: str) -> dict[str, Any]:
    return {"identifier": [{"system": f"urn:ehr:{system}", "value": value}]}


def visit(id: str = "e1", value: str = "VA100", status: str = "in-progress", **more: Any) -> dict[str, Any]:
    own = {"resourceType": "Encounter", "id": id, "status": status, "class": {"code": "AMB"}}
    return {**own, **number("visit", value), "subject": {"reference": "Patient/p1"}, **more}


def account(id: str = "a1", value: str = "A100") -> dict[str, Any]:
    own = {"resourceType": "Account", "id": id, "status": "active", "subject": [{"reference": "Patient/p1"}]}
    return {**own, **number("fin", value)}


def of_visit(id: str = "c1", encounter: str = "e1", **more: Any) -> dict[str, Any]:
    return charge(id, **{"context": {"reference": f"Encounter/{encounter}"}, **more})


class Calls(httpx2.AsyncBaseTransport):
    """The EHR in this process, and what it was asked."""

    def __init__(self, ehr: Ehr) -> None:
        self.inner = httpx2.ASGITransport(app=ehr.app)  # type: ignore[attr-defined]
        self.asked: list[str] = []
        self.dies_at = ""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        said = f"{request.url.path.removeprefix('/fhir/')}?{request.url.query.decode()}"
        if self.dies_at and self.dies_at in said:
            raise KeyboardInterrupt
        self.asked.append(said)
        return await self.inner.handle_async_request(request)

    def of(self, kind: str) -> list[str]:
        return [one for one in self.asked if one.startswith(kind)]


@pytest.fixture
async def ehr(clock: FrozenClock) -> AsyncIterator[Ehr]:
    switches = Switches(searched_with={"ChargeItem": "context"}, page_max=2)
    app = create_app(token="ehr-token", clock=clock.now, switches=switches)
    app.state.ehr.app = app
    for one in ({**PATIENT, **number("mrn", "MRN1")}, account(), visit()):
        app.state.ehr.seed(one)
    yield app.state.ehr
    app.state.ehr.store.close()


@pytest.fixture
def calls(ehr: Ehr) -> Calls:
    return Calls(ehr)


@pytest.fixture
def more() -> dict[str, Any]:
    return {"poll": ("ChargeItem",), "poll_by": {"ChargeItem": "encounter"}, "systems": SYSTEMS, "interface": "clinic"}


@pytest.fixture
async def poll(
    database: Database, clock: FrozenClock, ids: CountedIds, calls: Calls, more: dict[str, Any]
) -> AsyncIterator[Poll]:
    async with polling(database, clock, ids, calls, **more) as made:
        yield made


async def send(poll: Poll, label: str, control_id: str, interface: str = "clinic", **more: Any) -> None:
    intake = poll.system.house("main").intakes[interface]
    assert [one async for one in intake.answers(message(control_id, label=label, **more), source="mllp")]
    inbox, *_ = poll.system.workers()
    await inbox.drain()


async def of_ours(poll: Poll) -> str:
    """Our own account of the feed."""
    from intake_world import _refs

    (ref,) = await poll.units.read(_refs, SYSTEM, "A100")
    return ref


async def test_the_charges_of_an_admitted_patient_are_owed_once_on_the_feeds_account(
    poll: Poll, ehr: Ehr, calls: Calls
) -> None:
    for name in ("c1", "c2", "c3"):
        ehr.seed(of_visit(name, amount="10.00"))
    ehr.seed(of_visit("other", "e2"))
    await send(poll, "ADT^A04", "1")
    await poll.look()
    await poll.look(HOUR)
    ref = await of_ours(poll)
    owed = await poll.owed(ref.partition("/")[2])
    # The class of the ADT is what makes them collectable: the EHR's Account says nothing of who pays.
    assert [(one.patient, one.state) for one in owed] == [(Money(1000, "USD"), "collectable")] * 3
    taken = [one for one in await poll.messages() if one.startswith("GET")]
    assert sorted(taken) == ["GET ChargeItem/c1", "GET ChargeItem/c2", "GET ChargeItem/c3"]
    assert await poll.kept("Account", "a1") is None  # it is ours, under another id
    assert await poll.units.read(as_known_by, ref, "ehr") == {"reference": "Account/a1"}
    assert len(calls.of("Encounter?")) == 1  # by its number, once
    # What it refers to was read once: two pages of charges, looked at twice, name the same account and patient.
    assert (len(calls.of("Account")), len(calls.of("Patient"))) == (1, 1)


async def test_what_is_charged_late_is_found_until_long_after_the_end_and_then_nobody_asks(
    poll: Poll, ehr: Ehr, calls: Calls
) -> None:
    await send(poll, "ADT^A01", "1")
    await poll.look()
    await send(poll, "ADT^A03", "2", pv1={45: "20261120"})
    ehr.store.update(visit(status="finished", period={"end": "2026-11-20"}), "e1")
    for _ in range(3):
        await poll.look(DAY)
    ehr.seed(of_visit("late"))
    await poll.look(DAY)
    assert "GET ChargeItem/late" in await poll.messages()
    for _ in range(40):
        await poll.look(DAY)
    asked = len(calls.asked)
    ehr.seed(of_visit("much-later"))
    await poll.look(DAY)
    assert len(calls.asked) == asked
    assert "GET ChargeItem/much-later" not in await poll.messages()
    assert await poll.units.read(first_due, "ehr") is None


async def test_a_crash_in_the_middle_looks_again_and_takes_nothing_twice(poll: Poll, ehr: Ehr, calls: Calls) -> None:
    for name in ("c1", "c2", "c3"):
        ehr.seed(of_visit(name))
    await send(poll, "ADT^A04", "1")
    calls.dies_at = "_offset=2"
    with pytest.raises(KeyboardInterrupt):
        await poll.look()
    calls.dies_at = ""
    await poll.look(owner="two")
    taken = [one for one in await poll.messages() if one.startswith("GET")]
    assert sorted(taken) == ["GET ChargeItem/c1", "GET ChargeItem/c2", "GET ChargeItem/c3"]


async def test_many_messages_of_one_encounter_are_one_look(poll: Poll, calls: Calls) -> None:
    await send(poll, "ADT^A04", "1")
    for at in range(5):
        await send(poll, "ADT^A08", f"a{at}", pv1={3: f"W{at}"})
    await poll.look()
    assert len(calls.of("ChargeItem?")) == 1


async def test_an_encounter_that_the_ehr_does_not_know_is_told_and_found_once_it_does(poll: Poll, ehr: Ehr) -> None:
    await send(poll, "ADT^A04", "1", account="A200", pid={3: "MRN9^^^CLINIC^MR"})
    for _ in range(5):
        await poll.look(HOUR)
    (says,) = await poll.told(UNFOUND)
    assert "`systems`" in says
    assert UNFOUND in KINDS
    ehr.seed(visit("e9", "VA200"))
    ehr.seed(of_visit("c9", "e9"))
    await poll.look(DAY)
    assert await poll.told(UNFOUND) == []
    assert "GET ChargeItem/c9" in await poll.messages()


@pytest.mark.parametrize("more", [{"poll": ("ChargeItem",), "poll_by": {"ChargeItem": "encounter"}}])
async def test_without_systems_an_encounter_is_known_by_its_number_alone(poll: Poll, ehr: Ehr, calls: Calls) -> None:
    ehr.seed(of_visit())
    await send(poll, "ADT^A04", "1")
    await poll.look()
    assert "Encounter?identifier=VA100&_count=10" in calls.asked
    kept = await poll.kept("ChargeItem", "c1")
    assert kept is not None
    assert kept["context"]["reference"] != "Encounter/e1"  # but ours
    assert await poll.kept("Encounter", "e1") is None
    assert kept["account"] == [{"reference": "Account/a1"}]  # whose number may be anybody's


async def test_an_encounter_that_never_shows_is_told_when_it_is_given_up(poll: Poll, ehr: Ehr) -> None:
    await send(poll, "ADT^A03", "1", account="A200", pv1={45: "20261120"})
    for _ in range(40):
        await poll.look(DAY)
    assert any("never found" in one for one in await poll.told(UNREAD))


async def test_what_a_server_finds_that_was_not_asked_for_is_nobody(poll: Poll, ehr: Ehr) -> None:
    ehr.seed(of_visit())
    ehr.faults.set.append(Fault("match_all", methods=["GET"]))
    await send(poll, "ADT^A04", "1", account="A200")
    await poll.look()
    assert not [one for one in await poll.messages() if one.startswith("GET")]


async def test_a_busy_ehr_is_left_alone_whoever_is_heard_of(poll: Poll, ehr: Ehr, calls: Calls) -> None:
    ehr.seed(of_visit())
    ehr.faults.set.append(Fault("busy", times=1, seconds=3600))
    await send(poll, "ADT^A04", "1")
    await poll.look()
    asked = len(calls.asked)
    await send(poll, "ADT^A08", "2", pv1={3: "W2"})
    await poll.look(timedelta(minutes=30))
    assert len(calls.asked) == asked
    await poll.look(timedelta(minutes=31))
    assert "GET ChargeItem/c1" in await poll.messages()


@pytest.mark.parametrize("bad_one", ["e1", "e2"])
async def test_one_that_cannot_be_read_keeps_nobody_from_the_others(
    poll: Poll, ehr: Ehr, calls: Calls, bad_one: str
) -> None:
    ehr.seed(visit("e2", "VA200"))
    ehr.seed(of_visit("c1", "e1"))
    ehr.seed(of_visit("c2", "e2"))
    bad = calls.inner.handle_async_request

    async def one_is_bad(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(500) if f"Encounter%2F{bad_one}" in str(request.url) else await bad(request)

    calls.inner.handle_async_request = one_is_bad  # type: ignore[method-assign]
    await send(poll, "ADT^A04", "1")
    await send(poll, "ADT^A04", "2", account="A200")
    for _ in range(6):
        await poll.look(HOUR)
    assert len([one for one in await poll.messages() if one.startswith("GET ChargeItem")]) == 1
    (says,) = await poll.told(UNREAD)
    assert "Encounter/" in says
    calls.inner.handle_async_request = bad  # type: ignore[method-assign]
    await poll.look(DAY)
    assert await poll.told(UNREAD) == []


async def test_an_ehr_that_is_down_is_told_once_and_everything_is_read_when_it_is_up(poll: Poll, ehr: Ehr) -> None:
    for at in range(1, 4):
        ehr.seed(visit(f"x{at}", f"VB{at}"))
        ehr.seed(of_visit(f"c{at}", f"x{at}"))
        await send(poll, "ADT^A04", str(at), account=f"B{at}")
    ehr.faults.set.append(Fault("down"))
    for _ in range(12):
        await poll.look()
    assert len(await poll.told(UNREAD)) == 1
    ehr.faults.set.clear()
    await poll.look(HOUR)
    await poll.look(HOUR)
    assert await poll.told(UNREAD) == []
    assert {f"GET ChargeItem/c{at}" for at in range(1, 4)} <= set(await poll.messages())


async def test_a_launch_inside_the_ehr_names_the_encounter_by_its_own_id(poll: Poll, ehr: Ehr) -> None:
    ehr.seed(of_visit())
    (connection,) = poll.system.house("main").tenant.connections
    await poll.units.write(look, connection, "Encounter", "e1")
    await poll.look()
    assert {"GET Encounter/e1", "GET ChargeItem/c1"} <= set(await poll.messages())
    await poll.look()
    (owed,) = await poll.owed()
    assert owed.state == "pending"  # nobody has said that the patient pays


async def test_a_message_of_another_feed_is_none_of_this_ehr(poll: Poll, calls: Calls) -> None:
    await send(poll, "ADT^A04", "1", interface="lab")
    await poll.look()
    assert calls.asked == []


async def test_a_search_that_needs_an_encounter_says_what_to_set(
    database: Database, clock: FrozenClock, ids: CountedIds, calls: Calls
) -> None:
    async with polling(database, clock, ids, calls) as poll:
        for _ in range(3):
            await poll.look()
        (says,) = await poll.told(UNREAD)
        assert "poll_by" in says


@pytest.mark.parametrize(
    "more",
    [
        {
            "poll": ("Account",),
            "poll_by": {"Account": "patient"},
            "systems": SYSTEMS,
            "interface": "clinic",
        }
    ],
)
async def test_what_is_found_by_patient_only_is_found_by_the_patient_of_a_message(
    poll: Poll, ehr: Ehr, calls: Calls
) -> None:
    ehr.switches.searched_with = {"Account": "patient"}
    ehr.seed(account("a2", "A999"))
    await send(poll, "ADT^A28", "1")
    await poll.look()
    assert "GET Account/a2" in await poll.messages()
    assert "Account?patient=p1&_count=50" in calls.asked


@pytest.mark.parametrize(
    "more", [{"poll": ("Account", "Appointment"), "poll_by": {"Account": "patient"}, "poll_late_days": 1}]
)
async def test_an_appointment_is_news_of_its_patient_though_the_patient_is_known(
    poll: Poll, ehr: Ehr, calls: Calls
) -> None:
    ehr.switches.searched_with = {"Account": "patient"}
    actor = {"actor": {"reference": "Patient/p1"}, "status": "accepted"}
    booked = {"resourceType": "Appointment", "id": "b1", "status": "booked", "participant": [actor]}
    booked |= {"start": "2026-12-30T10:00:00Z", "end": "2026-12-30T10:30:00Z"}
    ehr.seed(booked)
    await poll.look()
    for _ in range(4):
        await poll.look(DAY)
    ehr.seed(account("a2", "A999"))
    await poll.look(DAY)
    assert "GET Account/a2" not in await poll.messages()  # nothing was heard of the patient for long
    ehr.store.update({**booked, "status": "arrived"}, "b1")
    await poll.look()
    await poll.look()
    assert "GET Account/a2" in await poll.messages()


async def test_an_encounter_that_is_polled_is_looked_at_itself(
    database: Database, clock: FrozenClock, ids: CountedIds, ehr: Ehr, calls: Calls
) -> None:
    ehr.seed(of_visit())
    driven = {"poll": ("ChargeItem", "Encounter"), "poll_by": {"ChargeItem": "encounter"}}
    async with polling(database, clock, ids, calls, **driven) as poll:
        await poll.look()
        await poll.look()
        assert "GET ChargeItem/c1" in await poll.messages()


def test_the_longer_nothing_is_new_the_rarer_a_look_until_the_last_one() -> None:
    heard, every, late = datetime(2026, 11, 1, tzinfo=UTC), timedelta(minutes=15), timedelta(days=30)

    def again(after: timedelta, ended: datetime | None = None) -> datetime | None:
        return next_look(heard + after, heard, ended, every=every, late=late)

    assert again(timedelta()) == heard + every
    assert again(8 * HOUR) == heard + 9 * HOUR
    assert again(20 * DAY) == heard + 20 * DAY + RARELY
    assert again(364 * DAY + 23 * HOUR) == heard + 365 * DAY
    assert again(365 * DAY) is None
    assert again(29 * DAY + 23 * HOUR, heard) == heard + 30 * DAY
    assert again(30 * DAY, heard) is None


async def test_a_charge_that_comes_by_the_feed_and_over_fhir_is_asked_for_once(poll: Poll, ehr: Ehr) -> None:
    await send(poll, "ADT^A04", "1")
    charged = message("2", ft1(1, "CG", "10.00&USD", {4: "20261110"}))
    assert [one async for one in poll.system.house("main").intakes["clinic"].answers(charged, source="mllp")]
    ehr.seed(of_visit(amount="10.00", **number("charge-number", "77")))
    await poll.look()
    await poll.look(HOUR)
    ref = (await of_ours(poll)).partition("/")[2]
    assert sum(one.patient.minor for one in await poll.owed(ref) if one.state == "collectable") == 1000
    (says,) = await poll.told(LOOK_ALIKE)
    assert "ChargeItem/c1 came over FHIR" in says
    tenant = poll.system.house("main").tenant
    two = {"by": "client:desk/jdoe", "reason": "two visits that day", "tenant": tenant}
    await poll.units.write(staff.confirm_second_charge, "ChargeItem/c1", **two)
    assert sum(one.patient.minor for one in await poll.owed(ref) if one.state == "collectable") == 2000
    assert await poll.told(LOOK_ALIKE) == []

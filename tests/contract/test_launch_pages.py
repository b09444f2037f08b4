"""What those who came from an EHR see: staff the patient's accounts, the visit's first; patients what they owe."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from fhirpay.billing import store as obligations
from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.parties import merges
from fhirpay.payments import store as payments
from fhirpay.polling import twins, visits
from fhirpay.usecases import staff
from fhirpay.usecases.refund import NewRefund, request
from fhirpay.usecases.undo_merge import undo
from intake_world import ft1, message
from launch_world import (
    LaunchWorld,
    account,
    encounter,
    form_of,
    invoice,
    launch_world,
    owing,
    patient,
    said,
    sent,
    words,
)
from processor_running import Running, running_processor

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
CHILD = account("kid", "Patient/kid", guarantor=[{"party": {"reference": "Patient/p1"}}])


@pytest.fixture
async def w(database: Database, clock: FrozenClock) -> AsyncIterator[LaunchWorld]:
    async with launch_world(database, clock, interface="clinic") as made:
        yield made


# ── staff ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_staff_see_what_is_owed_and_why_the_visit_first(w: LaunchWorld) -> None:
    await w.put(
        patient("p1"),
        account("a1", "Patient/p1"),
        account("b2", "Patient/p1"),
        encounter("e2", "Patient/p1", "Account/b2"),
        invoice("i1", "Account/a1", "Patient/p1", "Patient/p1", "80.00"),
        invoice("i2", "Account/b2", "Patient/p1", "Patient/p1", "20.00"),
    )
    page = words(await w.page(await w.launched(patient="p1", encounter="e2")))
    assert "What is owed: Ann p1 Canary-Family Born 1980-01-02" in page
    first, second = (
        page.index("Account B2 (this visit) 20.00 USD may be asked for now"),
        page.index("Account A1 80.00 USD"),
    )
    assert first < second
    assert "Invoice, 2026-11-01 the patient 80.00 USD 0.00 USD 0.00 USD collectable" in page
    assert "invoice of 80.00 USD, issued to Patient/p1" in page
    assert "isn’t known here" not in page


async def test_staff_see_what_waits_for_insurance_and_that_nothing_may_be_asked(w: LaunchWorld) -> None:
    await w.hl7(message("M1", ft1(1, "CG", "100.00")))
    w.ehr.resources["Patient/ehr-1"] = patient("ehr-1", born="1980-01-01", identifier=[_mrn("MRN1")])
    page = words(await w.page(await w.launched(patient="ehr-1")))
    assert "Account A100 Nothing may be asked for now. 100.00 USD waits for insurance." in page
    assert "pending insurance: nobody has stated that the patient pays" in page
    assert "Make a payment page" not in page


async def test_staff_see_holds_and_what_waits_for_a_person(w: LaunchWorld) -> None:
    await w.put(*owing("p1", "a1", "80.00"))
    held = {"name": "dispute", "says": "the patient disputes the charge", "by": "jdoe"}
    await w.units.write(lambda tx: staff.open_hold(tx, "Account/a1", tenant=w.system.house("main").tenant, **held))
    await w.work()
    page = words(await w.page(await w.launched(patient="p1")))
    assert "Nothing may be asked for now" in page
    assert "on hold, held: dispute" in page
    assert "the patient disputes the charge" in page


async def test_staff_see_the_chain_of_what_is_shown_and_of_nothing_else(w: LaunchWorld) -> None:
    await w.put(*owing("p1", "a1", "80.00"), *owing("p2", "a2", "70.00"))
    path = await w.launched(patient="p1")
    (link,) = re.findall(rf'href="({path}/chain/[^"]+)"', await w.page(path))
    chain = words(await w.page(link))
    assert "Invoice/i-a1 80.0 USD, issued" in chain
    assert "80.00 USD may be asked for" in chain
    assert "a2" not in chain
    (other,) = await w.units.read(obligations.obligations_of, "Account/a2")
    answer = await w.http.get(f"{path}/chain/{other.obligation_id}")
    assert (answer.status_code, said(answer)) == (404, "that isn't part of this chart")
    answer = await w.http.get(f"{path}/chain/Account%2Fa2")
    assert answer.status_code == 404


async def test_an_unknown_visit_is_said_to_be_unknown_and_the_patient_is_shown(w: LaunchWorld) -> None:
    await w.put(*owing("p1", "a1", "80.00"), patient("p2"), account("a2", "Patient/p2"))
    await w.put(encounter("e2", "Patient/p2", "Account/a2"))
    for visit in ("e9", "e2"):  # one that isn't here, one of another patient
        page = words(await w.page(await w.launched(patient="p1", encounter=visit)))
        assert "The visit that is open in the EHR isn’t known here" in page
        assert "this visit" not in page.replace("The visit", "")
        assert "Account A1" in page


async def test_a_patient_without_anything_owed_has_a_page_that_says_so(w: LaunchWorld) -> None:
    await w.put(patient("p1"))
    page = words(await w.page(await w.launched(patient="p1")))
    assert "Nothing is owed, and nothing was paid." in page


# ── whom a launch is about ────────────────────────────────────────────────────────────────────────────────────────


def _mrn(value: str, system: str = "urn:clinic:CLINIC", **more: Any) -> dict[str, Any]:
    return {"system": system, "value": value, **more}


async def test_a_patient_of_the_feed_is_known_by_a_number_that_the_ehr_has_too(
    database: Database, clock: FrozenClock
) -> None:
    systems = {"urn:oid:1.2.3": "urn:clinic:CLINIC"}
    async with launch_world(database, clock, interface="clinic", systems=systems) as w:
        await w.hl7(message("M1", ft1(1, "CG", "100.00")))
        w.ehr.resources["Patient/ehr-1"] = patient(
            "ehr-1", born="1980-01-01", identifier=[_mrn("MRN1", "urn:oid:1.2.3")]
        )
        assert "Ann Doe" in words(await w.page(await w.launched(patient="ehr-1")))


async def test_a_patient_who_was_met_at_the_ehr_under_its_id_is_known_by_that(w: LaunchWorld) -> None:
    await w.hl7(message("M1", ft1(1, "CG", "100.00")))
    ours = await _only_patient(w)
    await w.units.write(lambda tx: twins.note(tx, "ehr", "Patient", "ehr-1", ours))
    assert "Ann Doe" in words(await w.page(await w.launched(patient="ehr-1")))
    assert not any("/Patient/" in one for one in w.ehr.calls)


@pytest.mark.parametrize(
    ("identifier", "says"),
    [
        (_mrn("MRN2"), "isn't known here"),
        (_mrn("MRN1", "urn:other"), "isn't known here"),
        (_mrn("MRN1", use="old"), "isn't known here"),
        (_mrn("MRN1", type={"coding": [{"code": "SS"}]}), "isn't known here"),
    ],
)
async def test_a_number_that_says_nothing_of_who_it_is_here_shows_nobody(
    w: LaunchWorld, identifier: dict[str, Any], says: str
) -> None:
    await w.hl7(message("M1", ft1(1, "CG", "100.00")))
    w.ehr.resources["Patient/ehr-1"] = patient("ehr-1", born="1980-01-01", identifier=[identifier])
    answer = await w.came_back(patient="ehr-1")
    assert says in said(answer)
    assert "Doe" not in answer.text


async def test_a_number_that_came_by_another_feed_shows_nobody(database: Database, clock: FrozenClock) -> None:
    async with launch_world(database, clock) as w:  # no `interface`: what came is what its own client sent
        await w.hl7(message("M1", ft1(1, "CG", "100.00")))
        w.ehr.resources["Patient/ehr-1"] = patient("ehr-1", born="1980-01-01", identifier=[_mrn("MRN1")])
        assert "isn't known here" in said(await w.came_back(patient="ehr-1"))


async def test_two_patients_that_may_be_meant_are_none(w: LaunchWorld) -> None:
    await w.hl7(message("M1", ft1(1, "CG", "100.00")))
    await w.hl7(message("M2", ft1(1, "CG", "7.00"), account="A200", pid={3: "MRN2^^^CLINIC^MR"}))
    both = [_mrn("MRN1"), _mrn("MRN2")]
    w.ehr.resources["Patient/ehr-1"] = patient("ehr-1", born="1980-01-01", identifier=both)
    assert "More than one patient here may be meant" in said(await w.came_back(patient="ehr-1"))


async def test_a_patient_born_on_another_day_is_none(w: LaunchWorld) -> None:
    await w.hl7(message("M1", ft1(1, "CG", "100.00")))
    w.ehr.resources["Patient/ehr-1"] = patient("ehr-1", born="1999-01-01", identifier=[_mrn("MRN1")])
    assert "was born on another day" in said(await w.came_back(patient="ehr-1"))


async def test_a_patient_who_was_merged_is_the_one_who_stands_for_them(w: LaunchWorld) -> None:
    await w.hl7(message("M1", ft1(1, "CG", "100.00")))
    await w.hl7(message("M2", ft1(1, "CG", "7.00"), account="A200", pid={3: "MRN2^^^CLINIC^MR", 5: "Doe^Anna"}))
    w.ehr.resources["Patient/ehr-2"] = patient("ehr-2", born="1980-01-01", identifier=[_mrn("MRN2")])
    path = await w.launched(patient="ehr-2")
    assert "Account A100" not in words(await w.page(path))
    mrg = "MRG|MRN2^^^CLINIC^MR"
    head = message("M3", label="ADT^A40").decode().split("\r")
    await w.hl7("\r".join([head[0], head[1].replace("A100", ""), mrg]).encode() + b"\r")
    page = words(await w.page(path))  # the session that was open before
    assert "What is owed: Ann Doe" in page
    assert "Account A100" in page
    assert "Account A200" in page


async def test_nobody_stays_the_survivor_of_a_merge_that_is_undone(w: LaunchWorld) -> None:
    await w.hl7(message("M1", ft1(1, "CG", "100.00")))
    await w.hl7(message("M2", ft1(1, "CG", "7.00"), account="A200", pid={3: "MRN2^^^CLINIC^MR", 5: "Doe^Anna"}))
    w.ehr.resources["Patient/ehr-2"] = patient("ehr-2", born="1980-01-01", identifier=[_mrn("MRN2")])
    head = message("M3", label="ADT^A40").decode().split("\r")
    await w.hl7("\r".join([head[0], head[1].replace("A100", ""), "MRG|MRN2^^^CLINIC^MR"]).encode() + b"\r")
    path = await w.launched("Patient/ehr-2", patient="ehr-2")  # while they are one
    assert "Account A100" in words(await w.page(path))
    (merge,) = await w.units.read(merges.standing)
    tenant = w.system.house("main").tenant
    await w.units.write(lambda tx: undo(tx, merge.merge_id, by="ann", why="two people", tenant=tenant))
    await w.work()
    assert said(await w.http.get(path)) == "Your session has ended: open fhirpay again from the EHR."
    page = words(await w.page(await w.launched("Patient/ehr-2", patient="ehr-2")))
    assert ("A100" in page, "Account A200" in page) == (False, True)


# ── patients ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_patients_see_what_they_are_to_pay_and_nothing_of_anybody_else(w: LaunchWorld) -> None:
    await w.put(*owing("p1", "a1", "80.00"), *owing("p2", "a2", "70.00"))
    path = await w.launched("Patient/p1", patient="p1")
    page = words(await w.page(path))
    assert "Your balance Ann p1 Canary-Family Account A1 80.00 USD to pay." in page
    assert "70.00" not in page
    assert "A2" not in page
    assert "issued to" not in page  # why it is asked for is for staff
    (mine,) = await w.units.read(obligations.obligations_of, "Account/a1")
    answer = await w.http.get(f"{path}/chain/{mine.obligation_id}")
    assert (answer.status_code, said(answer)) == (403, "This page is for staff.")


async def test_patients_see_the_account_of_another_where_they_are_the_one_who_pays_and_not_the_other_way_round(
    w: LaunchWorld,
) -> None:
    await w.put(patient("p1"), patient("kid", born="2020-05-05"), CHILD)
    await w.put(invoice("ik", "Account/kid", "Patient/kid", "Patient/p1", "33.00"))
    page = words(await w.page(await w.launched("Patient/p1", patient="p1")))
    assert "Account KID 33.00 USD to pay." in page
    page = words(await w.page(await w.launched("Patient/kid", patient="kid")))
    assert "You owe nothing here." in page
    assert "33.00" not in page


async def test_of_an_account_that_two_pay_each_sees_their_own_part(w: LaunchWorld) -> None:
    both = [{"party": {"reference": f"Patient/{who}"}} for who in ("p1", "p2")]
    await w.put(patient("p1"), patient("p2"), account("a1", "Patient/p1", guarantor=both))
    await w.put(invoice("i1", "Account/a1", "Patient/p1", "Patient/p1", "80.00"))
    await w.put(invoice("i2", "Account/a1", "Patient/p1", "Patient/p2", "33.00"))
    for who, mine, other in (("p1", "80.00", "33.00"), ("p2", "33.00", "80.00")):
        page = words(await w.page(await w.launched(f"Patient/{who}", patient=who)))
        assert f"Account A1 {mine} USD to pay." in page
        assert other not in page


async def test_patients_are_not_told_why_something_is_held(w: LaunchWorld) -> None:
    await w.put(*owing("p1", "a1", "80.00"))
    held = {"name": "bankruptcy", "says": "heard of it in town", "by": "jdoe"}
    await w.units.write(lambda tx: staff.open_hold(tx, "Account/a1", tenant=w.system.house("main").tenant, **held))
    await w.work()
    page = words(await w.page(await w.launched("Patient/p1", patient="p1")))
    assert "nothing for you to pay now" in page
    assert "bankruptcy" not in page
    assert "town" not in page


async def test_patients_are_told_what_is_with_the_insurance_and_not_why_something_is_held(w: LaunchWorld) -> None:
    await w.hl7(message("M1", ft1(1, "CG", "100.00")))
    w.ehr.resources["Patient/ehr-1"] = patient("ehr-1", born="1980-01-01", identifier=[_mrn("MRN1")])
    path = await w.launched("Patient/ehr-1", patient="ehr-1")
    page = words(await w.page(path))
    assert "Account A100 Nothing to pay now." in page
    assert "100.00 USD with the insurance: nothing for you to pay now" in page
    held = {"name": "identity", "says": "may be the twin brother", "by": "jdoe"}
    account_ref = (await w.units.read(obligations.owed_by, [await _only_patient(w)]))[0].account_ref
    await w.units.write(lambda tx: staff.open_hold(tx, account_ref, tenant=w.system.house("main").tenant, **held))
    await w.work()
    page = words(await w.page(path))
    assert "twin" not in page
    assert "identity" not in page


async def _only_patient(w: LaunchWorld) -> str:
    from fhirpay.fhir.search import search

    return (await w.units.read(lambda tx: search(tx, "Patient", []).matches))[0].reference


# ── paying ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def paying(database: Database, clock: FrozenClock) -> AsyncIterator[tuple[LaunchWorld, Running]]:
    async with running_processor() as processor, launch_world(database, clock, processor=processor.base_url) as made:
        await made.put(*owing("p1", "a1", "80.00"))
        yield made, processor


async def test_staff_make_a_payment_page_and_give_its_link_away(paying: tuple[LaunchWorld, Running]) -> None:
    w, processor = paying
    path = await w.launched(patient="p1")
    answer = await sent(w, path, form_of(await w.page(path)))
    page = await w.page(answer.headers["location"])
    assert "Or give the payer this link: http" in words(page)
    (link,) = re.findall(r'<a href="(http[^"]+)"', page)
    back = await processor.pay_page(link)
    home = await w.http.get(back.headers["location"])
    assert home.headers["location"] == "https://pay.example/launch/paid"  # whoever paid has no session of staff
    (taken,) = (await processor.books())["payments"]
    assert "Canary" not in str(taken)
    assert (await w.http.get(path)).status_code == 200


async def test_an_amount_that_has_changed_since_it_was_shown_is_refused_with_the_new_one(
    paying: tuple[LaunchWorld, Running],
) -> None:
    w, processor = paying
    path = await w.launched("Patient/p1", patient="p1")
    form = form_of(await w.page(path))
    await w.put(invoice("i-a1", "Account/a1", "Patient/p1", "Patient/p1", "60.00"))
    answer = await sent(w, path, form)
    says = "This has changed since it was shown (80.00 USD): 60.00 USD may be paid now."
    assert (answer.status_code, said(answer)) == (422, says)
    for wrong in ({"amount": "60.01"}, {"amount": "6.00"}, {"amount": "-60.00"}, {"amount": "x"}, {"currency": "EUR"}):
        assert (await sent(w, path, form | {"amount": "60.00"} | wrong)).status_code in (400, 422), wrong
    assert (await processor.books())["payments"] == []


async def test_nobody_learns_from_a_form_what_is_owed_on_an_account_that_is_not_shown_to_them(w: LaunchWorld) -> None:
    await w.put(*owing("p1", "a1", "80.00"), *owing("p2", "a2", "70.00"))
    path = await w.launched("Patient/p1", patient="p1")
    form = form_of(await w.page(path))
    for on, currency in (("a2", "USD"), ("a2", "JPY"), ("a9", "USD")):
        asked = {"account": f"Account/{on}", "amount": "0", "currency": currency}
        answer = await w.http.post(f"{path}/payments", data=form | asked)
        assert answer.status_code == 422
        assert said(answer).endswith("nothing may be paid now: it is paid, being paid, or on hold.")


async def test_nobody_pays_for_what_is_not_shown_to_them(paying: tuple[LaunchWorld, Running]) -> None:
    w, processor = paying
    await w.put(*owing("p2", "a2", "70.00"))
    for who in ("Practitioner/doc-1", "Patient/p1"):
        path = await w.launched(who, patient="p1")
        form = form_of(await w.page(path)) | {"account": "Account/a2", "amount": "70.00"}
        answer = await sent(w, path, form)
        assert (answer.status_code, "nothing may be paid now" in said(answer)) == (422, True)
    assert (await processor.books())["payments"] == []


async def test_a_form_without_its_token_pays_nothing(paying: tuple[LaunchWorld, Running]) -> None:
    w, processor = paying
    path = await w.launched("Patient/p1", patient="p1")
    form = form_of(await w.page(path))
    del form["form_token"]
    assert (await sent(w, path, form)).status_code == 403
    assert (await processor.books())["payments"] == []


async def test_who_may_only_look_has_no_button_and_can_not_pay_without_it(
    database: Database, clock: FrozenClock
) -> None:
    async with launch_world(database, clock, launch_may_pay=("staff",)) as w:
        await w.put(*owing("p1", "a1", "80.00"))
        path = await w.launched("Patient/p1", patient="p1")
        page = await w.page(path)
        assert form_of(page) == {}
        token = re.findall(r'name="form_token" value="([^"]+)"', page)[0]
        form = {"form_token": token, "form": "x", "account": "Account/a1", "amount": "80.00", "currency": "USD"}
        answer = await sent(w, path, form)
        assert (answer.status_code, said(answer)) == (403, "From this EHR, fhirpay only shows what is owed.")


async def test_who_may_only_look_sees_a_payment_and_not_the_way_to_its_page(
    database: Database, clock: FrozenClock
) -> None:
    async with (
        running_processor() as processor,
        launch_world(database, clock, processor=processor.base_url, launch_may_pay=("staff",)) as w,
    ):
        await w.put(*owing("p1", "a1", "80.00"))
        path = await w.launched(patient="p1")
        made = (await sent(w, path, form_of(await w.page(path)))).headers["location"].rpartition("/")[2]
        assert f"{path}/payments/{made}" in await w.page(path)
        theirs = await w.launched("Patient/p1", patient="p1")
        page = await w.page(theirs)
        assert "80.00 USD being paid" in words(page)
        assert made not in page
        assert processor.base_url not in await w.page(f"{theirs}/payments/{made}")


@pytest.mark.parametrize("context", [{"patient": "p1", "encounter": "e7"}, {"patient": "p1"}], ids=str)
async def test_a_launch_has_the_ehr_asked_for_what_it_finds_only_by_encounter(
    database: Database, clock: FrozenClock, context: dict[str, str]
) -> None:
    by = "encounter" if "encounter" in context else "patient"
    driven = {"poll": ("ChargeItem",), "poll_by": {"ChargeItem": by}, "poll_since": clock.now()}
    async with launch_world(database, clock, **driven) as w:
        await w.put(patient("p1"))
        clock.advance(timedelta(hours=1))
        await w.launched(**context)
        due = await w.units.read(visits.first_due, "ehr")
        assert due is not None
        assert due.reference == ("Encounter/e7" if "encounter" in context else "Patient/p1")
        assert (due.remote, due.due_at) == (due.reference.partition("/")[2], clock.now())


async def test_patients_see_what_was_given_back_to_them_and_not_what_others_got_of_the_same_payment(
    paying: tuple[LaunchWorld, Running],
) -> None:
    w, processor = paying
    shared = account("a1", "Patient/p1", guarantor=[{"party": {"reference": "Patient/p2"}}])
    await w.put(patient("p2"), shared, invoice("i2", "Account/a1", "Patient/p1", "Patient/p2", "20.00"))
    path = await w.launched(patient="p1")
    page = await w.page((await sent(w, path, form_of(await w.page(path)))).headers["location"])
    await processor.pay_page(re.findall(r'<a href="(http[^"]+)"', page)[0])
    w.clock.advance(timedelta(minutes=20))
    await w.work()
    theirs = await w.launched("Patient/p2", patient="p2")
    assert "20.00 USD paid" in words(await w.page(theirs))
    tenant = w.system.house("main").tenant
    (share,) = await w.units.read(obligations.owed_by, ["Patient/p2"])
    (paid,) = await w.units.read(lambda tx: payments.allocations_to(tx, share.obligation_id))
    wish = NewRefund(paid.payment_id, "wrong visit", "ann")
    await w.units.write(lambda tx: request(tx, wish, tenant))
    await w.work()
    page = words(await w.page(theirs))
    assert "20.00 USD given back" in page
    assert "100.00" not in page


async def test_a_payment_of_somebody_else_is_not_shown(paying: tuple[LaunchWorld, Running]) -> None:
    w, _ = paying
    await w.put(*owing("p2", "a2", "70.00"))
    theirs = await w.launched("Patient/p2", patient="p2")
    made = (await sent(w, theirs, form_of(await w.page(theirs)))).headers["location"]
    for who in ("Practitioner/doc-1", "Patient/p1"):
        path = await w.launched(who, patient="p1")
        answer = await w.http.get(f"{path}/payments/{made.rpartition('/')[2]}")
        assert (answer.status_code, said(answer)) == (404, "there is no such payment here")

"""Which visit an appointment is for: the same whatever came first, and never two copays for one visit."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from itertools import permutations
from typing import Any

import pytest

from elsewhere_world import PATIENT, WHO, Told, account, told
from fhirpay.billing.appointments import Expected, expected
from fhirpay.billing.facts import Appointment, Visit
from fhirpay.db.unit import Database
from fhirpay.domain import fhir_urls as urls
from fhirpay.domain.clock import FrozenClock

TENTH, TWELFTH, LATER = date(2026, 11, 10), date(2026, 11, 12), date(2026, 11, 20)
ANN, TAM = "Patient/p1", "Patient/p2"


def _appointment(name: str, day: date, **more: Any) -> Appointment:
    return Appointment(f"Appointment/{name}", **{"status": "booked", "patient": ANN, "start": day, **more})


def _visit(name: str, day: date | None = TENTH, status: str = "in-progress", **more: Any) -> Visit:
    return Visit(f"Encounter/{name}", **{"status": status, "patient": ANN, "start": day, **more})


def _of(visits: list[Visit], appointments: list[Appointment]) -> Expected:
    """The same in any order."""
    found = [expected(some, others) for some in permutations(visits) for others in permutations(appointments)]
    said = {(frozenset(one.visits), str(sorted(one.known_as.items())), str(one.guessed)) for one in found}
    assert len(said) == 1
    return found[0]


def _standing(found: Expected) -> set[str]:
    return {visit.ref for visit in found.visits if not visit.cancelled}


def test_an_appointment_stands_for_its_visit_until_there_is_one() -> None:
    assert _standing(_of([], [_appointment("a", TENTH)])) == {"Appointment/a"}
    found = _of([_visit("v")], [_appointment("a", TENTH)])
    assert (_standing(found), found.known_as, found.guessed) == (
        {"Encounter/v"},
        {"Encounter/v": ("Appointment/a",)},
        {},
    )


def test_each_visit_is_for_one_appointment_those_of_its_day_first() -> None:
    found = _of(
        [_visit("v", TWELFTH)], [_appointment("a", TENTH), _appointment("b", TWELFTH), _appointment("c", LATER)]
    )
    assert _standing(found) == {"Encounter/v", "Appointment/a", "Appointment/c"}


def test_a_visit_of_another_day_is_taken_for_it_and_a_person_is_told() -> None:
    found = _of([_visit("v", TWELFTH)], [_appointment("a", TENTH)])
    assert (_standing(found), found.guessed) == ({"Encounter/v"}, {"Encounter/v": "Appointment/a"})


def test_a_visit_of_before_it_was_booked_is_another_one() -> None:
    found = _of([_visit("v", TENTH)], [_appointment("a", LATER, booked=TWELFTH)])
    assert (_standing(found), found.guessed) == ({"Encounter/v", "Appointment/a"}, {})


def test_so_is_the_visit_of_another_patient_of_the_account() -> None:
    found = _of([_visit("v", patient=TAM)], [_appointment("a", TENTH)])
    assert _standing(found) == {"Encounter/v", "Appointment/a"}


def test_what_the_appointment_names_is_its_visit_whatever_the_day() -> None:
    named = _appointment("a", TENTH, visits=("Encounter/w",))
    found = _of([_visit("v"), _visit("w", LATER)], [named, _appointment("b", TENTH)])
    assert found.known_as == {"Encounter/w": ("Appointment/a",), "Encounter/v": ("Appointment/b",)}
    assert _standing(_of([], [named])) == set()  # its visit is another account's


def test_a_visit_that_has_not_begun_falls_away_with_its_appointment() -> None:
    off = _appointment("a", TENTH, status="noshow", visits=("Encounter/v",))
    assert _standing(_of([_visit("v", status="planned")], [off])) == set()
    assert _standing(_of([_visit("v", status="in-progress")], [off])) == {"Encounter/v"}


def test_a_visit_that_its_appointment_has_left_for_another_number_falls_away() -> None:
    left = _visit("v", status="planned", appointments=("Appointment/a",))
    moved = _appointment("a", TENTH, visits=("Encounter/w",))
    found = _of([left, _visit("w", status="planned")], [moved])
    assert (_standing(found), found.known_as) == ({"Encounter/w"}, {"Encounter/w": ("Appointment/a", "Encounter/v")})


# ── over two accounts ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def w(database: Database, clock: FrozenClock) -> AsyncIterator[Told]:
    async with told(database, clock) as world:
        yield world


def _booked(on: str, *visits: str) -> dict[str, Any]:
    made = {"resourceType": "Appointment", "id": "x1", "status": "booked", "start": "2026-11-10T09:00:00Z"}
    made |= {"participant": [{"actor": WHO, "status": "accepted"}]}
    made |= {"extension": [{"url": urls.APPOINTMENT_ACCOUNT, "valueReference": {"reference": f"Account/{on}"}}]}
    return {**made, "supportingInformation": [{"reference": f"Encounter/{one}"} for one in visits]} if visits else made


def _insured(name: str) -> dict[str, Any]:
    copay = {"type": {"coding": [{"code": "copay"}]}, "valueMoney": {"value": 25, "currency": "USD"}}
    made = {"resourceType": "Coverage", "id": name, "status": "active", "type": {"coding": [{"code": "HMO"}]}}
    return {**made, "beneficiary": WHO, "payor": [{"reference": "Organization/o1"}], "costToBeneficiary": [copay]}


async def test_moved_after_it_was_paid_it_is_not_asked_for_again_under_the_number_of_its_visit(w: Told) -> None:
    """Of a visit that names no appointment only the day tells which one it is; the money is on the first account."""
    await w.comes(PATIENT, _insured("k1"), account("a1", self_pay=False), account("a2", self_pay=False), _booked("a1"))
    payment = await w.world.paid("Account/a1")
    await w.comes(_booked("a2"))
    assert (await w.asks(), await w.held()) == ({}, {"a2"})
    visit = {"resourceType": "Encounter", "id": "e1", "status": "in-progress", "class": {"code": "AMB"}, "subject": WHO}
    await w.comes({**visit, "account": [{"reference": "Account/a2"}], "period": {"start": "2026-11-10"}})
    assert (await w.asks(), await w.held()) == ({}, {"a2"})
    await w.world.refund(payment)
    await w.world.work(hours=1)
    assert (await w.asks(), await w.held()) == ({"e1": 25}, set())


async def test_paid_on_another_account_than_its_visit_is_on_it_is_not_asked_for_again(w: Told) -> None:
    await w.comes(PATIENT, _insured("k1"), account("a1", self_pay=False), account("a2", self_pay=False), _booked("a1"))
    assert await w.asks() == {"x1": 25}
    payment = await w.world.paid("Account/a1")
    visit = {"resourceType": "Encounter", "id": "e1", "status": "in-progress", "class": {"code": "AMB"}, "subject": WHO}
    await w.comes(
        {**visit, "account": [{"reference": "Account/a2"}], "period": {"start": "2026-11-10"}}, _booked("a2", "e1")
    )
    assert (await w.asks(), await w.held()) == ({}, {"a2"})
    await w.world.refund(payment)
    await w.world.work(hours=1)
    assert (await w.asks(), await w.held()) == ({"e1": 25}, set())

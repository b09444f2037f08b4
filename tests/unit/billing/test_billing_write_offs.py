"""What staff have given up finds its obligation under whatever name that has by now, and lowers nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from fhirpay.billing.assessment import Assessment, Desired
from fhirpay.billing.facts import AccountFacts, CopayDue, Person, Visit, WriteOff
from fhirpay.billing.responsibility import assess
from fhirpay.billing.write_offs import UNPLACED, booked
from fhirpay.config import Facility
from fhirpay.domain.money import Money

AT = datetime(2026, 6, 1, 12, tzinfo=UTC)
VISIT = "Encounter/v1"
KNOWN = AccountFacts(
    ref="Account/a1",
    status="active",
    patients=(Person("Patient/p1", date(1980, 1, 1)),),
    patient_ref="Patient/p1",
    visits=(Visit(VISIT, "in-progress", start=date(2026, 6, 1)),),
    copays=(CopayDue(Money(25_00, "USD"), VISIT, date(2026, 6, 1)),),
    known_as={VISIT: ("Appointment/ap1",)},
)


def given_up(kind: str, key: str, currency: str = "USD") -> Assessment:
    one = WriteOff("stf1", "charity", Money(10_00, currency), "obl1", "agreed", (kind, key))
    return assess(replace(KNOWN, write_offs=(one,)), Facility(name="main", zone="UTC"), AT)


def copay(found: Assessment) -> Desired:
    (one,) = found.obligations
    return one


@pytest.mark.parametrize("name", [VISIT, "Appointment/ap1", "Account/a1"])
def test_a_copay_is_the_same_under_the_name_that_it_had_before(name: str) -> None:
    found = given_up("copay", name)
    assert (copay(found).patient, copay(found).written_off) == (Money(15_00, "USD"), {"charity": 10_00})
    assert not found.notes


@pytest.mark.parametrize(
    ("kind", "key", "currency"),
    [("charge", VISIT, "USD"), ("copay", "Appointment/ap2", "USD"), ("copay", VISIT, "EUR"), ("", "", "USD")],
)
def test_what_is_of_nothing_here_lowers_nothing_and_is_for_a_person(kind: str, key: str, currency: str) -> None:
    found = given_up(kind, key, currency)
    assert (copay(found).patient, copay(found).written_off) == (Money(25_00, "USD"), {})
    assert [note.kind for note in found.notes] == [UNPLACED]


def test_no_more_is_booked_than_the_charges_have_put_there() -> None:
    assert booked({"charity": 30, "bad_debt": 20}, 35) == {"bad_debt": 20, "charity": 15}
    assert booked({"charity": 30}, 0) == {}

"""Copays of a day's visits: which visits are of it, what each should bring, and why some bring nothing.

The facility counts its days in New York: its Friday ends at 05:00 UTC of the Saturday.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from desk_world import TENANT, cash, usd
from fhirpay.close import copays
from fhirpay.close.figures import CopayLine
from fhirpay.config import Facility
from fhirpay.db.unit import Tx, Units
from fhirpay.domain import fhir_urls as urls
from fhirpay.domain.clock import FrozenClock
from fhirpay.fhir import store as fhir
from fhirpay.usecases import desk, staff, tills
from fhirpay.usecases.collect import accounts_touched, reassess_accounts

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

FRIDAY = date(2026, 11, 20)
NEW_YORK = "America/New_York"
HERE = Facility(name="main", merchant="main", zone=NEW_YORK, organization="here")
THERE = Facility(name="other", merchant="main", zone=NEW_YORK, organization="there")
CLINIC = TENANT.model_copy(update={"facilities": (HERE, THERE)})
Resource = dict[str, Any]


def come(tx: Tx, *resources: Resource) -> None:
    changes = [fhir.put(tx, one) for one in resources]
    reassess_accounts(tx, accounts_touched(tx, changes), CLINIC)


def patient(name: str, *, copay: int | None = 25, owner: str = "here") -> list[Resource]:
    """A patient, with an account of a facility and a plan that states a copay, or none."""
    who = {"reference": f"Patient/{name}"}
    plan: Resource = {"resourceType": "Coverage", "id": f"k-{name}", "status": "active", "beneficiary": who}
    plan |= {"type": {"coding": [{"code": "HMO"}]}, "payor": [{"reference": "Organization/o1"}]}
    if copay is not None:
        stated = {"type": {"coding": [{"code": "copay"}]}, "valueMoney": {"value": copay, "currency": "USD"}}
        plan["costToBeneficiary"] = [stated]
    account = {"resourceType": "Account", "id": name, "status": "active", "subject": [who]}
    account |= {
        "owner": {"reference": f"Organization/{owner}"},
        "coverage": [{"coverage": {"reference": f"Coverage/k-{name}"}}],
    }
    named = {"resourceType": "Patient", "id": name, "name": [{"family": "Canary-Family"}], "birthDate": "1980-01-02"}
    return [named, plan, account]


def appointment(name: str, start: str, *, on: str = "", status: str = "booked", visit: str = "") -> Resource:
    made: Resource = {"resourceType": "Appointment", "id": name, "status": status, "start": start}
    made["participant"] = [{"actor": {"reference": f"Patient/{on or name}"}, "status": "accepted"}]
    if on:
        made["extension"] = [{"url": urls.APPOINTMENT_ACCOUNT, "valueReference": {"reference": f"Account/{on}"}}]
    if visit:
        made["supportingInformation"] = [{"reference": f"Encounter/{visit}"}]
    return made


def visit(name: str, on: str, day: str = "2026-11-20") -> Resource:
    made = {"resourceType": "Encounter", "id": name, "status": "in-progress", "class": {"code": "AMB"}}
    made |= {"subject": {"reference": f"Patient/{on}"}, "account": [{"reference": f"Account/{on}"}]}
    return {**made, "period": {"start": day}}


async def lines(units: Units, facility: Facility = HERE, day: date = FRIDAY) -> dict[str, CopayLine]:
    found, _ = await units.read(copays.of_day, CLINIC, facility, day)
    return {one.appointment or one.visit: one for one in found}


async def test_each_visit_of_the_day_is_there_once_with_what_it_should_bring(units: Units, clock: FrozenClock) -> None:
    def arrive(tx: Tx) -> None:
        for name in ("late", "visit", "numbered", "walk", "off", "missed"):
            come(tx, *patient(name))
        come(tx, *patient("plain", copay=None), *patient("other", owner="there"))
        come(tx, appointment("late", "2026-11-20T23:30:00-05:00", on="late"))
        come(tx, appointment("before", "2026-11-20T00:30:00Z", on="off"))  # the evening of Thursday
        come(tx, appointment("after", "2026-11-21T05:00:00Z", on="off"))  # midnight
        come(tx, appointment("off", "2026-11-20T15:00:00Z", on="off", status="cancelled"))
        come(tx, appointment("missed", "2026-11-20T16:00:00Z", on="missed", status="noshow"))
        come(tx, appointment("nobody", "2026-11-20T17:00:00Z"))
        come(tx, appointment("plain", "2026-11-20T17:00:00Z", on="plain"))
        come(tx, appointment("other", "2026-11-20T17:00:00Z", on="other"))
        come(tx, visit("e-visit", "visit"), appointment("visit", "2026-11-20T18:00:00Z", on="visit", visit="e-visit"))
        come(tx, visit("e-numbered", "numbered"), appointment("numbered", "2026-11-20T18:00:00Z", on="numbered"))
        come(tx, visit("e-walk", "walk"))
        tills.open_till(tx, "front", CLINIC, by="ann")
        desk.take(tx, desk.DeskPayment("Account/late", cash(), usd(20_00)), CLINIC)

    await units.write(arrive)
    found, off = await units.read(copays.of_day, CLINIC, HERE, FRIDAY)
    assert off == 2
    shown = [(one.appointment, one.visit, one.account, str(one.expected), str(one.open), one.why) for one in found]
    assert shown == [
        ("Appointment/late", "", "Account/late", "25.00 USD", "5.00 USD", ""),
        ("Appointment/nobody", "", "", "None", "None", "no account is known for it"),
        ("Appointment/numbered", "Encounter/e-numbered", "Account/numbered", "25.00 USD", "25.00 USD", ""),
        ("Appointment/plain", "", "Account/plain", "None", "None", "neither a message nor a coverage states one"),
        ("Appointment/visit", "Encounter/e-visit", "Account/visit", "25.00 USD", "25.00 USD", ""),
        ("", "Encounter/e-walk", "Account/walk", "25.00 USD", "25.00 USD", ""),
    ]
    assert [(one.tender, str(one.amount), one.day) for one in found[0].paid] == [("cash", "20.00 USD", "2026-11-20")]
    assert set(await lines(units, THERE)) == {"Appointment/other"}
    assert set(await lines(units, HERE, date(2026, 11, 19))) == {"Appointment/before"}


async def test_what_is_held_or_stated_otherwise_is_not_expected_and_says_why(units: Units, clock: FrozenClock) -> None:
    def arrive(tx: Tx) -> None:
        for name in ("held", "billed"):
            come(tx, *patient(name), visit(f"e-{name}", name))
            come(tx, appointment(name, "2026-11-20T15:00:00Z", on=name, visit=f"e-{name}"))
        staff.open_hold(tx, "Account/held", "bankruptcy", says="Canary-Words of a person", by="eve", tenant=CLINIC)
        staff.enter_amount(tx, "Account/billed", usd(40_00), reason="Canary-Words", by="eve", tenant=CLINIC)

    await units.write(arrive)
    found = await lines(units)
    held, billed = found["Appointment/held"], found["Appointment/billed"]
    assert (held.expected, held.why) == (None, "it is on hold")
    assert (billed.expected, billed.why.endswith("states what is owed")) == (None, True)
    assert "Canary" not in str(found)

"""Copays that the day's visits should bring, each with what was collected of it, or why none is expected.

A visit of the day is an Appointment (from SIU or FHIR) that begins on it and is not off, or a visit without one whose
copay is due that day. What is expected is what billing says is owed at the visit (billing/copays.py), whoever stated
it. Reads resources and obligations and changes nothing; names nobody: ids only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import RowMapping, select

from ..billing import rows
from ..billing.assessment import Basis
from ..billing.elements import at, day_of, listed, reference
from ..billing.intake import Resources, facility_of
from ..billing.reach import accounts_of, get
from ..billing.tables import Obligation, ObligationShare
from ..config import Facility, Tenant
from ..db.metadata import table
from ..db.unit import Tx
from ..domain.money import Money
from ..domain.obligation import ObligationState
from ..fhir import store as fhir
from ..fhir.moments import as_text
from ..fhir.tables import ResourceIndexRow
from ..payments.tables import PaymentRow
from ..payments.terminals import METHOD as ON_TERMINAL
from .days import span
from .figures import CopayLine, Paid

_index, _obligation = table(ResourceIndexRow), table(Obligation)
_share, _payment = table(ObligationShare), table(PaymentRow)
_OFF = frozenset({"cancelled", "entered-in-error", "noshow"})
_S = ObligationState
_WHY: Mapping[ObligationState, str] = {
    _S.VOID: "nothing is owed for the visit",
    _S.PENDING: "it is not known yet whether it is the patient's",
    _S.ON_HOLD: "it is on hold",
    _S.ON_PLAN: "it is paid by a plan",
    _S.WRITTEN_OFF: "it was written off",
}


def of_day(tx: Tx, tenant: Tenant, facility: Facility, day: date) -> tuple[list[CopayLine], int]:
    """The day's visits in the order of their ids, and how many appointments were called off or missed."""
    start, end = span(day, facility.zone)
    found: list[CopayLine] = []
    seen: set[str] = set()
    off = 0
    for appointment in _appointments(tx, start, end):
        refs = sorted(accounts_of(tx, appointment))
        obligations = rows.of_accounts(tx, refs)
        if _facility(tx, tenant, appointment, refs, obligations) != facility.name:
            continue
        if appointment.get("status") in _OFF:
            off += 1
            continue
        owed = _owed(tx, appointment, obligations, day, facility.zone)
        new = [row for row in owed if row["obligation_id"] not in seen]
        seen.update(row["obligation_id"] for row in new)
        name = f"Appointment/{appointment['id']}"
        if new:
            found += [_line(tx, row, name) for row in new]
        else:
            why = "its copay is that of another appointment of the day" if owed else _none_known(refs)
            found.append(CopayLine(name, "", refs[0] if refs else "", "", None, (), why))
    for row in _due(tx, facility.name, start, end):
        if row["obligation_id"] not in seen and ObligationState(row["state"]) not in rows.ENDS:
            found.append(_line(tx, row, ""))
    return sorted(found, key=lambda one: (one.appointment or one.visit, one.obligation_id)), off


def _none_known(accounts: Sequence[str]) -> str:
    return "neither a message nor a coverage states one" if accounts else "no account is known for it"


def _appointments(tx: Tx, start: datetime, end: datetime) -> list[dict[str, Any]]:
    query = select(_index.c.resource_id).where(
        _index.c.tenant_id == tx.tenant,
        _index.c.type == "Appointment",
        _index.c.param == "starts",
        _index.c.value >= as_text(start),
        _index.c.value < as_text(end),
    )
    ids = [row["resource_id"] for row in tx.all(query)]
    return sorted((one.resource for one in fhir.several(tx, "Appointment", ids)), key=lambda one: str(one["id"]))


def _facility(
    tx: Tx, tenant: Tenant, appointment: dict[str, Any], accounts: Sequence[str], obligations: Sequence[RowMapping]
) -> str:
    """Whose its account is by billing; where nothing is owed on it, by the same rule."""
    if obligations:
        return str(obligations[-1]["facility"])
    visits = tuple(one for ref in _visits(appointment) if (one := get(tx, ref)))
    account = get(tx, accounts[0]) if accounts and accounts[0].startswith("Account/") else {}
    return facility_of(Resources(accounts[0] if accounts else "", account=account, encounters=visits), tenant).name


def _visits(appointment: dict[str, Any]) -> list[str]:
    named = (reference(one) for one in listed(appointment.get("supportingInformation")))
    return [ref for ref in named if ref.startswith("Encounter/")]


def _owed(
    tx: Tx, appointment: dict[str, Any], obligations: Sequence[RowMapping], day: date, zone: str
) -> list[RowMapping]:
    """The copay that rests on the appointment or its visit; else on a visit of that day of its account."""
    newest: dict[tuple[str, str, str], RowMapping] = {}
    for row in obligations:
        if row["basis_kind"] == str(Basis.COPAY):
            key = row["account_ref"], row["basis_key"], row["currency"]
            if key not in newest or row["generation"] > newest[key]["generation"]:
                newest[key] = row
    named = {f"Appointment/{appointment['id']}", *_visits(appointment)}
    own = [row for row in newest.values() if row["basis_key"] in named]
    live = [row for row in own if ObligationState(row["state"]) not in rows.ENDS]
    if live or own:
        return live or own[:1]
    return [row for row in newest.values() if _that_day(tx, row, day, zone)]


def _that_day(tx: Tx, row: RowMapping, day: date, zone: str) -> bool:
    if not row["basis_key"].startswith("Encounter/") or ObligationState(row["state"]) in rows.ENDS:
        return False
    visit = get(tx, row["basis_key"])
    return day_of(at(visit, "period", "start"), ZoneInfo(zone), first=True) == day


def _due(tx: Tx, facility: str, start: datetime, end: datetime) -> list[RowMapping]:
    query = select(_obligation).where(
        _obligation.c.tenant_id == tx.tenant,
        _obligation.c.basis_kind == str(Basis.COPAY),
        _obligation.c.collectable_from >= start,
        _obligation.c.collectable_from < end,
        _obligation.c.facility == facility,
    )
    return tx.all(query.order_by(_obligation.c.obligation_id))


def _line(tx: Tx, row: RowMapping, appointment: str) -> CopayLine:
    state, currency = ObligationState(row["state"]), row["currency"]
    why = _WHY.get(state, "")
    if state is ObligationState.SUPERSEDED:
        stronger = row["superseded_by"] or ""
        why = f"it is asked for on {stronger}" if stronger.startswith("Account/") else f"{stronger} states what is owed"
    elif not why and row["memo_minor"] and not row["patient_minor"]:
        why = "it is of before the watermark"
    visit = row["basis_key"] if row["basis_key"].startswith("Encounter/") else ""
    expected = None if why else Money(row["patient_minor"], currency)
    return CopayLine(appointment, visit, row["account_ref"], row["obligation_id"], expected, _paid(tx, row), why)


def _paid(tx: Tx, row: RowMapping) -> tuple[Paid, ...]:
    joined = _share.join(
        _payment, (_payment.c.tenant_id == _share.c.tenant_id) & (_payment.c.payment_id == _share.c.payment_id)
    )
    query = select(_share.c.paid_minor, _share.c.payment_id, _payment.c.method, _payment.c.business_date)
    query = query.select_from(joined).where(_share.c.tenant_id == tx.tenant, _share.c.paid_minor > 0)
    query = query.where(_share.c.obligation_id == row["obligation_id"]).order_by(_share.c.payment_id)
    names = {ON_TERMINAL: "card_terminal", "external": "at the EHR"}
    return tuple(
        Paid(
            one["payment_id"],
            names.get(one["method"], str(one["method"])),
            one["business_date"] or "",
            Money(one["paid_minor"], row["currency"]),
        )
        for one in tx.all(query)
    )

"""Which accounts a resource has a say on, and which of them may ask for the same. Called by intake.py and
use cases.

An account is an Account, or (for charges and Invoices that name none) the Patient they are of.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..db.unit import Tx
from ..domain.fhir_urls import APPOINTMENT_ACCOUNT
from ..fhir import store as fhir
from . import rows
from .elements import Resource, listed, own_ref, reference, subject_of


def accounts_of(tx: Tx, resource: Resource) -> set[str]:
    """The accounts on which this resource has a say, as it is now: who has to be reassessed when it changes.

    For what it said before, ask with its former version too, and `rows.accounts_with` for what rests on it.
    """
    ref, kind = own_ref(resource), str(resource.get("resourceType"))
    match kind:
        case "Account":
            return {ref}
        case "ChargeItem":
            return _of_charges(tx, [resource])
        case "Invoice":
            return stands_on(tx, resource) | _by_charges(tx, _lines(resource))
        case "Encounter":
            named = {reference(one) for one in resource.get("account", ())}
            return (named - {""}) | _of_charges(tx, plain(fhir.referring(tx, "ChargeItem", "context", ref)))
        case "Appointment":
            visits = [one for name in _visits_of(resource) if (one := get(tx, name))]
            return set[str]().union(*(accounts_of(tx, one) for one in visits)) | _billed_on(resource)
        case "Patient":
            return {one.reference for one in fhir.referring(tx, "Account", "subject", ref)} | {ref}
        case "Coverage":
            beneficiary = reference(resource.get("beneficiary"))
            linked = {one.reference for one in fhir.referring(tx, "Account", "coverage", ref)}
            own = (
                {one.reference for one in fhir.referring(tx, "Account", "subject", beneficiary)}
                if beneficiary
                else set()
            )
            return linked | own | ({beneficiary} if beneficiary.startswith("Patient/") else set())
        case "RelatedPerson" | "Organization":
            return {one.reference for one in fhir.referring(tx, "Account", "guarantor", ref)}
        case "PaymentReconciliation":
            return {ref for one in resource.get("extension", ()) if (ref := reference(one.get("valueReference")))}
        case _:
            return set()


def _of_charges(tx: Tx, charges: Sequence[Resource]) -> set[str]:
    # An Invoice that names no account stands on its charge's account once the charge is there.
    billed = [stands_on(tx, one) | (set[str]() if _named(one) else _patients(one)) for one in naming(tx, charges)]
    return set[str]().union(*map(_of_charge, charges), *billed)


def _named(resource: Resource) -> set[str]:
    return {reference(one) for one in listed(resource.get("account"))} - {""}


def _billed_on(appointment: Resource) -> set[str]:
    said = (one for one in appointment.get("extension", ()) if one.get("url") == APPOINTMENT_ACCOUNT)
    return {reference(one.get("valueReference")) for one in said} - {""}


def _visits_of(appointment: Resource) -> list[str]:
    named = (reference(one) for one in listed(appointment.get("supportingInformation")))
    return [ref for ref in named if ref.startswith("Encounter/")]


def asks_for(account_ref: str, charge: Resource) -> bool:
    """Whether this account asks for the charge: of several that it names the first one does."""
    named = [reference(one) for one in listed(charge.get("account"))]
    return account_ref not in named[1:] or named[0] == account_ref


def _patients(resource: Resource) -> set[str]:
    subject = subject_of(resource)
    return {subject} if subject.startswith("Patient/") else set()


def stands_on(tx: Tx, invoice: Resource) -> set[str]:
    """Where an Invoice is asked for: on its account, else on one of its charges' (on two it would be asked twice)."""
    return _named(invoice) or set(sorted(_by_charges(tx, _lines(invoice)))[:1]) or _patients(invoice)


def _lines(invoice: Resource) -> list[str]:
    return [ref for line in invoice.get("lineItem", ()) if (ref := reference(line.get("chargeItemReference")))]


def naming(tx: Tx, charges: Iterable[Resource]) -> tuple[Resource, ...]:
    """The Invoices that name one of these charges, wherever they stand."""
    return plain(fhir.referring_any(tx, "Invoice", "charge-item", charges))


def _by_charges(tx: Tx, refs: Iterable[str]) -> set[str]:
    """The accounts that these charges are on."""
    found = [get(tx, ref) for ref in refs if ref]
    return set[str]().union(*(_named(one) or _patients(one) for one in found if one))


# ── accounts that may ask for the same ────────────────────────────────────────────────────────────────────────────────


def others_of(
    tx: Tx, account_ref: str, charges: Iterable[Resource], invoices: Iterable[Resource], names: Iterable[Resource]
) -> set[str]:
    """The other accounts that may ask for the same, or have asked: an Invoice on one names a charge of another,
    whether it stands or not, a charge or an Invoice has moved, or one visit, or its appointment, has to do with both.
    `names`: the Invoices that name these charges."""
    charges = tuple(charges)
    here = {own_ref(one) for one in charges}
    named = {ref for one in invoices for ref in _lines(one)} - here
    abroad = [charge for ref in sorted(named) if (charge := get(tx, ref))]
    accounts = [_of_charge(charge) for charge in abroad]
    accounts += [stands_on(tx, one) for one in (*names, *naming(tx, abroad))]
    here |= {own_ref(one) for one in invoices}
    asked = rows.bases(tx, account_ref)
    accounts += [_moved_to(tx, basis) for basis in sorted(asked - here)]
    visits = _visits(tx, account_ref, charges) | {basis for basis in asked if basis.startswith("Encounter/")}
    for visit in sorted(visits):
        accounts.append(_named(get(tx, visit)))
        accounts += [_of_charge(one.resource) for one in fhir.referring(tx, "ChargeItem", "context", visit)]
    # What is booked on the account may have been asked for on another, under its own name, before it was moved here.
    booked = fhir.referring_any(tx, "Appointment", "bears-on", map(_named_as, (account_ref, *sorted(visits))))
    accounts.append(rows.accounts_with(tx, here | asked | visits | {one.reference for one in booked}))
    return set[str]().union(*accounts) - {account_ref}


def _named_as(ref: str) -> Resource:
    kind, _, resource_id = ref.partition("/")
    return {"resourceType": kind, "id": resource_id}


def _visits(tx: Tx, account_ref: str, charges: Iterable[Resource]) -> set[str]:
    encounters = fhir.referring(tx, "Encounter", "account", account_ref) if account_ref.startswith("Account/") else ()
    return ({reference(one.get("context")) for one in charges} | {one.reference for one in encounters}) - {""}


def _moved_to(tx: Tx, basis: str) -> set[str]:
    """Where a charge, an Invoice or an appointment is now for which this account has asked."""
    match basis.partition("/")[0]:
        case "ChargeItem":
            return _of_charge(get(tx, basis))
        case "Invoice":
            return stands_on(tx, get(tx, basis))
        case "Appointment":
            return accounts_of(tx, get(tx, basis) or {"resourceType": ""})
        case _:
            return set()


def _of_charge(charge: Resource) -> set[str]:
    return _named(charge) or _patients(charge)


def get(tx: Tx, ref: str) -> Resource:
    kind, _, resource_id = ref.partition("/")
    stored = fhir.get(tx, kind, resource_id) if resource_id and "/" not in resource_id else None
    return stored.resource if stored else {}


def plain(stored: Iterable[fhir.Stored]) -> tuple[Resource, ...]:
    return tuple(one.resource for one in stored)

"""FHIR resources → what billing knows of an account. Called by store.reassess, and with plain resources by the stories.

`gather` reads the FHIR store, `facts_of` is pure. What an element means for money is decided in responsibility.py and
holds.py; here it is only read, and what can't be read counts as not stated. An account is an Account, or (for
charges and Invoices that name none) the Patient they are of.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from zoneinfo import ZoneInfo

from ..config import Facility, Tenant
from ..db.unit import Tx
from ..domain import fhir_urls as urls
from ..domain.money import Money
from ..errors import ConfigInvalid
from ..fhir import store as fhir
from ..fhir.json import dumps
from .appointments import expected
from .coverage import kind_of
from .ehr_payments import relief_of
from .elements import (
    Resource,
    at,
    day_of,
    flag,
    identifiers_of,
    listed,
    money_of,
    own_ref,
    reference,
    subject_of,
    subjects_of,
)
from .facts import (
    AccountFacts,
    Appointment,
    Bill,
    Charge,
    CopayDue,
    Guarantor,
    Insurance,
    InvoiceLine,
    PartyKind,
    Person,
    Visit,
)
from .reach import asks_for, get, naming, others_of, plain, stands_on

_INPATIENT = frozenset({"IMP", "ACUTE", "NONAC", "OBSENC", "B"})  # v3-ActCode, and table 0004's obstetrics
_PARTIES: Mapping[str, PartyKind] = {
    "Patient": "Patient",
    "RelatedPerson": "RelatedPerson",
    "Organization": "Organization",
}


@dataclass(frozen=True, slots=True)
class Resources:
    """What the FHIR store holds that has to do with one account."""

    account_ref: str
    account: Resource = field(default_factory=dict[str, Any])
    patients: tuple[Resource, ...] = ()  # the first subject first
    charges: tuple[Resource, ...] = ()
    invoices: tuple[Resource, ...] = ()
    coverages: tuple[Resource, ...] = ()
    encounters: tuple[Resource, ...] = ()
    appointments: tuple[Resource, ...] = ()
    merged_visits: Mapping[str, str] = field(default_factory=dict[str, str])  # a visit → the one that stands for it
    naming: tuple[Resource, ...] = ()  # Invoices of any account that name a charge of this one
    payments: tuple[Resource, ...] = ()  # that the EHR has posted itself
    elsewhere: tuple[Resources, ...] = ()  # accounts that may ask for the same: reach.others_of


def gather(tx: Tx, account_ref: str) -> Resources:
    """Everything kept that bears on this account."""
    own = _alone(tx, account_ref)
    others = others_of(tx, account_ref, own.charges, own.invoices, own.naming)
    return replace(own, payments=posted(tx, account_ref), elsewhere=tuple(_alone(tx, ref) for ref in sorted(others)))


def posted(tx: Tx, account_ref: str) -> tuple[Resource, ...]:
    """What the EHR says that was paid or written off on the account. (It names it literally: the maps see to that.)"""
    kind, _, account_id = account_ref.partition("/")
    return plain(fhir.referring_any(tx, "PaymentReconciliation", "account", [{"resourceType": kind, "id": account_id}]))


def stands_alone(tx: Tx, patient_ref: str) -> bool:
    """Whether anything rests on the patient and on no account: a charge, an Invoice, a payment of the EHR's."""
    own = _billing(tx, patient_ref, get(tx, patient_ref))
    return bool(own.charges or own.invoices or posted(tx, patient_ref))


def linked(tx: Tx, account_ref: str) -> set[str]:
    """The other accounts that may ask for the same."""
    own = _billing(tx, account_ref, get(tx, account_ref))
    return others_of(tx, account_ref, own.charges, own.invoices, own.naming)


def _alone(tx: Tx, account_ref: str) -> Resources:
    kind, _, account_id = account_ref.partition("/")
    stored = fhir.get(tx, kind, account_id)
    resource: Resource = stored.resource if stored else {}
    account, patient_ref = (resource, subject_of(resource)) if kind == "Account" else ({}, account_ref)
    billing = _billing(tx, account_ref, resource)
    charges, invoices = billing.charges, billing.invoices
    encounters = _referring(tx, "Encounter", "account", account_ref, resource) if kind == "Account" else ()
    patient_ref = patient_ref or next((subject_of(one) for one in (*charges, *invoices) if subject_of(one)), "")
    named_so = [one for one in subjects_of(resource) if one.startswith("Patient/")] if kind == "Account" else []
    patients = (resource,) if kind == "Patient" else tuple(get(tx, one) for one in named_so or (patient_ref,) if one)
    named = {reference(one.get("context")) for one in charges} | {copay.visit for copay in _copays(account, None)}
    known = {own_ref(one) for one in encounters}
    more = [found for ref in sorted(named - known - {""}) if (found := get(tx, ref))]
    visits, merged = _standing_visits(tx, (*encounters, *more))
    return replace(
        billing,
        account=account,
        patients=tuple(one for one in patients if one),
        coverages=_coverages(tx, account, named_so or (patient_ref,)),
        encounters=visits,
        appointments=plain(fhir.referring_any(tx, "Appointment", "bears-on", (account, *encounters, *more))),
        merged_visits=merged,
    )


def _standing_visits(tx: Tx, encounters: Iterable[Resource]) -> tuple[tuple[Resource, ...], dict[str, str]]:
    """Those that were not merged into another visit (or their survivors), and which one stands for those that were."""
    found, merged = {own_ref(one): one for one in encounters}, dict[str, str]()
    for ref, one in list(found.items()):
        end, seen = one, {ref}
        while (by := _replaced_by(end)) and by not in seen and (survivor := get(tx, by)):
            end = survivor
            seen.add(by)
        if end is not one:
            merged[ref] = own_ref(end)
            found.setdefault(own_ref(end), end)
    return tuple(one for ref, one in found.items() if ref not in merged), merged


def _replaced_by(encounter: Resource) -> str:
    said = (one for one in encounter.get("extension", ()) if one.get("url") == urls.REPLACED_BY)
    return next((reference(one.get("valueReference")) for one in said), "")


def _billing(tx: Tx, account_ref: str, own: Resource) -> Resources:
    """Its charges and Invoices alone. Of an Account also Invoices that name none, of a Patient what names none.

    `own` is the account as it is kept.
    """
    if account_ref.startswith("Account/"):
        named = _referring(tx, "ChargeItem", "account", account_ref, own)
        charges = tuple(one for one in named if asks_for(account_ref, one))
        names = naming(tx, charges)
        invoices = _referring(tx, "Invoice", "account", account_ref, own)
        invoices += tuple(one for one in names if not one.get("account") and account_ref in stands_on(tx, one))
    else:
        charges = _without_account(_referring(tx, "ChargeItem", "subject", account_ref, own))
        names = naming(tx, charges)
        invoices = _without_account(_referring(tx, "Invoice", "subject", account_ref, own))
        invoices = tuple(one for one in invoices if account_ref in stands_on(tx, one))
    return Resources(account_ref, charges=charges, invoices=invoices, naming=names)


def _coverages(tx: Tx, account: Resource, patient_refs: Iterable[str]) -> tuple[Resource, ...]:
    """Those that the account names, and whatever else covers its patients: a late one is often not linked yet."""
    found = {reference(one.get("coverage")) for one in account.get("coverage", ())}
    linked = [resource for ref in sorted(found - {""}) if (resource := get(tx, ref))]
    others = [one.resource for ref in patient_refs if ref for one in fhir.referring(tx, "Coverage", "beneficiary", ref)]
    return (*linked, *(one for one in others if own_ref(one) not in found))


def topics_of(account: Resource) -> tuple[str, ...]:
    """The names under which a parked message suspends collection on this account."""
    return tuple(f"account:{one}" for one in sorted(identifiers_of(account)))


def facility_of(resources: Resources, tenant: Tenant) -> Facility:
    """The facility whose organization owns the account or provides the visit; else the tenant's first."""
    named = {reference(resources.account.get("owner"))}
    named |= {reference(one.get("serviceProvider")) for one in resources.encounters}
    for facility in tenant.facilities:
        if facility.organization and {facility.organization, f"Organization/{facility.organization}"} & named:
            return facility
    if not tenant.facilities:
        raise ConfigInvalid(f"tenant '{tenant.name}' has no facility: define one, with its merchant")
    return tenant.facilities[0]


def facts_of(resources: Resources, facility: Facility) -> AccountFacts:
    """The account's facts, with days as the facility counts them. Staff entries and holds are added by the caller."""
    account, zone = resources.account, ZoneInfo(facility.zone)
    priorities = {reference(one.get("coverage")): one.get("priority", 99) for one in account.get("coverage", ())}
    patient = next(iter(resources.patients), {})
    coming = expected(
        (_visit(one, zone) for one in resources.encounters),
        (_appointment(one, zone, resources.merged_visits) for one in resources.appointments),
    )
    visit_of = {name: visit for visit, names in coming.known_as.items() for name in names}
    visit_of |= resources.merged_visits
    first = next(iter((*resources.charges, *resources.invoices)), {})
    return AccountFacts(
        ref=resources.account_ref,
        status=str(account.get("status", "")),
        patients=tuple(map(_person, resources.patients)),
        patient_ref=own_ref(patient) if patient else subject_of(account) or subject_of(first),
        guarantors=tuple(_guarantors(account, zone)),
        charges=tuple(_charge(one, zone) for one in resources.charges),
        visits=coming.visits,
        coverages=tuple(_insurance(one, priorities, zone) for one in resources.coverages),
        invoices=tuple(_bill(one, zone) for one in resources.invoices),
        copays=tuple(replace(one, visit=visit_of.get(one.visit, one.visit)) for one in _copays(account, zone)),
        relief=tuple(relief_of(resources.payments)),
        self_pay=resources.account_ref if flag(account, urls.SELF_PAY) else "",
        start=day_of(at(account, "servicePeriod", "start"), zone),
        end=day_of(at(account, "servicePeriod", "end"), zone),
        bad_debt=flag(account, urls.BAD_DEBT),
        accident=any(one.get("url") == urls.ACCIDENT for one in account.get("extension", ())),
        job_related=flag(account, urls.JOB_RELATED),
        known_as=coming.known_as,
        guessed=coming.guessed,
        elsewhere=tuple(facts_of(one, facility) for one in resources.elsewhere),
    )


def _person(patient: Resource) -> Person:
    return Person(
        ref=own_ref(patient),
        birth_date=day_of(patient.get("birthDate"), ZoneInfo("UTC")),
        deceased=patient.get("deceasedBoolean") is True or "deceasedDateTime" in patient,
        active=patient.get("active") is not False,
    )


def _guarantors(account: Resource, zone: ZoneInfo) -> Iterator[Guarantor]:
    for one in account.get("guarantor", ()):
        ref = reference(one.get("party"))
        kind = _PARTIES.get(ref.rpartition("/")[0].rpartition("/")[2])
        if kind is not None:
            start, end = day_of(at(one, "period", "start"), zone, first=True), day_of(at(one, "period", "end"), zone)
            yield Guarantor(ref, kind, one.get("onHold") is True, start, end)


def _charge(item: Resource, zone: ZoneInfo) -> Charge:
    extensions = {one.get("url"): one for one in item.get("extension", ())}
    message = str(at(extensions, urls.UNNUMBERED, "valueString") or "")
    parts: set[str] = set()
    for part in item.get("partOf", ()):
        parts |= {reference(part), *identifiers_of({"identifier": [part.get("identifier", {})]})}
    when = (
        item.get("occurrenceDateTime") or at(item, "occurrencePeriod", "end") or at(item, "occurrencePeriod", "start")
    )
    return Charge(
        ref=own_ref(item),
        status=str(item.get("status", "")),
        amount=money_of(item.get("priceOverride")),
        day=day_of(when, zone),
        visit=reference(item.get("context")),
        patient=subject_of(item),
        credit=any(
            one.get("url") == urls.DIRECTION and one.get("valueCode") == "credit" for one in item.get("extension", ())
        ),
        part_of=frozenset(parts - {""}),
        identifiers=frozenset(identifiers_of(item)),
        message=message,
        content=_content(item) if message and urls.DUPLICATE_REASON not in extensions else "",
        feed=_feed(item),
    )


def _feed(item: Resource) -> str:
    """By its first identifier, which is the key that its map has made of the message."""
    system = str(at(next(iter(item.get("identifier", ())), {}), "system") or "")
    return system.removesuffix(urls.CHARGE_SYSTEM) if system.endswith(urls.CHARGE_SYSTEM) else ""


def _content(item: Resource) -> str:
    """What the sender says of the charge: two that say the same may be one."""
    sender = at(next(iter(item.get("identifier", ())), {}), "system")
    said = ("occurrenceDateTime", "occurrencePeriod", "code", "priceOverride", "quantity")
    direction = [one for one in item.get("extension", ()) if one.get("url") == urls.DIRECTION]
    return dumps([sender, direction, *(item.get(name) for name in said)], sort_keys=True)


def _visit(encounter: Resource, zone: ZoneInfo) -> Visit:
    return Visit(
        ref=own_ref(encounter),
        status=str(encounter.get("status", "")),
        inpatient=at(encounter, "class", "code") in _INPATIENT,
        patient=subject_of(encounter),
        start=day_of(at(encounter, "period", "start"), zone, first=True),
        end=day_of(at(encounter, "period", "end"), zone),
        appointments=tuple(ref for one in listed(encounter.get("appointment")) if (ref := reference(one))),
    )


def _appointment(resource: Resource, zone: ZoneInfo, merged: Mapping[str, str]) -> Appointment:
    named = [ref for one in listed(resource.get("supportingInformation")) if (ref := reference(one))]
    actors = [reference(one.get("actor")) for one in listed(resource.get("participant"))]
    return Appointment(
        ref=own_ref(resource),
        status=str(resource.get("status", "")),
        patient=next((ref for ref in actors if ref.startswith("Patient/")), ""),
        start=day_of(resource.get("start"), zone),
        booked=day_of(resource.get("created"), zone),
        visits=tuple(merged.get(ref, ref) for ref in named if ref.startswith("Encounter/")),
    )


def _insurance(coverage: Resource, priorities: Mapping[str, Any], zone: ZoneInfo) -> Insurance:
    ref = own_ref(coverage)
    copays: list[Money] = []
    for one in coverage.get("costToBeneficiary", ()):
        is_copay = any(coding.get("code") == "copay" for coding in at(one, "type", "coding") or ())
        amount = money_of(one.get("valueMoney")) if is_copay and not one.get("exception") else None
        if amount is not None and amount.minor > 0 and (ref in priorities or not priorities):
            copays.append(amount)
    rank = priorities.get(ref, coverage.get("order", 99) if not priorities else 99)
    return Insurance(
        ref=ref,
        status=str(coverage.get("status", "")),
        kind=kind_of(coverage),
        start=day_of(at(coverage, "period", "start"), zone, first=True),
        end=day_of(at(coverage, "period", "end"), zone),
        rank=int(rank),
        copays=tuple(copays),
        beneficiary=reference(coverage.get("beneficiary")),
    )


def _bill(invoice: Resource, zone: ZoneInfo) -> Bill:
    lines = _lines(invoice)
    return Bill(
        ref=own_ref(invoice),
        status=str(invoice.get("status", "")),
        total=total_of(invoice),
        day=day_of(invoice.get("date"), zone),
        subject=subject_of(invoice),
        recipient=reference(invoice.get("recipient")),
        lines=tuple(lines),
    )


def total_of(invoice: Resource) -> Money | None:
    """What an Invoice asks for in all; None where it doesn't say."""
    total = money_of(invoice.get("totalGross"))
    if total is None:
        total = money_of(invoice.get("totalNet"))
    lines = _lines(invoice)
    if total is None and lines and all(line.amount is not None for line in lines):
        currencies = {line.amount.currency for line in lines if line.amount is not None}
        if len(currencies) == 1:
            total = Money(sum(line.amount.minor for line in lines if line.amount is not None), currencies.pop())
    return total


def _lines(invoice: Resource) -> list[InvoiceLine]:
    return [
        InvoiceLine(reference(line.get("chargeItemReference")), _line_amount(line))
        for line in invoice.get("lineItem", ())
    ]


def _line_amount(line: Resource) -> Money | None:
    """Base, surcharge and tax, less deduction and discount (which are written with either sign)."""
    total: Money | None = None
    for part in line.get("priceComponent", ()):
        amount, kind = money_of(part.get("amount")), part.get("type")
        if kind == "informational":
            continue
        if amount is None:
            return None
        signed = -abs(amount) if kind in {"deduction", "discount"} else amount
        if total is not None and total.currency != signed.currency:
            return None
        total = signed if total is None else total + signed
    return total


def _copays(account: Resource, zone: ZoneInfo | None) -> Iterator[CopayDue]:
    for extension in account.get("extension", ()):
        if extension.get("url") != urls.COPAY_DUE:
            continue
        parts = {one.get("url"): one for one in extension.get("extension", ())}
        amount = money_of(at(parts, urls.COPAY_AMOUNT, "valueMoney") or extension.get("valueMoney"))
        if amount is not None and amount.minor > 0:
            visit = reference(at(parts, urls.COPAY_ENCOUNTER, "valueReference"))
            day = day_of(at(parts, urls.COPAY_DATE, "valueDateTime"), zone) if zone else None
            yield CopayDue(amount, visit, day, own_ref(account))


def _referring(tx: Tx, kind: str, param: str, ref: str, target: Resource) -> tuple[Resource, ...]:
    return plain(fhir.referring(tx, kind, param, ref, target=target))


def _without_account(resources: Iterable[Resource]) -> tuple[Resource, ...]:
    return tuple(one for one in resources if not one.get("account"))
